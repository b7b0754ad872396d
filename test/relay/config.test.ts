import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { readConfig } from '../../relay/config/config.ts'
import { configProblems } from '../support/config-problems.ts'

type Env = Record<string, string>
const LEAST = { PORT_CLIENT_SECRET: 'port secret', GITHUB_TOKEN: 'gh token' }
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const PKCS1 = privateKey.export({ type: 'pkcs1', format: 'pem' }).toString()
const PKCS8 = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()

const files = (contents: Env) => (path: string) => {
  if (contents[path] === undefined) throw Object.assign(new Error('no'), { code: 'ENOENT' })
  return contents[path]
}
const read = (env: Env, contents: Env = {}) => readConfig({ ...LEAST, ...env }, files(contents))
const problems = (env: Env, contents: Env = {}) => configProblems(env, files(contents))

test('requires only two variables; the others have defaults', () => {
  expect(readConfig(LEAST)).toEqual({
    port: { apiUrl: 'https://api.port.io', clientId: null, secrets: ['port secret'] },
    webhook: { tolerance: 300_000, maxBody: 1_048_576 },
    github: {
      apiUrl: 'https://api.github.com',
      auth: { token: 'gh token' },
      webhookSecret: null,
      oidcIssuer: 'https://token.actions.githubusercontent.com',
    },
    targets: { repository: null, allowed: [], routes: [] },
    database: { kind: 'sqlite', path: './data/relay.db' },
    publicUrl: null,
    checkPublicUrl: true,
    adminToken: null,
    viewToken: null,
    alert: null,
    reportBlueprints: ['*', '!_*'],
    reportDeleteBlueprints: [],
    trustedProxies: 0,
    startTimeout: 600_000,
    runTimeout: 86_400_000,
    dispatchRate: 60,
    retention: 2_592_000_000,
    tracing: null,
    listen: { host: '0.0.0.0', port: 8080 },
    logLevel: 'info',
  })
})

test.each([
  ['https://api.github.com', 'https://token.actions.githubusercontent.com'],
  ['https://api.acme.ghe.com/', 'https://token.actions.acme.ghe.com'],
  ['https://ghe.acme.example/api/v3', 'https://ghe.acme.example/_services/token'],
])('the OIDC issuer of %s is %s unless GITHUB_OIDC_ISSUER is set', (GITHUB_API_URL, issuer) => {
  expect(read({ GITHUB_API_URL }).github.oidcIssuer).toBe(issuer)
  const GITHUB_OIDC_ISSUER = 'https://issuer.acme.example'
  expect(read({ GITHUB_API_URL, GITHUB_OIDC_ISSUER }).github.oidcIssuer).toBe(GITHUB_OIDC_ISSUER)
})

const KEY = Buffer.alloc(24, 7)

