import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { expect, onTestFinished, test } from 'vitest'
import { startGitHubApi } from '../../tools/simulator/github/github.ts'
import type { PortPage } from '../../tools/simulator/port/page.ts'
import { startPortApi } from '../../tools/simulator/port/port.ts'

/** Sends a request. A body that is a string is sent unchanged, other bodies are sent as JSON. */
async function ask(url: string, method: string, token: string, body?: unknown) {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const text = typeof body === 'string' || body === undefined ? body : JSON.stringify(body)
  const response = await fetch(url, { method, headers, ...(text !== undefined && { body: text }) })
  return { status: response.status, body: JSON.parse((await response.text()) || 'null') }
}

const long = 'x'.repeat(65_535 - '{"a":""}'.length)
const many = (n: number) => Object.fromEntries(Array.from({ length: n }, (_, index) => [`k${index}`, index]))
const INPUTS = {
  service: { required: true },
  flag: { type: 'boolean' as const, default: false },
  size: { type: 'choice' as const, options: ['s', 'l'], default: 's' },
}
const WORKFLOWS = [
  { eventTypes: ['deploy'], dispatch: { inputs: INPUTS } },
  { eventTypes: [], name: 'push' },
  { eventTypes: [], name: 'off', dispatch: { inputs: {} }, state: 'disabled_manually' as const },
].map(each => ({ name: 'deploy', ...each, path: `.github/workflows/${each.name ?? 'deploy'}.yml` }))
const workflow = (name: string) => `actions/workflows/${name}.yml/dispatches`
const refusedValue = (value: string, input: string) =>
  `Provided value '${value}' for input '${input}' not in the list of allowed values`

/** Columns: the route, a change to a valid body, and the message. */
const REFUSED_BY_GITHUB: [route: string, change: object, message: string, status?: number][] = [
  ['dispatches', { client_payload: many(11) }, 'No more than 10 properties are allowed; 11 were supplied.'],
  ['dispatches', { client_payload: { a: long } }, 'client_payload is too large.'],
  ['dispatches', { client_payload: [1] }, "For 'properties/client_payload', [1] is not an object."],
  ['dispatches', { event_type: 'e'.repeat(101) }, 'Only 100 characters are allowed; 101 were supplied.'],
  ['dispatches', { event_type: undefined }, '"event_type" wasn\'t supplied.'],
  ['dispatches', { inputs: {} }, '"inputs" is not a permitted key.'],
  [workflow('deploy'), { inputs: { 'a"b': '1' } }, 'Unexpected inputs provided: ["a\\"b"]'],
  [workflow('deploy'), { inputs: {} }, "Required input 'service' not provided"],
  [workflow('deploy'), { inputs: { service: 'x', flag: 'yes' } }, refusedValue('yes', 'flag')],
  [workflow('deploy'), { inputs: { service: 'x', size: 'xl' } }, refusedValue('xl', 'size')],
  [workflow('deploy'), { ref: 'nope' }, 'No ref found for: nope'],
  [workflow('deploy'), { inputs: many(26) }, 'No more than 25 properties are allowed; 26 were supplied.'],
  [workflow('deploy'), { inputs: { service: long } }, 'inputs are too large.'],
  [workflow('other'), {}, 'Not Found', 404],
  [workflow('push'), {}, "Workflow does not have 'workflow_dispatch' trigger"],
  [workflow('off'), {}, "Cannot trigger a 'workflow_dispatch' on a disabled workflow"],
]

test('the fake GitHub refuses what GitHub refuses, and accepts the largest payloads', async () => {
  const api = await startGitHubApi()
  onTestFinished(() => api.close())
  api.addRepository('acme/shop', { workflows: WORKFLOWS })
  const send = (route: string, body: object, token = api.token) =>
    ask(`${api.url}/repos/acme/shop/${route}`, 'POST', token, body)
  const event = { event_type: 'deploy', client_payload: {} }
  for (const [route, change, message, status = 422] of REFUSED_BY_GITHUB) {
    const valid = route === 'dispatches' ? event : { ref: 'main', inputs: { service: 'web' } }
    const body = { message: expect.stringContaining(message) }
    expect(await send(route, { ...valid, ...change }), message).toMatchObject({ status, body })
  }
  const refusals = {
    'Bad credentials': ['none', api.createToken({ expiresAt: Date.now() - 1 })],
    'Not Found': [api.createToken({ repositories: ['acme/other'], permissions: { contents: 'write' } })],
    'Resource not accessible by personal access token': [
      api.createToken({ permissions: { contents: 'read' } }),
    ],
  }
  for (const [message, tokens] of Object.entries(refusals))
    for (const token of tokens)
      expect((await send('dispatches', event, token)).body).toMatchObject({ message })
  expect([api.dispatches, api.runs]).toEqual([[], []])
  for (const client_payload of [many(10), { a: long.slice(1) }])
    expect((await send('dispatches', { event_type: 'e'.repeat(100), client_payload })).status).toBe(204)
})

