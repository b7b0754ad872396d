import { expect, onTestFinished, test } from 'vitest'
import { createGitHub } from '../../relay/github/client.ts'
import { type GitHubApi, type GitHubApp, startGitHubApi } from '../../tools/simulator/github/github.ts'
import type { Fault } from '../../tools/simulator/http-server.ts'
import { formContent } from '../support/dispatch-content.ts'

type NewApp = NonNullable<Parameters<GitHubApi['createApp']>[0]>

async function open(options: NewApp = {}) {
  const api = await startGitHubApi()
  onTestFinished(() => api.close())
  for (const name of ['acme/shop', 'acme/till']) api.addRepository(name)
  const app = api.createApp(options)
  return { api, app, github: connect(api, app) }
}

const connect = (api: GitHubApi, { id, privateKey }: Pick<GitHubApp, 'id' | 'privateKey'>) => {
  const auth = { appId: String(id), privateKey }
  return createGitHub({ apiUrl: api.url, auth, webhookSecret: null, oidcIssuer: '' })
}
const dispatch = (github: ReturnType<typeof connect>, repository = 'acme/shop') =>
  github.dispatch({ repository, eventType: 'deploy', workflow: null, ref: null }, formContent({}))
const asked = (api: GitHubApi) => api.requests.map(({ method, path }) => `${method} ${path}`)

test('an App looks up its installation once per repository, and requests one token for all repositories', async () => {
  const { api, app, github } = await open()
  for (const repository of ['acme/shop', 'acme/shop', 'acme/till'])
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
  const { api, app, github } = await open()
  await github.runsPage('acme/shop', 1, null, 'repository_dispatch')
  const token = api.requests.at(-1)!.headers.authorization
  // Uninstalling removes the tokens and the installation. Reinstalling creates another id.
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

const notInstalled =
  "The relay's GitHub App is not installed on acme/shop (404: Not Found): install it there, or add the repository to its installation (the owner's Settings, GitHub Apps, Configure, Repository access)."
const noPermission = expect.stringMatching(/403: Resource not accessible by integration.*Contents: write/)
test.each<[string, NewApp, unknown]>([
  ['that the App is not installed, and where to install it', { repositories: ['acme/till'] }, notInstalled],
  ['the missing permission of an App', { permissions: { contents: 'read', actions: 'read' } }, noPermission],
])('the reason names %s', async (_, app, reason) => {
  const { github } = await open(app)
  expect(await dispatch(github)).toMatchObject({ kind: 'rejected', reason })
})

test('if GITHUB_APP_PRIVATE_KEY belongs to another App, the dispatch is deferred because of the credential', async () => {
  const { api, app } = await open()
  const { privateKey } = api.createApp()
  expect(await dispatch(connect(api, { id: app.id, privateKey }))).toMatchObject({
    kind: 'deferred',
    cause: 'credential',
    reason: expect.stringMatching(/GITHUB_APP_PRIVATE_KEY/),
  })
})

test('if GitHub does not know GITHUB_APP_ID, for example because the App was deleted, the dispatch is deferred', async () => {
  const { api, app } = await open()
  const unknown = connect(api, { id: app.id + 1, privateKey: app.privateKey })
  const reason = expect.stringMatching(
    /rejects the relay's App \(404: Integration not found\): .*GITHUB_APP_ID/,
  )
  expect(await dispatch(unknown)).toMatchObject({ kind: 'deferred', cause: 'credential', reason })
})

const html = { body: '<p>Welcome</p>', headers: { 'content-type': 'text/html' } }
const FAULTS: [string, Fault][] = [
  ['a 500', { status: 500 }],
  ['a cut connection', { cut: 'after' }],
  ['a connection that is cut within the response', { cut: 'within' }],
  ['a page of a proxy', { status: 200, ...html }],
]
test.each(FAULTS)(
  'after %s, the dispatch is deferred because it has no token, and then sent once',
  async (_, fault) => {
    for (const route of ['/installation', '/access_tokens']) {
      const { api, github } = await open()
      api.fail({ match: ({ path }) => path.endsWith(route), ...fault })
      expect(await dispatch(github), route).toMatchObject({ kind: 'deferred', cause: 'other' })
      expect(await dispatch(github), route).toMatchObject({ kind: 'accepted', run: null })
      expect(api.dispatches).toHaveLength(1)
    }
  },
)

test('the relay requests an installation again if a gateway responded instead of GitHub', async () => {
  const { api, github } = await open()
  const body = { status: 'maintenance' }
  api.fail({ match: ({ path }) => path.endsWith('/installation'), status: 200, body })
  expect(await dispatch(github)).toMatchObject({ kind: 'deferred', cause: 'other' })
  expect(await dispatch(github)).toMatchObject({ kind: 'accepted' })
})

test('if the installation is suspended, the dispatch is deferred with the cause installation', async () => {
  const { api, github } = await open()
  const body = { message: 'This installation has been suspended' }
  api.fail({ match: ({ path }) => path.endsWith('/access_tokens'), status: 403, body })
  expect(await dispatch(github)).toMatchObject({
    kind: 'deferred',
    cause: 'installation',
    reason: expect.stringMatching(/403: This installation has been suspended.*may be suspended/),
  })
})

test.each([
  ['https://api.github.com', 'https://github.com'],
  ['https://api.acme.ghe.com', 'https://acme.ghe.com'],
  ['https://git.acme.example/api/v3', 'https://git.acme.example'],
])('the web address for the API %s is %s', (apiUrl, expected) => {
  const auth = { token: 't' }
  expect(createGitHub({ apiUrl, auth, webhookSecret: null, oidcIssuer: '' }).serverUrl).toBe(expected)
})
