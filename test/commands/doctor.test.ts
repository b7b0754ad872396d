import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import pino from 'pino'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { configuration } from '../../cli/doctor/configuration.ts'
import { repositoryChecks } from '../../cli/doctor/repositories.ts'
import { diagnose, doctor } from '../../cli/doctor.ts'
import { RECOMMENDED_BODY } from '../../cli/generate/invocation-method.ts'
import type { JsonObject } from '../../port/types.ts'
import { readConfig } from '../../relay/config/config.ts'
import { createRelay, type Relay } from '../../relay/relay.ts'
import { openStore } from '../../relay/store/open.ts'
import { type GitHubApi, startGitHubApi } from '../../simulator/github/github.ts'
import { type OidcIssuer, startOidcIssuer } from '../../simulator/github/oidc-issuer.ts'
import type { DeclaredInput } from '../../simulator/github/types.ts'
import { type PortApi, startPortApi } from '../../simulator/port/port.ts'
import { acceptAll, applyTo } from '../store/place.ts'
import { runRelay } from '../support/relay.ts'
import { send } from '../support/requests.ts'
import { run } from '../support/run-command.ts'

const PUBLIC_URL = 'https://relay.example.com'
type Env = Record<string, string>

let folder: string
let github: GitHubApi
let port: PortApi
let issuer: OidcIssuer
let relay: Relay
/** A port below the system's ephemeral ports, so that no other test listens on it. */
const nowhere = '127.0.0.1:2'
let clean: Env

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'doctor-'))
  ;[github, port, issuer] = await Promise.all([startGitHubApi(), startPortApi(), startOidcIssuer()])
  const dispatchable = 'on:\n  workflow_dispatch:\n    inputs: { port: { type: string } }\n'
  const workflow = (name: string, eventTypes: string[], more = {}) => {
    return { path: `.github/workflows/${name}.yml`, name, eventTypes, ...more }
  }
  github.addRepository('acme/shop', {
    workflows: [
      workflow('deploy', ['deploy', 'roll-back']),
      workflow('any', [], { content: dispatchable }),
      workflow('by-hand', [], { content: 'on: workflow_dispatch' }),
      workflow('tcp', [], { content: 'on: { workflow_dispatch: { inputs: { port: { type: number } } } }' }),
      workflow('old', ['old'], { state: 'disabled_manually' }),
    ],
  })
  github.addRepository('acme/bare')
  github.addRepository('acme/listed', {
    workflows: [workflow('all', [], { content: 'on: [push, repository_dispatch]' })],
  })
  github.addRepository('acme/unlisted', { permissions: { contents: 'write', actions: 'none' } })
  github.addRepository('acme/read', {
    permissions: { contents: 'read', actions: 'write' },
    workflows: [workflow('any', [], { content: dispatchable })],
  })
  clean = {
    PORT_CLIENT_ID: port.clientId,
    PORT_CLIENT_SECRET: port.clientSecret,
    PORT_API_URL: port.url,
    GITHUB_TOKEN: github.token,
    GITHUB_API_URL: github.url,
    GITHUB_WEBHOOK_SECRET: 'a-webhook-secret',
    GITHUB_OIDC_ISSUER: issuer.url,
    RELAY_REPOSITORY: 'acme/shop',
    RELAY_DATABASE: `sqlite:${join(folder, 'doctor.db')}`,
    RELAY_PUBLIC_URL: PUBLIC_URL,
    RELAY_ADMIN_TOKEN: 'an-admin-token-of-some-length',
    // Nothing listens on this port.
    PORT: '2',
  }
  // The relay has its own token, because it checks an unused credential each minute.
  const own = { GITHUB_TOKEN: github.createToken(), RELAY_DATABASE: `sqlite:${join(folder, 'relay.db')}` }
  relay = await startRelay({ ...clean, ...own })
})
const startRelay = (env: Env) =>
  createRelay(readConfig({ ...env, HOST: '127.0.0.1', PORT: '0' }), pino({ level: 'silent' }))
afterEach(() => {
  github.clearFailures()
  port.clearFailures()
  issuer.clearFailures()
})
afterAll(async () => {
  await relay.stop()
  await Promise.all([github.close(), port.close(), issuer.close()])
  rmSync(folder, { recursive: true, force: true })
})

/** Replaces the public URL with the address of this test's relay. */
const atThisMachine = (url: string | URL | Request) =>
  String(url).replace(/^https?:\/\/relay\.example\.com/, `http://127.0.0.1:${relay.port}`)

type Change = Record<string, string | undefined>
/** Returns the clean environment with these changes; an undefined variable is removed. */
const envWith = (more: Change) =>
  Object.fromEntries(Object.entries({ ...clean, ...more }).filter(([, value]) => value !== undefined)) as Env
