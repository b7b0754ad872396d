import { afterEach, beforeEach, expect, test } from 'vitest'
import { type PortApi, startPortApi } from '../tools/simulator/port/port.ts'
import { callPort, mintToken } from './support/port-api/call-port.ts'

let api: PortApi
beforeEach(async () => {
  api = await startPortApi()
})
afterEach(() => api.close())

const call = (method: string, path: string, body?: unknown, token?: string) =>
  callPort(api, method, path, body, token)
const credentials = () => ({ clientId: api.clientId, clientSecret: api.clientSecret })
const mint = () => mintToken(api)
const runPath = (id: string) => `/v1/actions/runs/${id}`
const invalid = {
  status: 422,
  body: { ok: false, error: 'invalid_request', message: 'The data provided does not match the route schema' },
}
const exhausted = {
  status: 422,
  body: { ok: false, error: 'run_exhausted', message: 'Action run already finished execution' },
}
const unauthorized = { status: 401, body: { ok: false, error: 'unauthorized' } }

test('refuses wrong credentials and requests without a token', async () => {
  const wrong = { ...credentials(), clientSecret: 'wrong' }
  expect(await call('POST', '/v1/auth/access_token', wrong)).toMatchObject(unauthorized)
  expect(await call('POST', '/v1/auth/access_token', { clientId: api.clientId })).toMatchObject(invalid)
  expect(await call('GET', runPath(api.createRun().id))).toMatchObject(unauthorized)
})

test.each([
  ['an unknown key', { label: 'x' }],
  ['a status that does not finish a run', { status: 'IN_PROGRESS' }],
  ['a link that is neither text nor list', { link: { url: 'x' } }],
  ['text that is not JSON', '{"status":'],
])('refuses a PATCH with %s and changes nothing', async (_, body) => {
  const run = api.createRun()
  expect(await call('PATCH', runPath(run.id), body, await mint())).toMatchObject(invalid)
  expect(api.run(run.id)).toMatchObject({ status: 'IN_PROGRESS', updatedAt: run.createdAt })
})

test('a node run accepts links, output, and batches of logs until it is completed', async () => {
  const { id } = api.createNodeRun()
  const token = await mint()
  const path = `/v1/workflows/nodes/runs/${id}`
  const links = ['https://a.example']
  const started = { status: 'IN_PROGRESS', externalRunId: 'gh_1', output: { id: 3 }, links }
  expect(await call('PATCH', path, started, token)).toMatchObject({ status: 200, body: { ok: true } })
  const logs = [
    { level: 'INFO', message: 'one' },
    { level: 'ERROR', message: 'two' },
  ]
  expect(await call('POST', `${path}/logs`, { logs }, token)).toMatchObject({ status: 201 })
  const fatal = { logs: [{ level: 'FATAL', message: 'x' }] }
  expect(await call('POST', `${path}/logs`, fatal, token)).toMatchObject(invalid)
  const finish = (result: string) => call('PATCH', path, { status: 'COMPLETED', result }, token)
  expect(await finish('FAILURE')).toMatchObject(invalid)
  expect(await finish('FAILED')).toMatchObject({ status: 200 })
  expect(api.nodeRun(id)).toMatchObject({ status: 'COMPLETED', result: 'FAILED', links, logs })
  // A PATCH without `output` deletes the outputs.
  expect(api.nodeRun(id).output).toEqual({})
  expect(await call('PATCH', path, started, token)).toMatchObject(exhausted)
  expect(await call('PATCH', '/v1/workflows/nodes/runs/r_1', {}, token)).toMatchObject(invalid)
  expect(await call('PATCH', '/v1/workflows/nodes/runs/wfnr_none', {}, token)).toMatchObject({ status: 404 })
})

test('refuses a body above 1 MiB', async () => {
  const path = `${runPath(api.createRun().id)}/logs`
  const token = await mint()
  const log = (length: number) => call('POST', path, { message: 'x'.repeat(length) }, token)
  expect(await log(1024 * 1024)).toMatchObject({ status: 413, body: { ok: false, error: 'body_too_large' } })
  expect(await log(1024 * 1024 - 100)).toMatchObject({ status: 201 })
})
