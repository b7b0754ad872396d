import { expect, onTestFinished, test } from 'vitest'
import { createGitHub } from '../../relay/github/client.ts'
import { readFailure } from '../../relay/github/errors.ts'
import { type GitHubApi, type GitHubApp, startGitHubApi } from '../../simulator/github/github.ts'
import type { GitHubApiOptions } from '../../simulator/github/types.ts'
import type { Fault } from '../../simulator/http-server.ts'
import { formContent } from '../support/dispatch-content.ts'
import { withoutJitter } from '../support/without-jitter.ts'

withoutJitter()

type NewApp = NonNullable<Parameters<GitHubApi['createApp']>[0]>
type Auth = Parameters<typeof createGitHub>[0]['auth']
const SHOP = 'acme/shop'

const connect = (apiUrl: string, auth: Auth, ...more: unknown[]) =>
  createGitHub({ apiUrl, auth, webhookSecret: null, oidcIssuer: '' }, ...(more as []))
const authOf = ({ id, privateKey }: Pick<GitHubApp, 'id' | 'privateKey'>) => ({ appId: `${id}`, privateKey })

/** Opens GitHub, and a client that uses a token. */
async function open(options: GitHubApiOptions = {}, clock = Date.now) {
  const api = await startGitHubApi(options)
  onTestFinished(() => api.close())
  for (const name of [SHOP, 'acme/till']) api.addRepository(name)
  const github = connect(api.url, { token: api.token }, clock)
  return { api, github, run: api.createRun({ repository: SHOP, status: 'in_progress' }) }
}
/** Opens GitHub, and a client that is an App. */
async function openApp(options: NewApp = {}) {
  const { api } = await open()
  const app = api.createApp(options)
  return { api, app, github: connect(api.url, authOf(app)) }
}
const dispatch = (github: ReturnType<typeof connect>, repository = SHOP) =>
  github.dispatch({ repository, eventType: 'deploy', workflow: null, ref: null }, formContent({}))
const asked = (api: GitHubApi) => api.requests.map(({ method, path }) => `${method} ${path}`)
const failureOf = (error: unknown, more: object = {}) =>
  readFailure(error, { repository: SHOP, now: 0, tries: 0, ...more })

test('an App looks up its installation once per repository, and requests one token for all repositories', async () => {
  const { api, app, github } = await openApp()
  for (const repository of [SHOP, SHOP, 'acme/till'])
    expect(await dispatch(github, repository)).toMatchObject({ kind: 'accepted', run: null })
  expect(asked(api)).toEqual([
    'GET /repos/acme/shop/installation',
    `POST /app/installations/${app.installationId}/access_tokens`,
    'POST /repos/acme/shop/dispatches',
    'POST /repos/acme/shop/dispatches',
    'GET /repos/acme/till/installation',
    'POST /repos/acme/till/dispatches',
  ])
})

test('after an App was reinstalled, the relay looks up the new installation and dispatches once', async () => {
  const { api, app, github } = await openApp()
  await github.runsPage(SHOP, 1, null, 'repository_dispatch')
  const token = api.requests.at(-1)!.headers.authorization
  // Uninstalling removes the tokens and the installation. A new installation has another id.
  api.fail({
    match: ({ path, headers }) => path.includes('/dispatches') && headers.authorization === token,
    ...{ status: 401, body: { message: 'Bad credentials' }, times: Number.POSITIVE_INFINITY },
  })
  api.clearRequests()
  app.installationId += 1
  // auth-app retries for some seconds with a new token, because some GitHub servers may not know the token yet.
  expect(await dispatch(github)).toMatchObject({ kind: 'accepted', run: null })
  expect(api.dispatches).toHaveLength(1)
  expect(asked(api)).toContain('GET /repos/acme/shop/installation')
  expect(asked(api)).toContain(`POST /app/installations/${app.installationId}/access_tokens`)
})