const readFile = (path: string) => readFileSync(path, 'utf8')

/** Returns the findings with these changes. */
const findings = (more: Change = {}, clock: () => number = Date.now) =>
  diagnose({ env: envWith(more), clock, fetch: (url, init) => fetch(atThisMachine(url), init), readFile })

const shown = (found: ({ status: string; sentence: string } | false)[]) =>
  found.flatMap(each => (each ? [`${each.status}: ${each.sentence}`] : []))

/** Returns the findings that aren't ok. */
async function wrong(...args: Parameters<typeof findings>): Promise<string[]> {
  return shown((await findings(...args)).filter(({ status }) => status !== 'ok'))
}

/** Opens no database, and returns the findings about the configuration and the repositories. */
async function findingsIn(more: Change): Promise<string[]> {
  const env = envWith(more)
  const config = readConfig(env, readFile)
  const deps = { env, config, clock: Date.now, fetch, readFile, failed: [] }
  const checks = [configuration, ...repositoryChecks(config)]
  return shown((await Promise.all(checks.map(check => check.run(deps)))).flat())
}
const wrongIn = async (more: Change) => (await findingsIn(more)).filter(each => !each.startsWith('ok'))

/** Creates a file with this name in the test's folder. */
function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}

/** Configures an App instead of the token. */
const envOf = ({ id, privateKey }: { id: number; privateKey: string }) => ({
  ...{ GITHUB_TOKEN: undefined, GITHUB_APP_ID: String(id), GITHUB_APP_PRIVATE_KEY: privateKey },
})

const routes = (yaml: string) => ({ RELAY_REPOSITORY: undefined, RELAY_ROUTES: file('routes.yml', yaml) })

test('reports ok on every line for a clean configuration', async () => {
  const host = new URL(port.url).host
  expect(await findings()).toEqual(
    [
      ['configuration', 'The configuration is valid.'],
      ['database', `The database ${join(folder, 'doctor.db')} is writable.`],
      ['port', `Port (${host}) accepts PORT_CLIENT_ID and PORT_CLIENT_SECRET.`],
      ['github', 'GitHub accepts GITHUB_TOKEN.'],
      ['acme/shop', "The relay's credential can dispatch to acme/shop."],
      ['acme/shop', 'acme/shop: deploy.yml listens to repository_dispatch.'],
      ['relay', `A relay responds at ${PUBLIC_URL}.`],
      ['OIDC issuer', `The OIDC issuer ${issuer.url} publishes its keys.`],
    ].map(([check, sentence]) => ({ check, status: 'ok', sentence })),
  )
})

/** Columns: a variable with its value (`-` removes the variable), and the finding. */
const UNWANTED = `
RELAY_REPOSITORY=-                  problem: No repository is allowed: set RELAY_REPOSITORY, RELAY_ROUTES or RELAY_ALLOWED_REPOSITORIES.
RELAY_ALLOWED_REPOSITORIES=*/*      warning: RELAY_ALLOWED_REPOSITORIES allows every repository: anyone who can edit actions in Port can dispatch to all repositories that the credential can access. Instead of the pattern, name each repository.
RELAY_START_TIMEOUT=2d              problem: RELAY_START_TIMEOUT never applies, because it is longer than RELAY_RUN_TIMEOUT: shorten RELAY_START_TIMEOUT.
RELAY_START_TIMEOUT=5s              warning: RELAY_START_TIMEOUT is less than a minute: a workflow run may take longer to appear on GitHub.
RELAY_RUN_TIMEOUT=40d               warning: RELAY_RUN_TIMEOUT is longer than 35 days, after which GitHub cancels a workflow run.
RELAY_TOLERANCE=2h                  warning: RELAY_TOLERANCE is longer than an hour: a captured webhook can be replayed for that long. A few minutes are enough.
RELAY_TOLERANCE=1s                  problem: RELAY_TOLERANCE is less than 10 s: webhooks that take longer to arrive are refused.
RELAY_RETENTION=5m                  warning: RELAY_RETENTION is less than an hour: a failed delivery is deleted before an operator can redeliver it.
PORT_CLIENT_ID=-                    warning: PORT_CLIENT_ID isn't set: the relay dispatches, but sends no results to Port.
RELAY_ADMIN_TOKEN=-                 warning: RELAY_ADMIN_TOKEN isn't set: the dashboard, the admin API, and the commands that use it are off.
RELAY_PUBLIC_URL=-                  warning: RELAY_PUBLIC_URL isn't set: workflows can't report through the relay.
RELAY_REPORT_DELETE_BLUEPRINTS=*    warning: RELAY_REPORT_DELETE_BLUEPRINTS matches Port's own blueprints, such as _user, so workflow runs can delete users. Instead of the pattern, name each blueprint, or add !_* to the pattern.
GITHUB_WEBHOOK_SECRET=-             warning: GITHUB_WEBHOOK_SECRET isn't set: without GitHub's webhooks, the relay polls for workflow runs and sends their results to Port later.
`