const invalid = [422, 'invalid_request']
const node = { status: 'IN_PROGRESS', externalRunId: 'gh_1', output: { id: 3 }, links: ['https://a.example'] }
const fatal = { logs: [{ level: 'FATAL', message: 'x' }] }
const line = (length: number) => ({ message: 'x'.repeat(length) })
/** Columns: the request, its body, and the status and error of Port's response. Later rows depend on earlier ones. */
const ANSWERS_OF_PORT: [request: string, body: unknown, response: unknown[]][] = [
  ['PATCH actions/runs/r_1', { label: 'x' }, invalid],
  ['PATCH actions/runs/r_1', { status: 'IN_PROGRESS' }, invalid],
  ['PATCH actions/runs/r_1', { link: { url: 'x' } }, invalid],
  ['PATCH actions/runs/r_1', '{"status":', invalid],
  ['POST actions/runs/r_1/logs', line(1024 * 1024), [413, 'body_too_large']],
  ['POST actions/runs/r_1/logs', line(1024 * 1024 - 100), [201, undefined]],
  ['PATCH workflows/nodes/runs/wfnr_1', node, [200, undefined]],
  ['POST workflows/nodes/runs/wfnr_1/logs', fatal, invalid],
  ['PATCH workflows/nodes/runs/wfnr_1', { status: 'COMPLETED', result: 'FAILURE' }, invalid],
  ['PATCH workflows/nodes/runs/wfnr_1', { status: 'COMPLETED', result: 'FAILED' }, [200, undefined]],
  ['PATCH workflows/nodes/runs/wfnr_1', node, [422, 'run_exhausted']],
  ['PATCH workflows/nodes/runs/r_1', {}, invalid],
  ['PATCH workflows/nodes/runs/wfnr_none', {}, [404, expect.anything()]],
]

test('the fake Port refuses what Port refuses', async () => {
  const api = await startPortApi()
  onTestFinished(() => api.close())
  const run = api.createRun({ id: 'r_1' })
  api.createNodeRun({ id: 'wfnr_1' })
  const { clientId, clientSecret } = api
  const mint = (body: object) => ask(`${api.url}/v1/auth/access_token`, 'POST', '', body)
  expect(await mint({ clientId, clientSecret: 'wrong' })).toMatchObject({ status: 401 })
  expect(await mint({ clientId })).toMatchObject({ status: 422 })
  expect(await ask(`${api.url}/v1/actions/runs/r_1`, 'GET', 'wrong')).toMatchObject({ status: 401 })
  const { accessToken } = (await mint({ clientId, clientSecret })).body
  for (const [request, body, expected] of ANSWERS_OF_PORT) {
    const [method, path] = request.split(' ') as [string, string]
    const response = await ask(`${api.url}/v1/${path}`, method, accessToken, body)
    expect([response.status, response.body.error], request).toEqual(expected)
  }
  expect(run).toMatchObject({ status: 'IN_PROGRESS', logs: [expect.anything()] })
  // A PATCH without `output` deletes the outputs.
  expect(api.nodeRun('wfnr_1')).toMatchObject({ status: 'COMPLETED', result: 'FAILED', output: {}, logs: [] })
})

test('a page of another machine can neither start a run in the fake Port nor read its pages', async () => {
  const port = await startPortApi()
  onTestFinished(() => port.close())
  const trigger = { operation: 'CREATE', userInputs: { properties: {} } }
  const given = { identifier: 'deploy', title: 'Deploy', trigger, invocationMethod: {} }
  const action = given as unknown as PortPage['buttons'][number]['action']
  port.openPage({ buttons: [{ action, inputs: {} }], relay: () => 'http://127.0.0.1:1' })
  const send = async (method: string, path: string, headers: Record<string, string>) => {
    const sent = request(port.url + path, { method, headers }).end()
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    response.resume()
    return response.statusCode
  }
  const rows: [headers: Record<string, string>, get: number, post: number][] = [
    [{}, 200, 303],
    [{ origin: port.url, 'sec-fetch-site': 'same-origin' }, 200, 303],
    [{ origin: 'null', 'sec-fetch-site': 'same-site' }, 200, 303],
    [{ 'sec-fetch-site': 'cross-site' }, 200, 403],
    [{ origin: 'null', 'sec-fetch-site': 'cross-site' }, 200, 403],
    [{ origin: 'https://evil.com' }, 200, 403],
    [{ host: `evil.com:${new URL(port.url).port}` }, 403, 403],
  ]
  for (const [headers, ...statuses] of rows)
    expect([await send('GET', '/', headers), await send('POST', '/run/0', headers)]).toEqual(statuses)
})
