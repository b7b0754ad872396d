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

test('the same token is handed out until it expires, with the seconds it has left', async () => {
  api.expiresIn = 2
  const first = await call('POST', '/v1/auth/access_token', credentials())
  expect(first).toMatchObject({ status: 200, body: { ok: true, expiresIn: 2, tokenType: 'Bearer' } })
  expect(await mint()).toBe(first.body.accessToken)
  api.expireTokens()
  expect(await call('GET', runPath(api.createRun().id), undefined, first.body.accessToken)).toMatchObject(
    unauthorized,
  )
  expect(await mint()).not.toBe(first.body.accessToken)
})

test('wrong credentials, and calls without a token, are refused', async () => {
  const wrong = { ...credentials(), clientSecret: 'wrong' }
  expect(await call('POST', '/v1/auth/access_token', wrong)).toMatchObject(unauthorized)
  expect(await call('POST', '/v1/auth/access_token', { clientId: api.clientId })).toMatchObject(invalid)
  expect(await call('GET', runPath(api.createRun().id))).toMatchObject(unauthorized)
})

test('a run is shown with its action as an object in v2 and as a name before', async () => {
  const run = api.createRun({
    action: 'deploy',
    blueprint: 'service',
    entity: 'shop',
    properties: { replicas: 3 },
  })
  const token = await mint()
  const v2 = await call('GET', `${runPath(run.id)}?version=v2`, undefined, token)
  expect(v2.body.run).toMatchObject({
    id: run.id,
    status: 'IN_PROGRESS',
    action: { identifier: 'deploy' },
    blueprint: { identifier: 'service' },
    entity: { identifier: 'shop' },
    properties: { replicas: 3 },
    payload: { type: 'WEBHOOK', headers: { RUN_ID: run.id } },
  })
  expect((await call('GET', runPath(run.id), undefined, token)).body.run).toMatchObject({
    action: 'deploy',
    finishedAt: null,
  })
  expect(await call('GET', `${runPath(run.id)}?version=v3`, undefined, token)).toMatchObject(invalid)
})

test('a patch replaces what it names, and its status ends the run', async () => {
  const run = api.createRun()
  const token = await mint()
  const label = await call(
    'PATCH',
    runPath(run.id),
    { statusLabel: 'Building', link: 'https://a.example' },
    token,
  )
  expect(label.body.run).toMatchObject({
    status: 'IN_PROGRESS',
    statusLabel: 'Building',
    link: 'https://a.example',
  })
  const all = {
    status: 'SUCCESS',
    statusLabel: 'Deployed',
    link: ['https://b.example'],
    summary: 'Done in 42s',
    externalRunId: '1',
  }
  const ended = await call('PATCH', `${runPath(run.id)}?version=v2`, all, token)
  expect(ended).toMatchObject({ status: 200, body: { ok: true, run: all } })
  expect(api.run(run.id)).toMatchObject({ ...all, finishedAt: expect.any(String) })
  expect(await call('GET', runPath('1'), undefined, token)).toMatchObject({
    status: 200,
    body: { run: { id: run.id } },
  })
})

test.each([
  ['an unknown key', { label: 'x' }],
  ['a status that ends no run', { status: 'IN_PROGRESS' }],
  ['a link that is neither text nor list', { link: { url: 'x' } }],
  ['text that is not JSON', '{"status":'],
])('a patch with %s is refused and changes nothing', async (_, body) => {
  const run = api.createRun()
  expect(await call('PATCH', runPath(run.id), body, await mint())).toMatchObject(invalid)
  expect(api.run(run.id)).toMatchObject({ status: 'IN_PROGRESS', updatedAt: run.createdAt })
})

test('logs are kept in order and read in pages, and a termination status ends the run', async () => {
  const run = api.createRun()
  const token = await mint()
  const logs = `${runPath(run.id)}/logs`
  const first = await call('POST', logs, { message: 'one' }, token)
  expect(first).toMatchObject({ status: 201, body: { ok: true, runLog: { runId: run.id, message: 'one' } } })
  await call('POST', logs, { message: 'two', statusLabel: 'Halfway' }, token)
  await call('POST', logs, { message: 'three', terminationStatus: 'FAILURE' }, token)
  expect(api.run(run.id).logs.map(log => log.message)).toEqual(['one', 'two', 'three'])
  expect(api.run(run.id)).toMatchObject({ status: 'FAILURE', statusLabel: 'Halfway' })
  const page = await call('GET', `${logs}?limit=1&offset=1`, undefined, token)
  expect(page.body.runLogs.map(log => log.message)).toEqual(['two'])
  expect(await call('GET', `${logs}?limit=51`, undefined, token)).toMatchObject(invalid)
  expect(await call('POST', logs, { text: 'four' }, token)).toMatchObject(invalid)
})