/** Parses a table's lines: two columns, separated by two spaces. */
const table = (text: string) =>
  text
    .trim()
    .split('\n')
    .map(line => line.split(/ {2,}/) as [string, string])

test.each(table(UNWANTED))(
  'for a valid configuration with unintended effects, doctor reports the effect of %s',
  async (change, expected) => {
    const [name, value] = change.split('=') as [string, string]
    expect(await wrongIn({ [name]: value === '-' ? undefined : value })).toEqual([expected])
  },
)

/** Columns: the routes, and the finding about their repository. */
const REPOSITORIES = `
- { repository: acme/none }                                  problem: GitHub can't find acme/none: it doesn't exist, or the credential has no access to it.
- { repository: acme/read }                                  problem: The relay's credential can't dispatch to acme/read: the credential needs the permission Contents: write.
- { repository: acme/unlisted }                              warning: The relay's credential lacks the permission Actions: read on acme/unlisted: the relay can follow a workflow run only through the action's reports and GitHub's webhooks. Without webhooks, Port shows the result of the first job that reports, not of the whole run.
- { repository: acme/read, workflow: any.yml }               ok
- { match: { action: a }, repository: acme/read, workflow: any.yml } + - { repository: acme/read, event_type: b }  problem: The relay's credential can't dispatch to acme/read: the credential needs the permission Contents: write.
- { repository: acme/unlisted, workflow: any.yml }           problem: The relay's credential can't start a workflow of acme/unlisted: the credential needs the permission Actions: write.
- { repository: acme/bare }                                  warning: acme/bare: no workflow on main listens to repository_dispatch.
- { repository: acme/shop, event_type: restart }             problem: acme/shop: no workflow on main listens to repository_dispatch of type "restart".
- { match: { action: scaffold }, repository: acme/shop }     problem: acme/shop: no workflow on main listens to repository_dispatch of type "scaffold".
- { match: { action: "*" }, repository: acme/shop } + - { match: { action: deploy }, repository: acme/shop }  warning: RELAY_ROUTES: route 2 is unused, because route 1 matches everything.
- { repository: acme/shop, event_type: old }                 problem: acme/shop: old.yml listens to repository_dispatch of type "old", but the workflow is disabled: enable it on GitHub.
- { repository: acme/shop, workflow: none.yml }              problem: acme/shop has no workflow none.yml.
- { repository: acme/shop, workflow: old.yml }               problem: acme/shop: old.yml is disabled: enable it on GitHub.
- { repository: acme/shop, workflow: deploy.yml }            problem: acme/shop: deploy.yml has no workflow_dispatch: add it under "on".
- { repository: acme/shop, workflow: tcp.yml }               warning: acme/shop: the input "port" of tcp.yml isn't meant for the relay, but the relay sends its payload in it, unless the Port action has an input "port": rename the workflow's input.
- { repository: acme/shop, workflow: by-hand.yml }           warning: acme/shop: by-hand.yml declares no input "port": without it, the action doesn't know the run in Port.
`

/** Columns: a variable with its value, and the finding. */
const SERVICES = `
RELAY_ADMIN_TOKENS=x                problem: RELAY_ADMIN_TOKENS isn't known: did you mean RELAY_ADMIN_TOKEN?
RELAY_COLOUR_OF_THE_LOGO=blue       problem: RELAY_COLOUR_OF_THE_LOGO isn't known: remove it, or correct its name.
RELAY_DATABASE=postgres://user@${nowhere}/relay  problem: The PostgreSQL database relay on ${nowhere} can't be opened (connect ECONNREFUSED ${nowhere}): RELAY_DATABASE must specify a server that this machine can reach, and a user who can create tables in that database.
PORT_API_URL=http://${nowhere}      problem: Port didn't respond to POST /v1/auth/access_token at http://${nowhere}: ECONNREFUSED. Check PORT_API_URL, and whether this machine can reach it (proxy, firewall).
GITHUB_TOKEN=github_pat_wrong       problem: GitHub rejects GITHUB_TOKEN (401: Bad credentials): the token is wrong, expired, or revoked. Set a new token.
RELAY_PUBLIC_URL=${PUBLIC_URL}/elsewhere  warning: No relay responds at RELAY_PUBLIC_URL (${PUBLIC_URL}/elsewhere): the address responds with 404. Start the relay. If it runs: Let the proxy forward /healthz, /webhook, /github, and /report, or correct RELAY_PUBLIC_URL.
RELAY_PUBLIC_URL=https://localhost  warning: RELAY_PUBLIC_URL (https://localhost) is this machine's own address: workflows on GitHub's runners can't reach it.
RELAY_REPOSITORY="acme/shop"        problem: RELAY_REPOSITORY is in quotes, which count as part of its value: remove the quotes (Docker's --env-file keeps them).
HTTPS_PROXY=proxy:3128              problem: HTTPS_PROXY must be an http(s) URL, such as http://proxy.example.com:3128; in a user name or password, write % as %25.
HTTP_PROXY=http://${nowhere}        problem: The proxy in HTTP_PROXY (${nowhere}) can't be reached: ECONNREFUSED.
NODE_EXTRA_CA_CERTS=/missing.pem    problem: NODE_EXTRA_CA_CERTS: /missing.pem can't be read (ENOENT).
`