test('reads every variable', () => {
  const routes = '- { match: { action: a* }, repository: acme/infra, event_type: infra }'
  const env = {
    PORT_CLIENT_ID: 'id',
    PORT_PREVIOUS_SECRETS: 'our-older-secret,\n newer',
    PORT_API_URL: 'https://api.us.port.io/',
    GITHUB_API_URL: 'https://ghe.acme.example/api/v3/',
    GITHUB_WEBHOOK_SECRET: 'hook',
    GITHUB_OIDC_ISSUER: 'https://ghe.acme.example/_services/token',
    RELAY_REPOSITORY: 'acme/shop',
    RELAY_ALLOWED_REPOSITORIES: 'acme/*, other/one',
    RELAY_ROUTES: 'routes.yml',
    RELAY_DATABASE: 'postgres://u:p@db/relay',
    RELAY_PUBLIC_URL: 'https://relay.acme.example/',
    RELAY_CHECK_PUBLIC_URL: 'false',
    RELAY_ADMIN_TOKEN: 'sixteen characters',
    RELAY_VIEW_TOKEN: 'sixteen others, too',
    RELAY_ALERT_URL: 'https://hooks.acme.example/T0/secret',
    RELAY_ALERT_SECRET: `whsec_${KEY.toString('base64')}`,
    RELAY_REPORT_BLUEPRINTS: 'service, {env,deployment}*, !secret',
    RELAY_REPORT_DELETE_BLUEPRINTS: 'preview*',
    RELAY_TRUSTED_PROXIES: '2',
    RELAY_START_TIMEOUT: '5m',
    RELAY_RUN_TIMEOUT: '2 h',
    RELAY_TOLERANCE: '1500ms',
    RELAY_MAX_BODY: '512KB',
    RELAY_DISPATCH_RATE: '0',
    RELAY_RETENTION: '7d',
    OTEL_EXPORTER_OTLP_ENDPOINT: 'https://otel.acme.example/',
    OTEL_EXPORTER_OTLP_HEADERS: 'api-key=a%2Ckey, x-team = shop',
    HOST: '::1',
    PORT: '0',
    LOG_LEVEL: 'debug',
  }
  expect(read(env, { 'routes.yml': routes })).toEqual({
    port: {
      apiUrl: 'https://api.us.port.io',
      clientId: 'id',
      secrets: ['port secret', 'our-older-secret', 'newer'],
    },
    webhook: { tolerance: 1500, maxBody: 524_288 },
    github: {
      apiUrl: 'https://ghe.acme.example/api/v3',
      auth: { token: 'gh token' },
      webhookSecret: 'hook',
      oidcIssuer: 'https://ghe.acme.example/_services/token',
    },
    targets: {
      repository: 'acme/shop',
      allowed: ['acme/*', 'other/one'],
      routes: [{ match: { action: 'a*' }, repository: 'acme/infra', event_type: 'infra' }],
    },
    database: { kind: 'postgres', url: 'postgres://u:p@db/relay' },
    publicUrl: 'https://relay.acme.example',
    checkPublicUrl: false,
    adminToken: 'sixteen characters',
    viewToken: 'sixteen others, too',
    alert: { url: 'https://hooks.acme.example/T0/secret', secret: KEY },
    reportBlueprints: ['service', '{env,deployment}*', '!secret'],
    reportDeleteBlueprints: ['preview*'],
    trustedProxies: 2,
    startTimeout: 300_000,
    runTimeout: 7_200_000,
    dispatchRate: 0,
    retention: 604_800_000,
    tracing: { endpoint: 'https://otel.acme.example', headers: { 'api-key': 'a,key', 'x-team': 'shop' } },
    listen: { host: '::1', port: 0 },
    logLevel: 'debug',
  })
})

test('ignores the variables that Kubernetes sets for a Service named relay', () => {
  const env = {
    RELAY_SERVICE_HOST: '10.0.0.11',
    RELAY_SERVICE_PORT_HTTP: '8080',
    RELAY_PORT: 'tcp://10.0.0.11',
  }
  expect(read(env)).toEqual(readConfig(LEAST))
})

test('treats empty variables as unset, and ignores surrounding white space and a byte order mark', () => {
  expect(read({ RELAY_REPOSITORY: ' ', PORT: '', LOG_LEVEL: '' })).toEqual(readConfig(LEAST))
  for (const id of ['id\n', ' id\r\n', '\ufeffid '])
    expect(read({ PORT_CLIENT_ID: id }).port.clientId).toBe('id')
  const { targets } = read({ RELAY_ROUTES: 'r' }, { r: '\ufeff- repository: acme/infra\n' })
  expect(targets.routes).toEqual([{ match: {}, repository: 'acme/infra' }])
  expect(read({ RELAY_RETENTION: '3650d' }).retention).toBe(315_360_000_000)
})

test('allows the repositories in the configuration if RELAY_ALLOWED_REPOSITORIES is not set', () => {
  const contents = { r: '[{ repository: acme/a }, { repository: acme/b, match: { operation: DELETE } }]' }
  const { targets } = read({ RELAY_REPOSITORY: 'acme/shop', RELAY_ROUTES: 'r' }, contents)
  expect(targets.allowed).toEqual(['acme/shop', 'acme/a', 'acme/b'])
})

test.each([
  ['a private key in the form that GitHub generates', '123', PKCS1],
  ['a private key in PKCS#8 form', '123', PKCS8],
  ['a private key with \\n for line breaks', '123', PKCS1.replaceAll('\n', '\\n')],
  ['the client ID in place of the App ID', 'Iv23liAbc', PKCS1],
])('the configuration of a GitHub App can have %s', (_, appId, key) => {
  const env = { PORT_CLIENT_SECRET: 's', GITHUB_APP_ID: appId, GITHUB_APP_PRIVATE_KEY: key }
  expect(readConfig(env).github.auth).toEqual({ appId, privateKey: PKCS8 })
})