test('finished, synchronous and unknown runs answer as Port does', async () => {
  const token = await mint()
  const finished = api.createRun()
  api.endRun(finished.id, 'SUCCESS')
  expect(await call('POST', `${runPath(finished.id)}/logs`, { message: 'late' }, token)).toMatchObject(
    exhausted,
  )
  expect(await call('PATCH', runPath(finished.id), { status: 'FAILURE' }, token)).toMatchObject(exhausted)
  const synchronized = api.createRun({ synchronized: true })
  const refused = { status: 422, body: { error: 'run_synchronized_error' } }
  expect(await call('PATCH', runPath(synchronized.id), { status: 'SUCCESS' }, token)).toMatchObject(refused)
  expect(await call('PATCH', runPath(synchronized.id), { statusLabel: 'x' }, token)).toMatchObject({
    status: 200,
  })
  expect(await call('GET', runPath('r_unknown'), undefined, token)).toMatchObject({
    status: 404,
    body: {
      ok: false,
      error: 'not_found',
      message: 'The action run with the provided identifier was not found',
    },
  })
})

test('a node run accepts links, output and batches of logs, until it is completed', async () => {
  const { id } = api.createNodeRun()
  const token = await mint()
  const path = `/v1/workflows/nodes/runs/${id}`
  const started = {
    status: 'IN_PROGRESS',
    externalRunId: 'gh_1',
    output: { id: 3 },
    links: ['https://a.example'],
  }
  expect(await call('PATCH', path, started, token)).toMatchObject({ status: 200, body: { ok: true } })
  const logs = [
    { level: 'INFO', message: 'one' },
    { level: 'ERROR', message: 'two' },
  ]
  expect(await call('POST', `${path}/logs`, { logs }, token)).toMatchObject({ status: 201 })
  expect(
    await call('POST', `${path}/logs`, { logs: [{ level: 'FATAL', message: 'x' }] }, token),
  ).toMatchObject(invalid)
  expect(await call('PATCH', path, { status: 'COMPLETED', result: 'FAILURE' }, token)).toMatchObject(invalid)
  expect(await call('PATCH', path, { status: 'COMPLETED', result: 'FAILED' }, token)).toMatchObject({
    status: 200,
  })
  expect(api.nodeRun(id)).toMatchObject({
    status: 'COMPLETED',
    result: 'FAILED',
    output: {},
    links: started.links,
    logs,
  })
  expect(await call('PATCH', path, started, token)).toMatchObject(exhausted)
  expect(await call('PATCH', '/v1/workflows/nodes/runs/r_1', {}, token)).toMatchObject(invalid)
  expect(await call('PATCH', '/v1/workflows/nodes/runs/wfnr_none', {}, token)).toMatchObject({ status: 404 })
})

test('entities are created, merged, replaced and tied to a run in progress', async () => {
  const token = await mint()
  const run = api.createRun()
  const post = (query: string, body: unknown) =>
    call('POST', `/v1/blueprints/service/entities${query}`, body, token)
  const entity = { identifier: 'shop', title: 'Shop', properties: { tier: 1 }, relations: { team: 'core' } }
  expect(await post(`?upsert=true&merge=true&run_id=${run.id}`, entity)).toMatchObject({
    status: 201,
    body: { entity },
  })
  expect(await post('', entity)).toMatchObject({ status: 409, body: { error: 'identifier_taken' } })
  await post('?upsert=true&merge=true', { identifier: 'shop', properties: { lang: 'go' } })
  expect(api.entities).toMatchObject([{ ...entity, properties: { tier: 1, lang: 'go' }, runId: run.id }])
  await post('?upsert=true', { identifier: 'shop', properties: { lang: 'rust' } })
  expect(api.entities[0]?.properties).toEqual({ lang: 'rust' })
  await post('?upsert=true&validation_only=true', { identifier: 'other' })
  expect(api.entities).toHaveLength(1)
  expect(await post('?upsert=true', { identifier: 'a b' })).toMatchObject(invalid)
  expect(await post('?upsert=maybe', entity)).toMatchObject(invalid)
  api.endRun(run.id, 'SUCCESS')
  expect(await post(`?upsert=true&run_id=${run.id}`, entity)).toMatchObject({
    status: 400,
    body: { ok: false, error: 'run_exhausted' },
  })
})

