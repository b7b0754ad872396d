import type { Octokit } from '@octokit/rest'
import { afterEach, expect, test } from 'vitest'
import { type GitHubApi, startGitHubApi } from '../tools/simulator/github/github.ts'
import { octokitFor, refusalOf } from './support/github-api/octokit-for.ts'

const SHOP = { owner: 'acme', repo: 'shop' }
const DEPLOY = {
  path: '.github/workflows/deploy.yml',
  name: 'Deploy',
  eventTypes: ['deploy'],
  runName: (payload: Record<string, unknown>) => `deploy ${payload.run_id}`,
}
let api: GitHubApi
afterEach(() => api.close())

async function start(options?: Parameters<typeof startGitHubApi>[0]) {
  api = await startGitHubApi(options)
  api.addRepository('acme/shop', { workflows: [DEPLOY] })
  return as(api.token)
}
const as = (auth: Parameters<typeof octokitFor>[1]) => octokitFor(api, auth)
const dispatch = (octokit: Octokit, payload: Record<string, unknown> = { run_id: 'r_1' }, type = 'deploy') =>
  octokit.repos.createDispatchEvent({ ...SHOP, event_type: type, client_payload: payload })

const long = 'x'.repeat(65_535 - '{"a":""}'.length)
const many = (n: number) => Object.fromEntries(Array.from({ length: n }, (_, index) => [`k${index}`, index]))
test.each([
  [
    '11 properties',
    { client_payload: many(11) },
    'No more than 10 properties are allowed; 11 were supplied.',
  ],
  ['65,535 bytes of payload', { client_payload: { a: long } }, 'client_payload is too large.'],
  ['a list as payload', { client_payload: [1] }, "For 'properties/client_payload', [1] is not an object."],
  ['a long type', { event_type: 'e'.repeat(101) }, 'Only 100 characters are allowed; 101 were supplied.'],
  ['no event type', { event_type: undefined, client_payload: {} }, '"event_type" wasn\'t supplied.'],
  ['a key that GitHub does not know', { inputs: {} }, '"inputs" is not a permitted key.'],
])('responds with 422 to a dispatch with %s', async (_, given, words) => {
  const octokit = await start()
  const body = { event_type: 'deploy', ...given }
  const refusal = await refusalOf(octokit.request('POST /repos/acme/shop/dispatches', body))
  const expected = { message: expect.stringContaining(words), status: '422' }
  expect(refusal).toMatchObject({ status: 422, body: expected })
  expect(api.dispatches).toEqual([])
})

test('accepts the largest payloads', async () => {
  const octokit = await start()
  expect((await dispatch(octokit, many(10), 'e'.repeat(100))).status).toBe(204)
  expect((await dispatch(octokit, { a: long.slice(1) })).status).toBe(204)
})

test('distinguishes invalid, expired, and missing tokens from a token without permission', async () => {
  await start()
  const all = { contents: 'write', actions: 'read' } as const
  const invalid = { status: 401, body: { message: 'Bad credentials' } }
  expect(await refusalOf(dispatch(as('nonsense')))).toMatchObject(invalid)
  const expired = api.createToken({ expiresAt: Date.now() - 1 })
  expect(await refusalOf(dispatch(as(expired)))).toMatchObject({ status: 401 })
  const blind = api.createToken({ repositories: ['acme/other'], permissions: all })
  expect(await refusalOf(dispatch(as(blind)))).toMatchObject({ status: 404, body: { message: 'Not Found' } })
  const reader = api.createToken({ permissions: { contents: 'read' } })
  expect(await refusalOf(dispatch(as(reader)))).toMatchObject({
    status: 403,
    headers: { 'x-accepted-github-permissions': 'contents=write' },
    body: { message: 'Resource not accessible by personal access token' },
  })
  const job = api.createToken({ kind: 'integration', permissions: { contents: 'write' } })
  expect(await refusalOf(as(job).actions.listWorkflowRunsForRepo(SHOP))).toMatchObject({
    status: 403,
    headers: { 'x-accepted-github-permissions': 'actions=read' },
    body: { message: 'Resource not accessible by integration' },
  })
  api.addRepository('acme/locked', { permissions: { contents: 'read' } })
  const locked = { owner: 'acme', repo: 'locked', event_type: 'deploy' }
  expect(await refusalOf(as(api.token).repos.createDispatchEvent(locked))).toMatchObject({ status: 403 })
})

const INPUTS = {
  service: { required: true },
  flag: { type: 'boolean' as const, default: false },
  size: { type: 'choice' as const, options: ['s', 'l'], default: 's' },
  count: { type: 'number' as const, default: 1, required: true },
}
const TYPED = { ...DEPLOY, dispatch: { inputs: INPUTS, runName: (inputs: object) => JSON.stringify(inputs) } }
const dispatchWorkflow = (octokit: Octokit, body: object = {}) =>
  octokit.request('POST /repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches', {
    ...SHOP,
    workflow_id: 'deploy.yml',
    ref: 'main',
    inputs: { service: 'web' },
    ...body,
  })

const REFUSED: [body: object, words: string, status?: number][] = [
  [{ inputs: { 'a"b': '1' } }, 'Unexpected inputs provided: ["a\\"b"]'],
  [{ inputs: {} }, "Required input 'service' not provided"],
  [
    { inputs: { service: 'x', flag: 'yes' } },
    "Provided value 'yes' for input 'flag' not in the list of allowed values",
  ],
  [
    { inputs: { service: 'x', size: 'xl' } },
    "Provided value 'xl' for input 'size' not in the list of allowed values",
  ],
  [{ ref: 'nope' }, 'No ref found for: nope'],
  [{ inputs: many(26) }, 'No more than 25 properties are allowed; 26 were supplied.'],
  [{ inputs: { service: long } }, 'inputs are too large.'],
  [{ workflow_id: 'other.yml' }, 'Not Found', 404],
  [{ workflow_id: 'push.yml' }, "Workflow does not have 'workflow_dispatch' trigger"],
  [{ workflow_id: 'off.yml' }, "Cannot trigger a 'workflow_dispatch' on a disabled workflow"],
]

test('refuses every invalid workflow_dispatch, and starts no run', async () => {
  const octokit = await start()
  const push = { ...DEPLOY, path: '.github/workflows/push.yml' }
  const off = { ...TYPED, path: '.github/workflows/off.yml', state: 'disabled_manually' as const }
  api.addRepository('acme/shop', { workflows: [TYPED, push, off] })
  for (const [given, words, status = 422] of REFUSED) {
    const body = { message: expect.stringContaining(words) }
    expect(await refusalOf(dispatchWorkflow(octokit, given)), words).toMatchObject({ status, body })
  }
  expect(api.runs).toEqual([])
})