describe('each configuration error names the variable:', () => {
  const duration = 'must be a duration such as 30s'
  const local = 'http:// is allowed only for this machine'
  const noUser = 'without a user name'
  /** Columns: the variable, a part of the problem, and values that cause it. */
  const values: [name: string, problem: string, ...values: string[]][] = [
    ['PORT_CLIENT_SECRET', "is required: set it to your Port organization's client secret", ''],
    ['GITHUB_TOKEN', 'is required, or GITHUB_APP_ID with GITHUB_APP_PRIVATE_KEY', ''],
    ['GITHUB_TOKEN', 'must be plain ASCII', ' ghp_x', 'ghp_x ', 'ghp_x\nghp_y', '“ghp_x”', 'ghp_\u0000'],
    ['RELAY_ADMIN_TOKEN', 'must be plain ASCII', 'schlüssel-0123456789'],
    ['RELAY_ADMIN_TOKEN', 'must have at least 16 characters', 'short'],
    ['RELAY_VIEW_TOKEN', 'must have at least 16 characters', 'short'],
    ['RELAY_ALERT_URL', noUser, 'x/T', 'https://u:p@x/T'],
    ['RELAY_ALERT_SECRET', 'needs RELAY_ALERT_URL', KEY.toString('base64')],
    ['PORT_API_URL', 'must be an http(s) URL', 'api.port.io'],
    ['PORT_API_URL', 'must not end with /v1', 'https://api.port.io/v1/'],
    ['GITHUB_API_URL', 'must be an http(s) URL', 'ftp://x'],
    ['GITHUB_OIDC_ISSUER', 'must be an http(s) URL', 'x'],
    ['RELAY_PUBLIC_URL', 'must be an http(s) URL', 'x'],
    ['RELAY_CHECK_PUBLIC_URL', 'must be true or false', 'no'],
    [
      'RELAY_PUBLIC_URL',
      noUser,
      'https://u:p@relay.example',
      'https://relay.example/?a=1',
      'https://x.example/#a',
    ],
    ['RELAY_PUBLIC_URL', local, 'http://relay.example', 'http://10.0.0.1:8080', 'http://0.0.0.0'],
    ['RELAY_PUBLIC_URL', local, 'http://127.0.0.1.relay.example', 'http://localhost.relay.example'],
    ['RELAY_REPOSITORY', 'must be owner/name', 'shop', 'acme/shop.git'],
    ['RELAY_ROUTES:', "/none.yml can't be read (ENOENT)", '/none.yml'],
    ['RELAY_DATABASE', 'must be sqlite:PATH or postgres://…', 'mysql://x', 'sqlite:', 'sqlite:  '],
    [
      'RELAY_DATABASE',
      'an in-memory database is lost',
      'sqlite::memory:',
      'sqlite:file::memory:?cache=shared',
    ],
    ['PORT_PREVIOUS_SECRETS', 'is an empty list', ' ,\n,'],
    [
      'PORT_PREVIOUS_SECRETS',
      'entry 2 contains such a character',
      'one,their-client-id:secret',
      'one,# a comment',
      'one,#secret',
    ],
    ['RELAY_ALLOWED_REPOSITORIES', 'is an empty list', ' ,\n,'],
    ['RELAY_REPORT_BLUEPRINTS', 'only excludes names', '!_*'],
    ['RELAY_REPORT_BLUEPRINTS', `"a[" isn't a glob: `, 'service, a['],
    ['RELAY_REPOSITORIES', "isn't known: did you mean RELAY_REPOSITORY?", ''],
    ['RELAY_ADMIN_TOKENFILE', "isn't known: did you mean RELAY_ADMIN_TOKEN_FILE?", 'x'],
    ['RELAY_SOMETHING_ELSE_ALTOGETHER', "isn't known: remove it", 'x'],
    ['RELAY_START_TIMEOUT', duration, '10'],
    ['RELAY_RUN_TIMEOUT', duration, 'soon'],
    ['RELAY_TOLERANCE', duration, '0s'],
    ['RELAY_RETENTION', duration, '1 year'],
    ['RELAY_RUN_TIMEOUT', 'must be at most 3650d', '3651d', '99999999d', '9999999999999999999999ms'],
    ['RELAY_MAX_BODY', 'must be a size such as 512kb', '-1mb'],
    ['RELAY_DISPATCH_RATE', 'must be a whole number of dispatches a minute, or 0', '1.5'],
    ['RELAY_TRUSTED_PROXIES', 'must be the number of proxies', 'yes'],
    ...['HTTPS_PROXY', 'http_proxy'].map((name): (typeof values)[0] => [
      ...([name, 'must be an http(s) URL', 'proxy.example.com:3128', 'ftp://proxy.example.com'] as const),
      ...['http://user:hunter2@[bad', 'http://', 'https://user:hunter%zz@proxy.example.com'],
      ...['http://proxy.example.com/path', 'http://proxy.example.com?a=1'],
    ]),
    ['PORT', 'must be a port number', '65536'],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'must be name=value', 'Bearer 100%'],
    ['LOG_LEVEL', 'must be one of fatal, error, warn, info, debug, trace, silent', 'loud'],
  ]
  test.each(values)('%s %s: %j', (name, problem, ...given) => {
    for (const value of given) {
      const [found, ...more] = problems({ ...LEAST, [name.replace(':', '')]: value })
      expect(more, value).toEqual([])
      expect(found, value).toMatch(new RegExp(`^${name} `))
      expect(found, value).toContain(problem)
      expect(found, value).not.toContain('hunter')
    }
  })

  const app = { GITHUB_TOKEN: '', GITHUB_APP_ID: '1', GITHUB_APP_PRIVATE_KEY: PKCS1 }
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  const ecKey = ec.export({ type: 'pkcs8', format: 'pem' }).toString()
  const same = 'sixteen characters'
  test.each<[string, Env]>([
    ['GITHUB_TOKEN and GITHUB_APP_ID/GITHUB_APP_PRIVATE_KEY are both set', { ...app, GITHUB_TOKEN: 't' }],
    ['GITHUB_APP_PRIVATE_KEY needs GITHUB_APP_ID', { ...app, GITHUB_APP_ID: '' }],
    ['GITHUB_APP_ID needs GITHUB_APP_PRIVATE_KEY', { ...app, GITHUB_APP_PRIVATE_KEY: '' }],
    ["GITHUB_APP_PRIVATE_KEY isn't a private key in PEM", { ...app, GITHUB_APP_PRIVATE_KEY: 'not a key' }],
    ["GITHUB_APP_PRIVATE_KEY isn't an RSA key", { ...app, GITHUB_APP_PRIVATE_KEY: ecKey }],
    ["GITHUB_APP_ID must be the App's id or client id", { ...app, GITHUB_APP_ID: 'my-app' }],
    [
      "RELAY_ALLOWED_REPOSITORIES doesn't match acme/shop",
      { RELAY_REPOSITORY: 'acme/shop', RELAY_ALLOWED_REPOSITORIES: 'acme/other' },
    ],
    [
      'RELAY_ALERT_SECRET must be whsec_ followed by 24 to 64 bytes',
      { RELAY_ALERT_URL: 'https://hooks.example/T0', RELAY_ALERT_SECRET: 'whsec_dG9vIHNob3J0' },
    ],
    [
      'RELAY_VIEW_TOKEN and RELAY_ADMIN_TOKEN are the same',
      { RELAY_VIEW_TOKEN: same, RELAY_ADMIN_TOKEN: same },
    ],
  ])('%s', (problem, env) => {
    expect(problems({ ...LEAST, ...env })).toEqual([expect.stringContaining(problem)])
  })

  test.each([
    ['{ repository: a/b, event_type: x, workflow: ci.yml }', 'event_type and workflow exclude each other'],
    ['{ repository: a/b, ref: main }', 'ref needs workflow'],
    ['{ repository: a/b, workflow: .github/workflows/ci.yml }', 'workflow must be the name of a file'],
    ['{ repository: a/b, workflow: ci.yml, ref: "a b" }', 'ref must be the name of a branch or tag'],
    ['repository: shop', 'repository must be owner/name'],
    ['{ repository: a/b, event_type: "" }', 'event_type '],
    ['{ repository: a/b, event_type: "a\\nb" }', 'event_type must be 1 to 100 characters on one line'],
    ['{ repository: a/b, match: { action: "" } }', 'match action must not be empty'],
    ['{ repository: a/b, match: { action: "a[" } }', "match action isn't a glob: "],
    ['{ repository: a/b, match: { action: "{deploy,!x}" } }', 'match action has a "!" within braces'],
    ['{ repository: a/b, match: { actoin: x } }', 'match '],
    ['{ repository: a/b, rerun: always }', 'rerun must be "lost-runner"'],
  ])('RELAY_ROUTES with the second route %j', (route, start) => {
    const r = `- { repository: a/b }\n- ${route}`
    const [problem, ...more] = problems({ ...LEAST, RELAY_ROUTES: 'r' }, { r })
    expect(more).toEqual([])
    expect(problem).toContain(`RELAY_ROUTES: r, route 2 ${start}`)
  })
  test.each([
    ['{', /^RELAY_ROUTES: r isn't YAML: .* at line 1, column 2$/],
    ['a: 1', /^RELAY_ROUTES: r must be a list of routes/],
  ])('RELAY_ROUTES with the file %j', (r, problem) => {
    const found = problems({ ...LEAST, RELAY_ROUTES: 'r' }, { r })
    expect(found).toEqual([expect.stringMatching(problem)])
  })
})