test('a dispatch to a repository that was removed from the App names the installation, not a permission', async () => {
  const { api } = await open()
  const app = api.createApp()
  const github = connect(api.url, authOf(app))
  expect(await dispatch(github)).toMatchObject({ kind: 'accepted' })
  const refused = (path: string, status: number, message: string) =>
    api.fail({ match: each => each.path.endsWith(path), status, body: { message }, times: 9 })
  refused('/dispatches', 403, 'Resource not accessible by integration')
  refused('/contents/.github/workflows', 404, 'Not Found')
  refused('/installation', 404, 'Not Found')
  // Without this error, the relay would say that the repository has no workflows.
  await expect(github.workflowFiles(SHOP)).rejects.toThrow('No installation of the GitHub App for acme/shop')
  expect(await dispatch(connect(api.url, authOf(app)))).toMatchObject({
    reason: expect.stringMatching(notInstalled),
  })
  expect(await dispatch(github)).toMatchObject({ reason: expect.stringMatching(notInstalled) })
})

const notInstalled =
  /^The relay's GitHub App isn't installed on acme\/shop \(404: Not Found\): install it there/
const suspended: Fault = {
  match: ({ path }) => path.endsWith('/access_tokens'),
  ...{ status: 403, body: { message: 'This installation has been suspended' } },
}
interface Problem {
  app?: NewApp
  fault?: Fault
  /** Changes the relay's configuration. */
  change?: (api: GitHubApi, app: GitHubApp) => object
  outcome: object
  reason: RegExp
}
const credential = { kind: 'deferred', cause: 'credential' }
const PROBLEMS: Record<string, Problem> = {
  'no installation': {
    ...{ app: { repositories: ['acme/till'] }, outcome: { kind: 'rejected' } },
    reason: notInstalled,
  },
  'a missing permission': {
    ...{ app: { permissions: { contents: 'read', actions: 'read' } }, outcome: { kind: 'rejected' } },
    reason: /403: Resource not accessible by integration.*Contents: write/,
  },
  "another App's key": {
    change: api => ({ privateKey: api.createApp().privateKey }),
    ...{ outcome: credential, reason: /GITHUB_APP_PRIVATE_KEY/ },
  },
  'an unknown App': {
    change: (_, { id }) => ({ appId: `${id + 1}` }),
    ...{
      outcome: credential,
      reason: /rejects the relay's App \(404: Integration not found\): .*GITHUB_APP_ID/,
    },
  },
  'a suspended installation': {
    ...{ fault: suspended, outcome: { kind: 'deferred', cause: 'installation' } },
    reason: /403: This installation has been suspended.*may be suspended/,
  },
}
test.each(Object.entries(PROBLEMS))(
  'if a dispatch fails because of %s, the reason states what to change',
  async (_, { app: options = {}, fault, change, outcome, reason }) => {
    const { api, app } = await openApp(options)
    if (fault) api.fail(fault)
    const github = connect(api.url, { ...authOf(app), ...change?.(api, app) })
    expect(await dispatch(github)).toMatchObject({ ...outcome, reason: expect.stringMatching(reason) })
  },
)

const html = { status: 200, body: '<p>Welcome</p>', headers: { 'content-type': 'text/html' } }
const BROKEN: Record<string, Fault> = {
  'cut within its body': { cut: 'within' },
  'an HTML page': html,
  'JSON from a gateway': { status: 200, body: { status: 'maintenance' } },
  'invalid JSON': { status: 200, body: '{"id":', headers: { 'content-type': 'application/json' } },
}

test.each(
  Object.entries<Fault>({ ...BROKEN, 'a 500': { status: 500 }, 'a cut connection': { cut: 'after' } }),
)(
  'if the response to a token request is %s, the dispatch is deferred, and then sent once',
  async (what, fault) => {
    // Without a token in the response, auth-app itself asks again.
    for (const route of what === 'JSON from a gateway'
      ? ['/installation']
      : ['/installation', '/access_tokens']) {
      const { api, github } = await openApp()
      api.fail({ match: ({ path }) => path.endsWith(route), ...fault })
      expect(await dispatch(github), route).toMatchObject({ kind: 'deferred', cause: 'error' })
      expect(await dispatch(github), route).toMatchObject({ kind: 'accepted', run: null })
      expect(api.dispatches).toHaveLength(1)
    }
  },
)

