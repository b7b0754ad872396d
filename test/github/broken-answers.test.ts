import { createServer } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { createGitHub } from '../../relay/github/client.ts'
import { readFailure } from '../../relay/github/errors.ts'
import { startGitHubApi } from '../../tools/simulator/github/github.ts'
import type { Fault } from '../../tools/simulator/http-server.ts'
import { formContent } from '../support/dispatch-content.ts'
import { listenHere } from '../support/listen-here.ts'

const BROKEN: [string, Fault][] = [
  ['cut within its body', { cut: 'within' }],
  ['an HTML page', { status: 200, body: '<p>Welcome</p>', headers: { 'content-type': 'text/html' } }],
  ['plain text', { status: 200, body: 'ok', headers: { 'content-type': 'text/plain' } }],
  ['JSON from a gateway', { status: 200, body: { status: 'maintenance' } }],
  ['invalid JSON', { status: 200, body: '{"id":', headers: { 'content-type': 'application/json' } }],
]

async function open() {
  const api = await startGitHubApi()
  onTestFinished(() => api.close())
  api.addRepository('acme/shop')
  const github = connect(api.url, api.token)
  return { api, github, run: api.createRun({ repository: 'acme/shop', status: 'in_progress' }) }
}
const connect = (apiUrl: string, token: string) =>
  createGitHub({ apiUrl, auth: { token }, webhookSecret: null, oidcIssuer: '' })
const WORKFLOW = { repository: 'acme/shop', eventType: null, workflow: 'deploy.yml', ref: null }

test.each(BROKEN)('a read can be retried if the response is %s', async (_, failure) => {
  const { api, github, run } = await open()
  const reads = [
    () => github.run('acme/shop', run.id, null),
    () => github.runsPage('acme/shop', 1, null, 'repository_dispatch'),
    () => github.repository('acme/shop'),
  ]
  for (const read of reads) {
    api.fail(failure)
    const error = await read().catch(thrown => thrown)
    expect(error).toBeInstanceOf(Error)
    expect(readFailure(error, { repository: 'acme/shop', now: 0, tries: 0 }).kind).toBe('later')
    expect(await read()).toBeTruthy()
  }
})

test.each(BROKEN)(
  'sends no dispatch if the request for the default branch fails (%s)',
  async (_, failure) => {
    const { api, github } = await open()
    api.fail({ ...failure, match: ({ method }) => method === 'GET' })
    const outcome = await github.dispatch(WORKFLOW, formContent({}))
    expect(outcome).toMatchObject({ kind: 'deferred', cause: 'other' })
    expect(api.requests.filter(({ method }) => method === 'POST')).toEqual([])
  },
)

test('defers the dispatch if a gateway responds with 404 in problem+json', async () => {
  const { api, github } = await open()
  const body = JSON.stringify({ status: 404, title: 'Not Found' })
  api.fail({ status: 404, body, headers: { 'content-type': 'application/problem+json' } })
  const target = { repository: 'acme/shop', eventType: 'deploy', workflow: null, ref: null }
  expect(await github.dispatch(target, formContent({}))).toMatchObject({
    kind: 'deferred',
    reason: 'something between the relay and GitHub responded with 404',
  })
})

test('a timeout is recognized even if the error message equals a secret and is redacted', async () => {
  const silent = createServer(socket => void socket.on('error', () => {}))
  const github = connect(`http://127.0.0.1:${await listenHere(silent)}`, 'No response in time')
  const error = await github.repository('acme/shop').catch(thrown => thrown)
  expect(readFailure(error, { repository: 'acme/shop', now: 0, tries: 0 })).toMatchObject({
    kind: 'later',
    reason: 'GitHub could not be reached (no response in time)',
  })
  expect(error.message).not.toContain('No response in time')
})

test.each([301, 302, 307, 308])(
  'follows a %i redirect to cancel a run of a renamed repository',
  async status => {
    const { api, run } = await open()
    const config = { apiUrl: api.url, auth: { token: api.token }, webhookSecret: null, oidcIssuer: '' }
    const isAllowed = (name: string) => name === 'acme/shop'
    const github = createGitHub(config, undefined, undefined, { isAllowed })
    const path = (name: string) => `/repos/acme/${name}/actions/runs/${run.id}/cancel`
    const headers = { location: api.url + path('shop') }
    api.fail({ match: request => request.path === path('old'), status, headers })
    expect(await github.cancelRun('acme/old', run.id)).toBe('accepted')
    expect(api.cancellations).toEqual([{ runId: run.id, isForced: false }])
  },
)