test('reports all problems together, one per line, without any secret', () => {
  const env = {
    PORT_CLIENT_SECRET: '',
    GITHUB_TOKEN: 'gh secret',
    GITHUB_APP_ID: 'x',
    GITHUB_APP_PRIVATE_KEY: 'key secret',
    RELAY_ADMIN_TOKEN: 'admin secret',
    RELAY_DATABASE: 'mysql://user:pass@db',
    RELAY_REPOSITORY: 'shop',
    PORT: 'x',
  }
  expect(problems(env)).toHaveLength(8)
  expect(() => readConfig(env)).toThrow(/^The configuration has 8 problems:\n( {2}- [A-Z_]+ .+\n?){8}$/)
  expect(problems(env).join()).not.toMatch(/secret\b(?!, which)|pass@/)
})

describe('a secret from a file', () => {
  test.each([
    ['PORT_CLIENT_SECRET', ' a secret '],
    ['PORT_PREVIOUS_SECRETS', 'one\ntwo, three'],
    ['GITHUB_TOKEN', 'a token'],
    ['GITHUB_WEBHOOK_SECRET', 'hook'],
    ['RELAY_ADMIN_TOKEN', 'a token of some length'],
    ['RELAY_VIEW_TOKEN', 'a token of some length'],
    ['RELAY_DATABASE', 'sqlite:/x'],
  ])('is read from %s_FILE, without its byte order mark and final line breaks', (name, value) => {
    const { [name as 'GITHUB_TOKEN']: _, ...rest } = LEAST
    const env = { ...rest, [`${name}_FILE`]: '/f' }
    expect(readConfig(env, files({ '/f': `\ufeff${value}\r\n\n` }))).toEqual(read({ [name]: value }))
    expect(problems(env)).toEqual([`${name}_FILE: /f can't be read (ENOENT)`])
    for (const empty of ['', ' \n', '\ufeff\r\n'])
      expect(problems(env, { '/f': empty })).toEqual([`${name}_FILE: /f is empty`])
  })

  test('can be an App key; setting both a variable and its _FILE variant is an error', () => {
    const env = { PORT_CLIENT_SECRET: 's', GITHUB_APP_ID: '1', GITHUB_APP_PRIVATE_KEY_FILE: '/k' }
    expect(readConfig(env, files({ '/k': PKCS1 })).github.auth).toEqual({ appId: '1', privateKey: PKCS8 })
    expect(problems({ ...LEAST, GITHUB_TOKEN_FILE: '/f' }, { '/f': 'x' })).toEqual([
      'GITHUB_TOKEN and GITHUB_TOKEN_FILE are both set: keep one',
    ])
  })
})