test.each(Object.entries(BROKEN))(
  'if a response is %s, a read can be retried, and a workflow_dispatch without a known default branch is not sent',
  async (_, fault) => {
    const { api, github, run } = await open()
    const reads = [
      () => github.run(SHOP, run.id, null),
      () => github.runsPage(SHOP, 1, null, 'repository_dispatch'),
      () => github.repository(SHOP),
    ]
    for (const read of reads) {
      api.fail(fault)
      const error = await read().catch(thrown => thrown)
      expect(error).toBeInstanceOf(Error)
      expect(failureOf(error).kind).toBe('later')
      expect(await read()).toBeTruthy()
    }
    api.fail({ ...fault, match: ({ method }) => method === 'GET' })
    const target = { repository: SHOP, eventType: null, workflow: 'deploy.yml', ref: null }
    const outcome = await connect(api.url, { token: api.token }).dispatch(target, formContent({}))
    expect(outcome).toMatchObject({ kind: 'deferred', cause: 'error' })
    expect(api.requests.filter(({ method }) => method === 'POST')).toEqual([])
  },
)

test.each([301, 307])('follows a %i redirect to cancel a run of a renamed repository', async status => {
  const { api, run } = await open()
  const isAllowed = (name: string) => name === SHOP
  const github = connect(api.url, { token: api.token }, undefined, undefined, { isAllowed })
  const path = (name: string) => `/repos/acme/${name}/actions/runs/${run.id}/cancel`
  api.fail({
    match: ({ path: to }) => to === path('old'),
    status,
    headers: { location: api.url + path('shop') },
  })
  expect(await github.cancelRun('acme/old', run.id)).toBe('accepted')
  expect(api.cancellations).toEqual([{ runId: run.id, isForced: false }])
})

test('distinguishes a finished run from a run that cannot be canceled', async () => {
  const { api, github, run } = await open()
  api.setRun(run.id, { status: 'completed', conclusion: 'success' })
  expect(await github.cancelRun(SHOP, run.id)).toBe('finished')
  expect(await github.forceCancelRun(SHOP, run.id)).toBe('finished')
  api.fail({ status: 409, body: { message: 'Cannot cancel a workflow re-run that has not yet queued.' } })
  const soon = await github.cancelRun(SHOP, run.id).catch(error => error)
  expect(failureOf(soon, { now: 1_000 })).toMatchObject({ kind: 'later', at: 3_000 })
  api.addRepository('acme/till', { permissions: { actions: 'read', metadata: 'read' } })
  const other = api.createRun({ repository: 'acme/till' })
  const forbidden = await github.cancelRun('acme/till', other.id).catch(error => error)
  expect(failureOf(forbidden, { repository: 'acme/till', permission: 'Actions: write' })).toMatchObject({
    ...{ kind: 'forbidden', permission: true },
    reason: expect.stringContaining('lacks Actions: write on acme/till'),
  })
})

test("measures how far GitHub's clock is ahead, and ignores the Date header of a proxy", async () => {
  for (const skew of [-90_000, 0, 3_600_000]) {
    const { api, github, run } = await open({ clockSkewMs: skew })
    expect(github.clockOffset()).toBeNull()
    api.fail({ status: 502, headers: { date: 'Tue, 24 Nov 2020 12:00:30 GMT', 'x-github-request-id': '' } })
    await github.run(SHOP, run.id, null).catch(() => {})
    await github.run(SHOP, run.id, null)
    // The Date header is in whole seconds.
    expect(Math.abs((github.clockOffset() as number) - skew)).toBeLessThanOrEqual(1_000)
  }
})

test.each([
  ['https://api.github.com', 'https://github.com'],
  ['https://api.acme.ghe.com', 'https://acme.ghe.com'],
  ['https://git.acme.example/api/v3', 'https://git.acme.example'],
])('the web address for the API %s is %s', (apiUrl, expected) => {
  expect(connect(apiUrl, { token: 't' }).serverUrl).toBe(expected)
})