test('a body above 1 MiB is refused', async () => {
  const path = `${runPath(api.createRun().id)}/logs`
  const token = await mint()
  expect(await call('POST', path, { message: 'x'.repeat(1024 * 1024) }, token)).toMatchObject({
    status: 413,
    body: { ok: false, error: 'body_too_large' },
  })
  expect(await call('POST', path, { message: 'x'.repeat(1024 * 1024 - 100) }, token)).toMatchObject({
    status: 201,
  })
})

test('entities are read, searched and deleted, but not one that others relate to', async () => {
  const token = await mint()
  const path = '/v1/blueprints/service/entities'
  await call('POST', path, { identifier: 'db', title: 'Database' }, token)
  await call(
    'POST',
    path,
    { identifier: 'shop', properties: { tier: 1 }, relations: { uses: ['db'] } },
    token,
  )
  expect(await call('GET', `${path}/shop`, undefined, token)).toMatchObject({
    status: 200,
    body: { ok: true, entity: { identifier: 'shop', relations: { uses: ['db'] } } },
  })
  const search = (combinator: string, ...rules: object[]) =>
    call('POST', '/v1/entities/search', { combinator, rules }, token)
  const ofService = { property: '$blueprint', operator: '=', value: 'service' }
  expect((await search('and', ofService, { property: 'tier', operator: '=', value: 1 })).body).toMatchObject({
    entities: [{ identifier: 'shop' }],
    matchingBlueprints: ['service'],
  })
  const either = [ofService, { property: '$identifier', operator: '!=', value: 'db' }]
  expect((await search('or', ...either)).body).toMatchObject({ entities: [{}, {}] })
  const remove = (id: string, query = '') => call('DELETE', `${path}/${id}${query}`, undefined, token)
  expect(await remove('db')).toMatchObject({ status: 422, body: { error: 'dependent_entities_exist' } })
  expect(await remove('shop')).toMatchObject({ status: 200, body: { ok: true } })
  expect(await remove('db')).toMatchObject({ status: 200 })
  expect(await remove('db')).toMatchObject({ status: 404, body: { error: 'not_found' } })
  expect((await call('GET', `${path}/db`, undefined, token)).status).toBe(404)
})

test('a run is started by the API, and its response is set', async () => {
  const token = await mint()
  const started = await call('POST', '/v1/actions/deploy/runs', { properties: { version: '1' } }, token)
  expect(started).toMatchObject({ status: 201, body: { ok: true, run: { status: 'IN_PROGRESS' } } })
  const id = started.body.run.id as string
  expect(api.run(id)).toMatchObject({ action: 'deploy', properties: { version: '1' } })
  expect((await call('PATCH', `${runPath(id)}/response`, { status: 201 }, token)).status).toBe(200)
  expect(api.run(id).response).toEqual({ status: 201 })
})

test('limits, errors, cuts and delays come as often as configured, before or after the effect', async () => {
  const run = api.createRun()
  const token = await mint()
  const log = (message: string) => call('POST', `${runPath(run.id)}/logs`, { message }, token)
  api.failures.rateLimit({ retryAfter: 2 })
  const limited = await log('a')
  expect(limited).toMatchObject({ status: 429, body: { ok: false, error: 'rate_limit_exceeded' } })
  expect(limited.headers.get('retry-after')).toBe('2')
  api.failures.rateLimit({ reset: 1_700_000_000 })
  expect((await log('b')).headers.get('x-ratelimit-reset')).toBe('1700000000')
  api.fail({ status: 503, times: 2, match: ({ path }) => path.endsWith('/logs') })
  expect([(await log('c')).status, (await log('d')).status]).toEqual([503, 503])
  api.fail({ cut: 'before' })
  await expect(log('e')).rejects.toThrow('fetch failed')
  expect(api.run(run.id).logs).toEqual([])
  api.fail({ cut: 'after' })
  await expect(log('f')).rejects.toThrow('fetch failed')
  api.fail({ delayMs: 50 })
  const before = performance.now()
  await log('g')
  expect(performance.now() - before).toBeGreaterThan(45)
  api.fail({ status: 500, takesEffect: true })
  expect((await log('h')).status).toBe(500)
  expect(api.run(run.id).logs.map(({ message }) => message)).toEqual(['f', 'g', 'h'])
})