describe('while it checks services, doctor', () => {
  test.each(table(SERVICES))('reports the problem of %s', async (change, expected) => {
    const [name, value] = change.split('=') as [string, string]
    expect(await wrong({ [name]: value })).toEqual([expected])
  })

  test('with and without a running relay, reports a database that another process has locked or that belongs to another organization', async () => {
    const [free, used] = [join(folder, 'free.db'), join(folder, 'relay.db')]
    const ofDatabase = async (path: string, more: Change = {}) => {
      const found = await findings({ RELAY_DATABASE: `sqlite:${path}`, ...more })
      return found.find(({ check }) => check === 'database')!.sentence
    }
    expect(await ofDatabase(used, { PORT_CLIENT_ID: 'another' })).toContain(
      'belongs to the Port organization',
    )
    expect(await ofDatabase(used)).toBe(`The database ${used} is in use by a relay, and writable.`)
    expect(await ofDatabase(free)).toBe(`The database ${free} is writable.`)
    const others = [free, used].map(path => new DatabaseSync(path))
    for (const other of others) other.exec('BEGIN IMMEDIATE')
    const found = await Promise.all([ofDatabase(free), ofDatabase(used)])
    for (const other of others) other.close()
    expect(found).toEqual([
      `The database ${free} is locked by another process, such as a backup or a shell with an open transaction: stop that process.`,
      `The database ${used} doesn't accept writes: it is locked (database is locked). Stop the process that has a transaction open, such as a backup or a shell: fuser or lsof, with the path in RELAY_DATABASE, lists the processes that use the file.`,
    ])
  })

  test('reports the problems of a running relay, even behind a proxy that exposes only /healthz', async () => {
    const detail = 'The database (RELAY_DATABASE) is unavailable or read-only.'
    const body = { ok: false, checks: { database: { ok: false, detail }, github: { ok: true } } }
    const found = await diagnose({
      ...{ env: clean, clock: Date.now, readFile: () => '' },
      fetch: async (to, init) => {
        if (String(to) === 'http://127.0.0.1:2/readyz') return Response.json(body, { status: 503 })
        return String(to) === `${PUBLIC_URL}/readyz`
          ? new Response('', { status: 404 })
          : fetch(atThisMachine(to), init)
      },
    })
    expect(found.filter(({ check }) => check === 'relay')).toEqual([
      { check: 'relay', status: 'ok', sentence: `A relay responds at ${PUBLIC_URL}.` },
      { check: 'relay', status: 'problem', sentence: `The running relay: ${detail}` },
    ])
  })

  test("reports wrong credentials for Port, and a clock that differs from Port's", async () => {
    const host = new URL(port.url).host
    const rejected = `^problem: Port \\(${host}\\) responded with 401 to POST /v1/auth/access_token .*: Port doesn't accept PORT_CLIENT_ID and PORT_CLIENT_SECRET; check both values, and check that PORT_API_URL is the API of the organization's region\\.$`
    const found = await wrong({ PORT_CLIENT_SECRET: 'wrong' })
    expect(found).toEqual([expect.stringMatching(rejected)])
    const off = await wrong({}, () => Date.now() - 400_000)
    expect(off.map(text => text.replace(/\d+ s (?=behind)/, 'N s '))).toEqual([
      "problem: This machine's clock is N s behind Port's: webhooks are refused if the difference exceeds RELAY_TOLERANCE (300 s). Synchronize it with NTP.",
      "warning: This machine's clock is N s behind GitHub's: times in the relay's log and in Port are wrong. Synchronize it with NTP.",
    ])
  })

  test("says what Port's agent needs, if a definition in Port calls the relay through the agent", async () => {
    const { definitions, settings } = port
    const body = { inputs: '{{ .inputs }}' }
    const method = { type: 'WEBHOOK', agent: true, url: 'http://relay:8080/webhook/acme/shop', body }
    const define = (identifier: string, more: object = {}, properties: object = {}) =>
      definitions.action.set(identifier, {
        ...{ identifier, trigger: { type: 'self-service', userInputs: { properties } } },
        invocationMethod: { ...method, ...more },
      } as JsonObject)
    const ofAgent = async (more: Change = {}) =>
      shown((await findings(more)).filter(({ check }) => check === 'agent'))
    onTestFinished(() => {
      definitions.action.clear()
      definitions.workflow.clear()
      delete settings.portAgentStreamerName
    })
    define('public', { agent: false })
    define('ofOthers', { url: 'http://jenkins.acme.example/build' })
    expect(await ofAgent()).toEqual([])
    define('deploy')
    expect(await ofAgent()).toEqual([
      expect.stringMatching(
        /^warning: Port sends runs of deploy to an agent with the transport KAFKA\. .*POLLING/,
      ),
    ])
    settings.portAgentStreamerName = 'POLLING'
    const polls = "ok: Port's agent polls for runs of deploy, so Port doesn't need to reach the relay."
    expect(await ofAgent()).toEqual([polls])
    define('bare', { body: undefined })
    define('secret', {}, { token: { type: 'string', encryption: 'aes256-gcm' } })
    expect((await ofAgent()).slice(1)).toEqual([
      "problem: bare has no body, so Port's agent gets no inputs: use the body that generate prints.",
      "problem: secret: Port doesn't send the secret input token to an agent that polls.",
    ])
    for (const name of ['bare', 'secret']) definitions.action.delete(name)
    const node = { ...method, body: { key: '{{ .secrets["KEY"] }}' } }
    definitions.workflow.set('flow', { identifier: 'flow', nodes: [{ identifier: 'n', config: node }] })
    expect(await ofAgent()).toEqual([
      polls.replace('deploy', 'deploy, flow'),
      "problem: flow: Port doesn't send the organization secrets (.secrets) to an agent that polls.",
    ])
    const forbid = port.fail({ status: 403, match: ({ path }) => path === '/v1/organization' })
    onTestFinished(forbid)
    expect(await ofAgent()).toEqual([
      "ok: Port's agent passes deploy, flow to the relay. The organization's settings can't be read (403), so the agent's transport is unknown.",
    ])
    // Without a public address, no finding is about the public address.
    const found = await findings({ RELAY_PUBLIC_URL: undefined })
    expect(found.filter(({ check }) => check === 'relay')).toEqual([])
  })

  test("names credentials and an API address with which Port's agent can't claim runs", async () => {
    const ofUser = await startPortApi({ clientId: 'ada@acme.example' })
    onTestFinished(() => ofUser.close())
    ofUser.settings.portAgentStreamerName = 'POLLING'
    const invocationMethod = {
      type: 'WEBHOOK',
      agent: true,
      url: 'http://relay:8080/webhook',
      body: { inputs: {} },
    }
    ofUser.definitions.action.set('deploy', { identifier: 'deploy', trigger: {}, invocationMethod })
    const api = 'https://api.getport.io'
    const credentials = { PORT_CLIENT_ID: ofUser.clientId, PORT_CLIENT_SECRET: ofUser.clientSecret }
    const found = await diagnose({
      env: envWith({
        ...credentials,
        PORT_API_URL: api,
        RELAY_DATABASE: `sqlite:${join(folder, 'agent.db')}`,
      }),
      ...{ clock: Date.now, readFile },
      fetch: (url, init) => fetch(atThisMachine(String(url).replace(api, ofUser.url)), init),
    })
    expect(shown(found.filter(({ check }) => check === 'agent')).slice(1)).toEqual([
      "problem: PORT_CLIENT_ID belongs to a user: Port's agent can claim runs only with the organization's credentials.",
      "warning: Port's agent can't claim runs at api.getport.io: set PORT_API_URL to https://api.port.io.",
    ])
    expect(JSON.stringify(found)).not.toContain('ada@')
  })

  test('reports an unreachable GitHub, web pages instead of the API, an expiring token, and a used-up rate limit', async () => {
    expect((await wrong({ GITHUB_API_URL: `http://${nowhere}` }))[0]).toBe(
      `problem: GitHub can't be reached at http://${nowhere} (ECONNREFUSED): check GITHUB_API_URL, and whether this machine can reach it (proxy, firewall).`,
    )
    expect((await wrong({ GITHUB_API_URL: `${github.url}/wrong` }))[0]).toBe(
      `problem: GITHUB_API_URL (${github.url}/wrong) doesn't respond like GitHub's API. The API URL of an Enterprise Server ends with /api/v3.`,
    )
    const limit = (remaining: number, headers: Env = {}, status = 200, body?: object) => {
      const rate = { limit: 5000, remaining, used: 0, reset: 1_800_000_000 }
      const match = ({ path, headers }: { path: string; headers: Env }) =>
        path === '/rate_limit' && headers.authorization!.endsWith(github.token)
      github.fail({ match, status, headers, body: body ?? { resources: {}, rate } })
    }
    const tomorrow = new Date(Date.now() + 864e5).toISOString().replace(/T(.{8}).*/, ' $1 UTC')
    limit(5000, { 'github-authentication-token-expiration': tomorrow })
    const expires = `GITHUB_TOKEN expires on ${tomorrow.slice(0, 10)}: renew it before then.`
    expect(await wrong()).toEqual([`warning: ${expires}`])
    limit(12)
    expect(await wrong()).toEqual([
      "warning: GitHub's rate limit is nearly used up: 12 of 5000 requests are left until 08:00 UTC. Give the relay its own credential.",
    ])
    limit(0, { 'retry-after': '60' }, 403, { message: 'You have exceeded a secondary rate limit.' })
    expect((await wrong())[0]).toMatch(/^problem: GitHub limits the relay's requests \(403\)/)
    github.failures.secondaryLimit(60, { times: 9 })
    expect((await wrong())[1]).toBe(
      "problem: acme/shop can't be read: GitHub limits the relay's requests (403). Run this command again later.",
    )
    github.clearFailures()
  })

  test('says what a credential without Checks: read cannot do, and warns about a route that needs this permission', async () => {
    const cost =
      "Port's log doesn't show the annotations of failed jobs, and rerun: lost-runner has no effect."
    const token = `ok: GITHUB_TOKEN is a fine-grained token, which can't have the permission Checks: read. ${cost} For both, use a GitHub App.`
    const GITHUB_TOKEN = github.createToken({ isFineGrained: true })
    const ofGitHub = async (more: Change) =>
      shown((await findings(more)).filter(({ check }) => check === 'github'))
    expect(await ofGitHub({ GITHUB_TOKEN })).toContain(token)
    const rerun = routes('- { repository: acme/shop, rerun: lost-runner }')
    expect(await ofGitHub({ GITHUB_TOKEN, ...rerun })).toContain(token.replace('ok', 'warning'))
    expect(await ofGitHub(rerun)).toEqual(['ok: GitHub accepts GITHUB_TOKEN.'])
    const app = github.createApp({ permissions: { contents: 'write', actions: 'write' } })
    expect(await ofGitHub(envOf(app))).toContain(
      `warning: The GitHub App ${app.slug} lacks the permission Checks: read. ${cost} Set the permission in the App's settings, under Permissions & events.`,
    )
  })

  test('reports a GitHub App with the key of another App, without an installation on the repository, or with wrong webhooks', async () => {
    const [app, other] = [github.createApp({ repositories: ['acme/bare'] }), github.createApp()]
    const [env, good] = [envOf(app), envOf(other)]
    expect((await wrong({ ...env, GITHUB_APP_PRIVATE_KEY: other.privateKey }))[0]).toBe(
      "problem: GitHub rejects the App (401: A JSON web token could not be decoded): check that GITHUB_APP_ID is correct, that GITHUB_APP_PRIVATE_KEY is a key of that App, and that this machine's clock is right.",
    )
    expect(await wrong(env)).toEqual([
      "problem: The relay's GitHub App isn't installed on acme/shop (404: Not Found): install it there, or add the repository to its installation (the owner's Settings, GitHub Apps, Configure, Repository access).",
    ])
    const respond = (to: string, body: object) =>
      github.fail({ match: ({ path }) => path === to, status: 200, body })
    const hook = (body: object) => respond('/app/hook/config', body)
    respond('/app', { slug: 'port-relay', events: [], permissions: { checks: 'read' } })
    expect(await wrong(good)).toEqual([
      "warning: The GitHub App port-relay doesn't subscribe to workflow_run: select this event in the App's settings, under Permissions & events.",
    ])
    hook({ url: 'https://old.example.com/github', content_type: 'json' })
    expect(await wrong(good)).toEqual([
      `warning: The GitHub App sends its webhooks to https://old.example.com/github: set its webhook URL to ${PUBLIC_URL}/github.`,
    ])
  })

  test.each(table(REPOSITORIES))('checks the repository in the routes %s', async (yaml, expected) => {
    expect(await wrongIn(routes(yaml.replace(' + ', '\n')))).toEqual(expected === 'ok' ? [] : [expected])
  })

  test("accepts a correct workflow in a route, and says if the credential can't read it", async () => {
    const route = routes('- { repository: acme/shop, workflow: any.yml }')
    const correct = 'ok: acme/shop: any.yml has workflow_dispatch and declares "port".'
    expect((await findingsIn(route)).at(-1)).toBe(correct)
    github.fail({ match: ({ path }) => path.includes('/contents/'), status: 403 })
    expect(await wrongIn(route)).toEqual([
      "warning: acme/shop: any.yml can't be read: the credential needs the permission Contents: read.",
    ])
  })

  test('reports an OIDC issuer without keys', async () => {
    issuer.fail({ status: 404 })
    expect(await wrong()).toEqual([
      `problem: The OIDC issuer ${issuer.url} publishes no keys (HTTP 404), so reports are rejected: check GITHUB_OIDC_ISSUER.`,
    ])
  })
})

describe("doctor compares a workflow's inputs", () => {
  const properties = { replicas: { type: 'number' }, enviroment: { type: 'string' } }
  const userInputs = { properties, required: ['enviroment'] }
  const trigger = { type: 'self-service', operation: 'DAY-2', userInputs }
  const inputs = (declared: object) => ({ eventTypes: [], dispatch: { inputs: declared as Declared } })
  const ALLOWED = { RELAY_ALLOWED_REPOSITORIES: 'acme/*' }
  type Declared = Record<string, DeclaredInput>
  const required = { required: true }

  async function compared(json: string): Promise<string[]> {
    const path = file('port-action.json', json)
    const found = await run(doctor, ['--json', '--port-action', path], { ...clean, ...ALLOWED })
    const { findings } = JSON.parse(found.stdout) as { findings: Awaited<ReturnType<typeof diagnose>> }
    return shown(findings.filter(({ check }) => check === 'port action'))
  }
  beforeAll(() => {
    const named = (name: string, declared: object) => {
      return { ...inputs(declared), name, path: `.github/workflows/${name}.yml` }
    }
    const older = `on: { workflow_dispatch: { inputs: { port_context: {}, port_payload: {} } } }
env: { A: "\${{ inputs.port_context }}", B: "\${{ inputs.port_payload }}", C: "\${{ fromJSON(inputs.port_context).tier }}" }
`
    github.addRepository('acme/scaled', {
      workflows: [
        named('guide', { replicas: {}, environment: {}, port_context: required }),
        named('carried', { port: {}, region: { required: true, default: 'eu' } }),
        { ...named('older', { port_context: {}, port_payload: {} }), content: older },
        named('strict', { replicas: required, enviroment: required, region: required }),
      ],
    })
  })

  test('with the inputs in the file of a Port action, and accepts undeclared inputs if the workflow declares "port"', async () => {
    const url = `${PUBLIC_URL}/webhook/acme/scaled`
    const ofGitHub = {
      ...{ type: 'GITHUB', org: 'acme', repo: 'scaled', workflow: 'guide.yml' },
      workflowInputs: {
        ...{ environment: '{{ .inputs.enviroment }}', port_context: { runId: '{{ .run.id }}' } },
        ...{ ref: 'main', '{{if (.inputs | has("replicas")) then "replicas" else null end}}': 2 },
      },
    }
    const undeclared =
      'problem: scale: Workflow guide.yml in acme/scaled doesn\'t declare the input "enviroment" (closest declared input: "environment") on "main": declare it under "on: workflow_dispatch: inputs:", or declare the input "port", which contains the value, or remove it from the Port action\'s body.'
    const to = (query: string, body: unknown) => ({ type: 'WEBHOOK', url: `${url}?${query}`, body })
    const rows: [object, ...string[]][] = [
      [to('workflow=guide.yml', RECOMMENDED_BODY), undeclared],
      [
        to('workflow=carried.yml', RECOMMENDED_BODY),
        'ok: scale: carried.yml in acme/scaled gets every input, and its input "port" contains "replicas", "enviroment".',
      ],
      [
        to('workflow=strict.yml', RECOMMENDED_BODY),
        'problem: scale: strict.yml in acme/scaled requires "region", which the action doesn\'t send: add the input to the action and its body, or give it a default in the workflow.',
        'warning: scale: strict.yml in acme/scaled requires "replicas", which a user can leave empty: make the input required in Port, or give it a default in the workflow.',
      ],
      [ofGitHub, 'ok: scale: guide.yml in acme/scaled gets every input.'],
      [
        to('workflow=older.yml', RECOMMENDED_BODY),
        'warning: scale: port_context contains the entity as an object if the relay makes the context, because older.yml in acme/scaled passes on the whole input (line 2). To get the identifier, read .entity.identifier instead of .entity.',
        'warning: scale: port_context has no tier if the relay makes it, although older.yml in acme/scaled reads this (line 2): add port_context with these keys to the body of the Port action.',
      ],
      [
        to('workflow=older.yml', { ...RECOMMENDED_BODY, port_context: { runId: 'x' } }),
        'ok: scale: older.yml in acme/scaled gets every input.',
      ],
      [
        to('event_type=x', RECOMMENDED_BODY),
        'ok: scale starts a repository_dispatch, and its payload contains every input.',
      ],
    ]
    const actions = rows.map(([invocationMethod]) => ({ identifier: 'scale', trigger, invocationMethod }))
    expect(await compared(JSON.stringify(actions))).toEqual(rows.flatMap(([, ...expected]) => expected))
  })

  test('with the inputs of recent deliveries, even while a relay uses the database file, and finds synchronous nodes', async () => {
    const database = `sqlite:${join(folder, 'deliveries.db')}`
    const env = { ...clean, ...ALLOWED, RELAY_DATABASE: database }
    const running = await startRelay(env)
    const inputs = { enviroment: 'prod' }
    try {
      const webhook = (workflow: string, more: object) =>
        send(`http://127.0.0.1:${running.port}`, {
          path: `/webhook/acme/scaled?workflow=${workflow}`,
          body: { run: { id: `r_${workflow.slice(0, 5)}` }, action: { identifier: 'scale' }, ...more },
          secret: port.clientSecret,
        })
      for (const workflow of ['guide.yml', 'carried.yml'])
        expect((await webhook(workflow, { inputs })).status).toBe(202)
      const nodes = Array.from({ length: 2 }, () => port.createNodeRun())
      for (const { id, workflowRunId } of nodes) {
        const workflowRun = { identifier: workflowRunId }
        await webhook('carried.yml', { run: { id }, workflowRun, inputs })
      }
      const finishedAt = new Date().toISOString()
      Object.assign(nodes[0]!, { status: 'COMPLETED', result: 'SUCCESS', finishedAt })
      const found = (await findings(env)).filter(({ check }) => check === 'deliveries')
      expect(shown(found)).toEqual([
        `warning: Port finished ${nodes[0]!.id} within seconds of the webhook, before anything ran on GitHub: set "synchronized": false in the node of the Port workflow, because its default is true.`,
        expect.stringMatching(
          /^problem: the last delivery of scale: Workflow guide\.yml in acme\/scaled doesn't declare the input "enviroment" \(closest declared input: "environment"\)/,
        ),
        'ok: the last delivery of scale: carried.yml in acme/scaled gets every input, and its input "port" contains "enviroment".',
      ])
    } finally {
      await running.stop()
    }
  })
})

test('reports a queue from which nothing was dispatched for a minute, and workflow runs that have waited for a runner', async () => {
  const path = join(folder, 'waiting.db')
  const store = await openStore({ kind: 'sqlite', path })
  const receivedAt = Date.now() - 700_000
  const typo = { receivedAt, eventType: 'deploy_servise' }
  const [id, , unheard] = await acceptAll(store, { receivedAt }, { receivedAt: Date.now() - 70_000 }, typo)
  await applyTo(store, unheard!, { change: { state: 'dispatched', reason: 'No workflow listens.' } })
  await applyTo(store, id!, {
    change: { state: 'running', shownCause: 'runner', shownReason: 'gpu', shownAt: receivedAt },
  })
  await store.close()
  const found = await findings({ ...clean, RELAY_DATABASE: `sqlite:${path}` })
  expect(shown(found)).toContain(
    'problem: acme/shop: no workflow on main listens to repository_dispatch of type "deploy_servise".',
  )
  expect(shown(found.filter(({ check }) => check === 'deliveries'))).toEqual([
    expect.stringMatching(/^problem: Nothing was dispatched to acme\/shop since /),
    expect.stringMatching(
      /^problem: 1 workflow run of acme\/shop has waited for a runner with the labels gpu/,
    ),
  ])
  // GitHub's outage explains the queue.
  const outage = { ...clean, RELAY_DATABASE: `sqlite:${path}`, GITHUB_API_URL: `http://${nowhere}` }
  const texts = shown(await findings(outage)).join('\n')
  expect(texts).toMatch(/GitHub can't be reached/)
  expect(texts).not.toMatch(/Nothing was dispatched/)
})

test('prints each finding, exits with 1 if there is a problem, and supports --json', async () => {
  const env = { ...clean, PATH: process.env.PATH ?? '', RELAY_PUBLIC_URL: '' }
  const warned = await runRelay(env, ['doctor'])
  expect(warned).toMatchObject({ code: 0, stderr: '' })
  expect(warned.stdout).toMatch(/^warning {2}configuration {2}RELAY_PUBLIC_URL isn't set: .*$/m)
  expect(warned.stdout).toMatch(/\nProblems: 0, warnings: 1\.\n$/)
  const broken = await run(doctor, ['--json'], { ...clean, GITHUB_TOKEN: 'wrong', RELAY_PUBLIC_URL: '' })
  expect(broken).toMatchObject({ code: 1, stderr: '' })
  const sentence = expect.stringMatching(/^GitHub rejects GITHUB_TOKEN/)
  const findings = expect.arrayContaining([{ check: 'github', status: 'problem', sentence }])
  expect(JSON.parse(broken.stdout)).toMatchObject({ ok: false, findings })
  for (const text of [warned.stdout, broken.stdout]) {
    for (const secret of [port.clientSecret, github.token]) expect(text).not.toContain(secret)
  }
})
