import { randomBytes } from 'node:crypto'
import { closeSync, fstatSync, lstatSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { resolve } from 'node:path'
import { createAdaptorServer } from '@hono/node-server'
import { Hono } from 'hono'
import { html } from 'hono/html'
import { z } from 'zod'
import { describeNetworkError } from '../port/client/errors.ts'
import { trimEnd } from '../port/text.ts'
import { type Call, choice, createPrivateFile, defineCommand, quote, text, UsageError } from './command.ts'

const EXCHANGE_MS = 30_000

export const setup = defineCommand({
  name: 'setup',
  summary: "Creates the relay's GitHub App in the browser, and writes the App's credentials to a file.",
  positionals: ['github'],
  options: {
    url: text('URL', 'the address of the relay; RELAY_PUBLIC_URL by default'),
    organization: text('NAME', 'the owner of the App; your account by default'),
    name: text('NAME', 'the name of the App, which you can change on GitHub'),
    server: text(
      'URL',
      'GHE.com or Enterprise Server instead of github.com, such as https://git.example.com',
    ),
    output: text('FILE', 'a new file for the credentials; github-app.env by default'),
    for: choice('WHERE', ['kubectl', 'docker', 'systemd'], 'print the commands for this deployment'),
    port: text('NUMBER', 'the port of the page on this machine; a free port by default'),
  },
  details: `The command prints the address of a page that only this machine can open. The page sends the browser to GitHub. If the
browser is on another machine, choose a --port and forward it: ssh -L PORT:127.0.0.1:PORT HOST.`,
  async run({ env, values, positionals: [what], print, note, signal }) {
    if (what !== 'github') throw new UsageError('Specify what to set up: setup github; see setup --help.')
    const where = values.for ?? 'file'
    const commands = SETUP_COMMANDS[where]
    const url = addressOf('--url', values.url ?? env.RELAY_PUBLIC_URL)
    const server = addressOf('--server', values.server ?? 'https://github.com')
    const { organization, name = 'port-webhook-relay', output: file = 'github-app.env' } = values
    if (organization !== undefined && !/^[\w-]+$/.test(organization))
      throw new UsageError(`--organization must be a name, not ${JSON.stringify(organization)}.`)
    const port = Number(values.port ?? 0)
    if (!Number.isInteger(port) || port < 0 || port > 65_535)
      throw new UsageError('--port must be a number up to 65535.')
    const apiUrl = server === 'https://github.com' ? null : apiOf(server)
    // The file is created before the App, because GitHub shows the credentials only once.
    const reserved = createPrivateFile(file, 'choose another --output')
    let isSaved = false
    const save = (app: CreatedApp) => {
      try {
        writeFileSync(reserved, variables(app, apiUrl), { flush: true })
        if (lstatSync(file).ino !== fstatSync(reserved).ino)
          throw Object.assign(new Error(), { code: 'another program has replaced the file' })
        isSaved = true
      } catch (error) {
        note(
          `${file} can't be written (${(error as NodeJS.ErrnoException).code}). Copy these variables now, because GitHub doesn't show them again:`,
        )
        print(variables(app, apiUrl))
      }
      return isSaved
    }
    try {
      const app = await createInBrowser({ url, server, organization, name, port, save, print, note, signal })
      if (!app) return 1
      if (isSaved) {
        // Windows has no file modes, so other users may be able to read the file.
        const access = process.platform === 'win32' ? '' : ' (only you can read it)'
        print(`Written: ${file}${access}. Start the relay with these variables instead of GITHUB_TOKEN.`)
        for (const line of commands(resolve(file), app.id, apiUrl)) print(line)
      }
      print(`Install the App on your repositories: ${app.html_url}/installations/new`)
      return isSaved ? 0 : 1
    } finally {
      closeSync(reserved)
      if (!isSaved) rmSync(file, { force: true })
    }
  },
})

function addressOf(option: string, given: string | undefined): string {
  const url = given && /^https?:\/\//i.test(given) ? URL.parse(given) : null
  if (!url || url.search || url.hash || url.username)
    throw new UsageError(`${option} must be an http(s) URL, such as https://relay.example.com.`)
  return trimEnd(url.href, '/')
}

interface Wanted extends Pick<Call, 'print' | 'note' | 'signal'> {
  url: string
  server: string
  organization: string | undefined
  name: string
  /** The TCP port of the page on this machine. */
  port: number
  /** Writes the credentials to the file. Returns false if the file can't be written. */
  save: (app: CreatedApp) => boolean
}

/** docs/github-app.md explains the permissions and events. */
const manifestOf = ({ url, name }: Wanted, redirectUrl: string) => ({
  name,
  url,
  description: "Starts workflows for Port's actions, and shows their results in Port.",
  redirect_url: redirectUrl,
  hook_attributes: { url: `${url}/github`, active: true },
  public: false,
  default_permissions: {
    ...{ actions: 'write', checks: 'read', contents: 'write', deployments: 'read', metadata: 'read' },
  },
  default_events: ['workflow_run', 'workflow_job', 'deployment_review'],
})

type CreatedApp = z.output<typeof createdApp>

/**
 * Serves a page on this machine that starts GitHub's manifest flow in the browser. The page requires a token, which
 * other users of the machine don't know. GitHub's redirect must contain the state that the page created.
 * @see https://docs.github.com/apps/sharing-github-apps/registering-a-github-app-from-a-manifest
 */
async function createInBrowser(wanted: Wanted): Promise<CreatedApp | null> {
  const { server, organization, save, print, note, signal } = wanted
  const { promise: created, resolve: finish } = Promise.withResolvers<CreatedApp | null>()
  /** The `state` values that the page has created and GitHub's redirect hasn't returned yet. */
  const states = new Set<string>()
  const token = randomBytes(24).toString('base64url')
  const app = new Hono()
  let origin = ''
  let isStopped = false
  let isExchanging = false

  app.use(async (c, next) => {
    c.header(
      'content-security-policy',
      "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    )
    c.header('referrer-policy', 'no-referrer')
    c.header('cache-control', 'no-store')
    return next()
  })
  app.get('/', c => {
    if (c.req.query('token') !== token) return c.text(OPEN, 403)
    const state = randomBytes(32).toString('hex')
    states.add(state)
    const path = organization === undefined ? '' : `/organizations/${organization}`
    const manifest = JSON.stringify(manifestOf(wanted, `${origin}/created`))
    return c.html(
      page(html`<form method="post" action="${server}${path}/settings/apps/new?state=${state}">
<input type="hidden" name="manifest" value="${manifest}">
<p>GitHub shows the App before creating it. The App belongs to ${organization ?? 'your account'}, and its webhooks go to ${wanted.url}/github.</p>
<button>Continue on ${new URL(server).host}</button></form>`),
    )
  })
  app.get('/created', async c => {
    const { state = '', code = '' } = c.req.query()
    const refuse = (sentence: string) => {
      note(sentence)
      return c.html(page(html`<p>${sentence}</p><p>${OPEN}</p>`), 400)
    }
    if (!states.delete(state)) return refuse('This page was used before, or you came from another page.')
    if (isExchanging)
      return refuse('Another page already created the App. On GitHub, delete the App that this page created.')
    isExchanging = true
    try {
      const made = await exchange(server, code)
      const place = save(made) ? 'in the file that the terminal shows' : 'only in the terminal'
      setImmediate(finish, made)
      return c.html(
        page(html`<p>The App is created. Its credentials are ${place}.</p>
<p><a href="${made.html_url}/installations/new">Install it on your repositories</a></p>`),
      )
    } catch (error) {
      isExchanging = false
      if (isStopped) finish(null)
      return refuse((error as Error).message)
    }
  })

  const listener = createAdaptorServer({ fetch: app.fetch })
  await new Promise<void>((ready, fail) => {
    listener.once('error', fail)
    listener.listen(wanted.port, '127.0.0.1', ready)
  })
  origin = `http://127.0.0.1:${(listener.address() as AddressInfo).port}`
  const stop = () => {
    isStopped = true
    // The command waits for an exchange in progress, because GitHub's response contains the credentials.
    if (!isExchanging) finish(null)
  }
  signal?.addEventListener('abort', stop)
  for (const name of SIGNALS) process.on(name, stop)
  const address = `${origin}/?token=${token}`
  try {
    // Fails if --server or the proxy is wrong, before an App is created.
    await Promise.race([created, request(server, 'HEAD', '/meta')])
    if (!isStopped) print(`Open this page in your browser: ${address}`)
    return await created
  } finally {
    for (const name of SIGNALS) process.off(name, stop)
    listener.close()
  }
}

const OPEN = 'To start, open the address that the command printed.'
const SIGNALS = ['SIGINT', 'SIGTERM'] as const

function apiOf(server: string): string {
  const { protocol, host, hostname } = new URL(server)
  return /(^|\.)(github|ghe)\.com$/.test(hostname) ? `${protocol}//api.${host}` : `${server}/api/v3`
}

/** @throws Error with a message for the user, which ends with `more` */
const request = (server: string, method: string, path: string, more = '') =>
  fetch(apiOf(server) + path, {
    method,
    headers: { accept: 'application/vnd.github+json', 'x-github-api-version': '2022-11-28' },
    redirect: 'manual',
    signal: AbortSignal.timeout(EXCHANGE_MS),
  }).catch(cause => {
    const reason = `GitHub can't be reached at ${apiOf(server)} (${describeNetworkError(cause)})`
    throw new Error(`${reason}: check --server, the proxy, and NODE_EXTRA_CA_CERTS.${more}`, { cause })
  })

const LEFT = ' The App may exist on GitHub, but its credentials are lost: delete it there, and start again.'

async function exchange(server: string, code: string): Promise<CreatedApp> {
  const path = `/app-manifests/${encodeURIComponent(code)}/conversions`
  const response = await request(server, 'POST', path, LEFT)
  if (response.status === 404 || response.status === 422)
    throw new Error(
      `GitHub rejects the one-time code for creating the App (${response.status}): the code was used before, or is older than an hour. Delete the App on GitHub, if it exists, and start again.`,
    )
  const app = createdApp.safeParse(await response.json().catch(() => null))
  if (!app.success)
    throw new Error(
      `GitHub responded with ${response.status}, without the App's credentials: check --server.${LEFT}`,
    )
  return app.data
}

/** The texts must not contain characters that end a line in an environment file, or start a terminal escape sequence. */
const createdApp = z.object({
  id: z.int(),
  pem: z.string().regex(/^-----BEGIN [A-Z ]+-----[A-Za-z0-9+/=\r\n]+-----END [A-Z ]+-----\s*$/),
  webhook_secret: z.string().regex(/^[\w+/=-]+$/),
  html_url: z.url({ protocol: /^https?$/ }).transform(url => new URL(url).href),
})

/** Renders an environment file. The private key is on one line, a form that the relay accepts. */
function variables({ id, pem, webhook_secret }: CreatedApp, apiUrl: string | null): string {
  return [
    `GITHUB_APP_ID=${id}`,
    `GITHUB_APP_PRIVATE_KEY=${pem.trim().replace(/[\r\n]+/g, '\\n')}`,
    `GITHUB_WEBHOOK_SECRET=${webhook_secret}`,
    ...(apiUrl === null ? [] : [`GITHUB_API_URL=${apiUrl}`]),
    '',
  ].join('\n')
}

const page = (content: ReturnType<typeof html>) => html`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>GitHub App of the relay</title>
<style>:root{color-scheme:light dark;background:Canvas}body{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:4rem auto;padding:0 1rem;overflow-wrap:anywhere}button{font:inherit;padding:.5rem 1rem}</style>
<h1>GitHub App of the relay</h1>
<main>${content}</main></html>`

/** For each value of --for, the commands that pass the file's variables to the relay. No command contains a secret. */
const SETUP_COMMANDS: Record<
  'file' | 'kubectl' | 'docker' | 'systemd',
  (file: string, id: number, apiUrl: string | null) => string[]
> = {
  file: file => [
    `In a clone: node --env-file=${quote(file)} cli/main.ts`,
    `With the npm package: node --env-file=${quote(file)} "$(npm root --global)/port-webhook-relay/cli.js"`,
  ],
  kubectl: file => [
    `kubectl create secret generic port-webhook-relay-github --from-env-file=${quote(file)}`,
    'kubectl set env deployment/port-webhook-relay --from=secret/port-webhook-relay-github GITHUB_TOKEN_FILE-',
    '# Also remove GITHUB_TOKEN_FILE from your relay.yaml, because kubectl apply would add it again.',
  ],
  docker: file => [
    `cat > ${OVERRIDE} <<'END'`,
    'services:',
    '  relay:',
    // Compose replaces variables, so `$` is escaped.
    `    env_file: [${JSON.stringify(file).replaceAll('$', '$$$$')}]`,
    '    environment:',
    '      GITHUB_TOKEN_FILE: ""',
    'END',
    '# With PostgreSQL, also pass -f deploy/compose.postgres.yml.',
    `docker compose -f deploy/compose.yml -f ${OVERRIDE} up --build --detach`,
  ],
  systemd: (file, id, apiUrl) => [
    `sudo mkdir -p /etc/credstore.encrypted ${DROP_IN}`,
    encrypt(file, 'GITHUB_APP_PRIVATE_KEY', 'github-app-private-key'),
    encrypt(file, 'GITHUB_WEBHOOK_SECRET', 'github-webhook-secret'),
    `sudo tee ${DROP_IN}/github-app.conf <<'END'`,
    '[Service]',
    'LoadCredential=',
    'LoadCredential=port-client-secret:/etc/port-webhook-relay/port-client-secret',
    'LoadCredentialEncrypted=github-app-private-key:/etc/credstore.encrypted/github-app-private-key',
    'LoadCredentialEncrypted=github-webhook-secret:/etc/credstore.encrypted/github-webhook-secret',
    'UnsetEnvironment=GITHUB_TOKEN_FILE',
    `Environment=GITHUB_APP_ID=${id} GITHUB_APP_PRIVATE_KEY_FILE=%d/github-app-private-key GITHUB_WEBHOOK_SECRET_FILE=%d/github-webhook-secret${apiUrl === null ? '' : ` GITHUB_API_URL=${apiUrl}`}`,
    'END',
    'sudo systemctl daemon-reload && sudo systemctl restart port-webhook-relay',
    `shred --remove ${quote(file)} # the credentials are in the credential store`,
  ],
}

const encrypt = (file: string, variable: string, name: string) =>
  `sed -n 's/^${variable}=//p' ${quote(file)} | sudo systemd-creds encrypt --name=${name} - /etc/credstore.encrypted/${name}`
const DROP_IN = '/etc/systemd/system/port-webhook-relay.service.d'
const OVERRIDE = 'deploy/compose.github-app.yml'
