import { createPrivateKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { nearestName } from '../../workflow-files/nearest-name.ts'
import { proxyProblems } from './outgoing.ts'
import { isRepository, matcher, readRoutes } from './routes.ts'
import {
  accessToken,
  address,
  blueprintGlobs,
  duration,
  globs,
  headers,
  inHeader,
  list,
  readSecrets,
  safeAddress,
  secretUrl,
  signingSecret,
  size,
  whole,
} from './values.ts'

/** The relay's configuration. Times are in milliseconds, sizes in bytes. */
export type Config = ReturnType<typeof readConfig>

type Database = { kind: 'sqlite'; path: string } | { kind: 'postgres'; url: string }
type Auth = { token: string } | { appId: string; privateKey: string }

type Env = Record<string, string | undefined>

/** The secrets that can also come from a file, whose path is in `NAME_FILE`. */
const SECRETS = [
  ...['PORT_CLIENT_SECRET', 'PORT_PREVIOUS_SECRETS'],
  ...['GITHUB_TOKEN', 'GITHUB_APP_PRIVATE_KEY', 'GITHUB_WEBHOOK_SECRET'],
  ...['RELAY_ADMIN_TOKEN', 'RELAY_VIEW_TOKEN', 'RELAY_ALERT_URL', 'RELAY_ALERT_SECRET', 'RELAY_DATABASE'],
  'OTEL_EXPORTER_OTLP_HEADERS',
]

/** Thrown with all problems of a configuration. Each problem is a sentence without secret values. */
export class ConfigError extends Error {
  readonly problems: string[]
  constructor(problems: string[]) {
    const amount = problems.length === 1 ? 'a problem' : `${problems.length} problems`
    super([`The configuration has ${amount}:`, ...problems.map(p => `  - ${p}`)].join('\n'))
    this.name = 'ConfigError'
    this.problems = problems
  }
}

const variables = z.object({
  // Port would reject an ID with a line break, which a shell or an editor may have appended.
  PORT_CLIENT_ID: z.string().trim().optional(),
  PORT_CLIENT_SECRET: z.string({
    error: "is required: set it to your Port organization's client secret, which signs Port's webhooks",
  }),
  // A comment or an incomplete entry must not become a secret, because an attacker could guess it.
  PORT_PREVIOUS_SECRETS: list
    .superRefine((secrets, ctx) => {
      const wrong = secrets.findIndex(secret => /[\s:#]/.test(secret))
      const rule = 'must contain only secrets, and a secret has no white space, colon, or #'
      if (wrong >= 0) ctx.addIssue(`${rule}: entry ${wrong + 1} contains such a character`)
    })
    .default([]),
  PORT_API_URL: address
    .refine(text => !/\/v1$/i.test(text), 'must not end with /v1, because the relay adds it')
    .default('https://api.port.io'),
  GITHUB_TOKEN: inHeader.optional(),
  GITHUB_APP_ID: z
    .string()
    .regex(/^\d+$|^Iv[\w.]+$/, "must be the App's id or client id")
    .optional(),
  GITHUB_APP_PRIVATE_KEY: z.string().transform(readPrivateKey).optional(),
  GITHUB_API_URL: address.default('https://api.github.com'),
  GITHUB_WEBHOOK_SECRET: z.string().optional(),
  GITHUB_OIDC_ISSUER: address.optional(),
  RELAY_REPOSITORY: z.string().refine(isRepository, 'must be owner/name').optional(),
  RELAY_ALLOWED_REPOSITORIES: globs.optional(),
  RELAY_ROUTES: z.string().optional(),
  RELAY_DATABASE: z.string().transform(readDatabase).default({ kind: 'sqlite', path: './data/relay.db' }),
  RELAY_PUBLIC_URL: safeAddress.optional(),
  RELAY_CHECK_PUBLIC_URL: z
    .enum(['true', 'false'], { error: 'must be true or false' })
    .transform(text => text === 'true')
    .default(true),
  RELAY_ADMIN_TOKEN: accessToken.optional(),
  RELAY_VIEW_TOKEN: accessToken.optional(),
  RELAY_ALERT_URL: secretUrl.optional(),
  RELAY_ALERT_SECRET: signingSecret.optional(),
  RELAY_REPORT_BLUEPRINTS: blueprintGlobs.default(['*', '!_*']),
  RELAY_REPORT_DELETE_BLUEPRINTS: blueprintGlobs.default([]),
  RELAY_TRUSTED_PROXIES: whole('must be the number of proxies in front of the relay, 0 to 10', 0, 10).default(
    0,
  ),
  RELAY_START_TIMEOUT: duration.default(6e5),
  RELAY_RUN_TIMEOUT: duration.default(864e5),
  RELAY_TOLERANCE: duration.default(3e5),
  RELAY_MAX_BODY: size.default(1024 ** 2),
  RELAY_DISPATCH_RATE: whole('must be a whole number of dispatches a minute, or 0', 0, 1e6).default(60),
  RELAY_RETENTION: duration.default(2592e6),
  OTEL_EXPORTER_OTLP_ENDPOINT: address.optional(),
  OTEL_EXPORTER_OTLP_HEADERS: headers.default({}),
  HOST: z.string().default('0.0.0.0'),
  PORT: whole('must be a port number, 0 to 65535', 0, 65535).default(8080),
  LOG_LEVEL: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], {
      error: 'must be one of fatal, error, warn, info, debug, trace, silent',
    })
    .default('info'),
})

export const VARIABLES = [...Object.keys(variables.shape), ...SECRETS.map(name => `${name}_FILE`)]

/** Reads the relay's configuration. @throws ConfigError that lists all problems */
export function readConfig(env: Env, readFile = (path: string) => readFileSync(path, 'utf8')) {
  const problems: string[] = []
  const { values, unread } = readSecrets(env, SECRETS, readFile, problems)
  const parsed = variables.safeParse(values)
  problems.push(...issuesOf(parsed.error, unread))
  // Rules about several variables are checked even if a variable is invalid, so that one error reports all problems.
  problems.push(...contradictions(values), ...proxyProblems(env), ...unknownNames(env))
  const routes = values.RELAY_ROUTES ? readRoutes(values.RELAY_ROUTES, readFile, problems) : []
  const all = [values.RELAY_REPOSITORY, ...routes.map(({ repository }) => repository)]
  const named = all.flatMap(name => name ?? [])
  const given = globs.optional().safeParse(values.RELAY_ALLOWED_REPOSITORIES)
  const allowed = given.data ?? named.filter(isRepository)
  const isAllowed = given.success ? matcher(allowed) : () => true
  for (const name of named)
    if (isRepository(name) && !isAllowed(name))
      problems.push(
        `RELAY_ALLOWED_REPOSITORIES doesn't match ${name}, which is set in RELAY_REPOSITORY or RELAY_ROUTES: add the repository to the list`,
      )
  if (!parsed.success || problems.length > 0) throw new ConfigError(problems)
  const v = parsed.data
  // The secrets that sign webhooks and encrypt inputs. The current secret is first.
  const secrets: [string, ...string[]] = [v.PORT_CLIENT_SECRET, ...v.PORT_PREVIOUS_SECRETS]
  const auth: Auth = v.GITHUB_TOKEN
    ? { token: v.GITHUB_TOKEN }
    : { appId: v.GITHUB_APP_ID as string, privateKey: v.GITHUB_APP_PRIVATE_KEY as string }
  return {
    /** Without a client id, the relay sends nothing to Port. */
    port: { apiUrl: v.PORT_API_URL, clientId: v.PORT_CLIENT_ID ?? null, secrets },
    webhook: { tolerance: v.RELAY_TOLERANCE, maxBody: v.RELAY_MAX_BODY },
    github: {
      ...{ apiUrl: v.GITHUB_API_URL, auth },
      webhookSecret: v.GITHUB_WEBHOOK_SECRET ?? null,
      oidcIssuer: v.GITHUB_OIDC_ISSUER ?? issuerOf(v.GITHUB_API_URL),
    },
    targets: { repository: v.RELAY_REPOSITORY ?? null, allowed, routes },
    database: v.RELAY_DATABASE,
    publicUrl: v.RELAY_PUBLIC_URL ?? null,
    checkPublicUrl: v.RELAY_CHECK_PUBLIC_URL,
    adminToken: v.RELAY_ADMIN_TOKEN ?? null,
    viewToken: v.RELAY_VIEW_TOKEN ?? null,
    alert: v.RELAY_ALERT_URL ? { url: v.RELAY_ALERT_URL, secret: v.RELAY_ALERT_SECRET ?? null } : null,
    reportBlueprints: v.RELAY_REPORT_BLUEPRINTS,
    reportDeleteBlueprints: v.RELAY_REPORT_DELETE_BLUEPRINTS,
    /** The number of proxies in front of the relay that append an entry to X-Forwarded-For. */
    trustedProxies: v.RELAY_TRUSTED_PROXIES,
    startTimeout: v.RELAY_START_TIMEOUT,
    runTimeout: v.RELAY_RUN_TIMEOUT,
    /** Dispatches per minute; 0 means as fast as GitHub allows. */
    dispatchRate: v.RELAY_DISPATCH_RATE,
    retention: v.RELAY_RETENTION,
    tracing: v.OTEL_EXPORTER_OTLP_ENDPOINT
      ? { endpoint: v.OTEL_EXPORTER_OTLP_ENDPOINT, headers: v.OTEL_EXPORTER_OTLP_HEADERS }
      : null,
    listen: { host: v.HOST, port: v.PORT },
    logLevel: v.LOG_LEVEL,
  }
}

/** Reads the configuration of a command that calls Port and not GitHub. @throws ConfigError that lists all problems */
export function readPortConfig(env: Env, readFile = (path: string) => readFileSync(path, 'utf8')) {
  const problems: string[] = []
  const { values, unread } = readSecrets(env, ['PORT_CLIENT_SECRET'], readFile, problems)
  const parsed = variables
    .pick({ PORT_CLIENT_ID: true, PORT_CLIENT_SECRET: true, PORT_API_URL: true })
    .safeParse(values)
  const clientId = parsed.data?.PORT_CLIENT_ID ?? values.PORT_CLIENT_ID
  if (!clientId) problems.push("PORT_CLIENT_ID is required: set it to your Port organization's client ID")
  problems.push(...issuesOf(parsed.error, unread), ...proxyProblems(env))
  if (!parsed.success || !clientId || problems.length > 0) throw new ConfigError(problems)
  const { PORT_API_URL: apiUrl, PORT_CLIENT_SECRET: clientSecret } = parsed.data
  return { apiUrl, clientId, clientSecret }
}

const issuesOf = (error: z.ZodError | undefined, unread: string[]) =>
  (error?.issues ?? [])
    .map(({ path, message }) => ({ name: String(path[0]), message }))
    .filter(({ name }) => !unread.includes(name))
    .map(({ name, message }) => `${name} ${message}`)

function contradictions(env: Env): string[] {
  const app = env.GITHUB_APP_ID || env.GITHUB_APP_PRIVATE_KEY
  return [
    !env.GITHUB_TOKEN &&
      !app &&
      'GITHUB_TOKEN is required, or GITHUB_APP_ID with GITHUB_APP_PRIVATE_KEY, so that the relay can authenticate to GitHub',
    env.RELAY_VIEW_TOKEN &&
      env.RELAY_VIEW_TOKEN === env.RELAY_ADMIN_TOKEN &&
      'RELAY_VIEW_TOKEN and RELAY_ADMIN_TOKEN are the same, so users with read-only access could change deliveries: set different values',
    env.RELAY_ALERT_SECRET && !env.RELAY_ALERT_URL && 'RELAY_ALERT_SECRET needs RELAY_ALERT_URL: set both',
    env.GITHUB_TOKEN && app && 'GITHUB_TOKEN and GITHUB_APP_ID/GITHUB_APP_PRIVATE_KEY are both set: keep one',
    app && !env.GITHUB_APP_ID && 'GITHUB_APP_PRIVATE_KEY needs GITHUB_APP_ID: set both',
    app && !env.GITHUB_APP_PRIVATE_KEY && 'GITHUB_APP_ID needs GITHUB_APP_PRIVATE_KEY: set both',
  ].filter((problem): problem is string => Boolean(problem))
}

function issuerOf(apiUrl: string): string {
  const { protocol, host, pathname } = new URL(apiUrl)
  if (pathname === '/api/v3') return `${protocol}//${host}/_services/token`
  const [, subdomain] = /^api\.([^.]+)\.ghe\.com$/i.exec(host) ?? []
  return `https://token.actions.${subdomain ? `${subdomain}.ghe.com` : 'githubusercontent.com'}`
}

/** Reports unknown variable names. For a mistyped name, the relay would otherwise silently use the default. */
function unknownNames(env: Env): string[] {
  const relays = VARIABLES.filter(name => name.startsWith('RELAY_'))
  return Object.entries(env).flatMap(([name, value = '']) => {
    if (!name.startsWith('RELAY_') || VARIABLES.includes(name) || isServiceLink(name, value)) return []
    const nearest = nearestName(name, relays)
    return `${name} isn't known: ${nearest ? `did you mean ${nearest}?` : 'remove it, or correct its name'}`
  })
}

/**
 * Whether Kubernetes set this variable. Each pod gets variables such as RELAY_PORT for a Service named `relay` or `relay-…`.
 * @see https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
 */
const isServiceLink = (name: string, value: string) =>
  /_SERVICE_(?:HOST|PORT)/.test(name) ||
  /_PORT_\d+_(?:TCP|UDP|SCTP)/.test(name) ||
  /^(?:tcp|udp|sctp):\/\//.test(value)

const THE_KEY =
  'paste the .pem file that GitHub generated for the App, or set GITHUB_APP_PRIVATE_KEY_FILE to its path'

/** Converts GitHub's PKCS#1 key to PKCS#8. Accepts `\n` instead of line breaks, because variables often contain keys in this form. */
function readPrivateKey(text: string, ctx: z.RefinementCtx): string {
  try {
    const key = createPrivateKey(text.replaceAll('\\n', '\n'))
    if (key.asymmetricKeyType === 'rsa') return key.export({ type: 'pkcs8', format: 'pem' }).toString()
    ctx.addIssue(`isn't an RSA key, which an App requires: ${THE_KEY}`)
  } catch {
    ctx.addIssue(`isn't a private key in PEM format: ${THE_KEY}`)
  }
  return z.NEVER
}

function readDatabase(text: string, ctx: z.RefinementCtx): Database {
  if (/^postgres(ql)?:\/\//.test(text)) return { kind: 'postgres', url: text }
  const path = /^sqlite:(.*\S.*)/s.exec(text)?.[1]
  if (path && !path.includes(':memory:')) return { kind: 'sqlite', path }
  ctx.addIssue(
    path
      ? 'must be the path of a file, because an in-memory database is lost when the relay stops'
      : 'must be sqlite:PATH or postgres://…',
  )
  return z.NEVER
}
