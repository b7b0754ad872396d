import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { beforeEach, expect, test } from 'vitest'
import { openApi } from '../../relay/admin/openapi.ts'
import { until } from '../../simulator/http-server.ts'
import { ADMIN_TOKEN, send, VIEW_TOKEN } from '../support/requests.ts'
import { openWithDeliveries, REJECTED, running } from './place-deliveries.ts'

interface Listed {
  delivery: string
  state: string
  port_run_ended?: boolean | null
}
/** The fields of any response. */
interface Body extends Listed {
  detail: string
  deliveries: Listed[]
  next: number | null
  redelivered: number
  more: boolean
  refused: { [field: string]: unknown }[]
}

const ajv = addFormats.default(new Ajv2020({ strict: false, allErrors: true })).addSchema(openApi, 'api')
/** The responses that a test has received, for example `GET /api/deliveries 200`. */
const seen = new Set<string>()
let ask: (
  method: string,
  path: string,
  body?: object,
  token?: string,
) => Promise<{ status: number; body: Body }>
let ids: string[]
let url: string

beforeEach(async () => {
  const opened = await openWithDeliveries([
    { runId: 'r_ended', repository: 'acme/shop', events: REJECTED },
    { runId: 'r_open', repository: 'acme/shop', action: 'test', events: REJECTED },
    { runId: null, kind: 'none', dedupeKey: 'signed:1', repository: 'acme/web', events: REJECTED },
    { runId: 'r_running', repository: 'acme/web', events: running(42) },
    { runId: 'r_flow', eventType: null, workflow: 'deploy.yml', ref: 'main', events: running(43) },
  ])
  const { port, relay } = opened
  port.createRun({ id: 'r_open' })
  port.createRun({ id: 'r_ended', status: 'FAILURE' })
  ids = opened.ids
  url = relay.url
  ask = async (method, address, body, token = ADMIN_TOKEN) => {
    const response = await fetch(relay.url + address, {
      method,
      headers: { authorization: `Bearer ${token}` },
      ...(body && { body: JSON.stringify(body) }),
    })
    const given = { status: response.status, body: (await response.json()) as Body }
    expectDescribed(method, address, given.status, given.body)
    return given
  }
})

/** Returns each listed delivery's position in `ids`. */
const numbersOf = (body: Body) => body.deliveries.map(each => ids.indexOf(each.delivery))

/** Checks every response against its schema in the API description. */
function expectDescribed(method: string, address: string, status: number, body: unknown) {
  const path = address.replace(/\?.*/, '')
  const template = Object.keys(openApi.paths).find(each =>
    new RegExp(`^${each.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(path),
  )
  if (status === 405) return
  const escaped = template!.replaceAll('~', '~0').replaceAll('/', '~1')
  const type = status < 400 ? 'application~1json' : 'application~1problem+json'
  const pointer = `/paths/${escaped}/${method.toLowerCase()}/responses/${status}/content/${type}/schema`
  const validate = ajv.getSchema(`api#${encodeURI(pointer)}`)
  if (!validate) throw new Error(`The description has no ${method} ${template} ${status}`)
  expect(validate(body) ? [] : validate.errors, `${method} ${address}`).toEqual([])
  seen.add(`${method} ${template} ${status}`)
}

test('every response of every route matches the API description', async () => {
  const [failed, , , bound] = ids
  expect((await ask('GET', '/api/openapi.json', undefined, VIEW_TOKEN)).body).toEqual(
    JSON.parse(JSON.stringify(openApi)),
  )
  const authorization = `Bearer ${VIEW_TOKEN}`
  expect((await fetch(`${url}/api/deliveries`, { method: 'HEAD', headers: { authorization } })).status).toBe(
    200,
  )
  await ask('GET', '/api/deliveries')
  await ask('GET', '/api/deliveries?state=lost')
  await ask('GET', `/api/deliveries/${bound}`)
  await ask('GET', '/api/deliveries/none')
  await ask('POST', `/api/deliveries/${failed}/redeliver?dry_run=true`)
  await ask('POST', `/api/deliveries/${failed}/redeliver?dry_run=perhaps`)
  await ask('POST', `/api/deliveries/${bound}/redeliver`)
  await ask('POST', `/api/deliveries/${bound}/redeliver?dry_run=true`)
  await ask('POST', `/api/deliveries/${failed}/redeliver`)
  await ask('POST', `/api/deliveries/${bound}/cancel`)
  await ask('POST', '/api/redeliver', { state: 'failed', dry_run: true })
  await ask('POST', '/api/redeliver', { state: 'failed' })
  await ask('POST', '/api/redeliver', { state: 'failed', action: 'x'.repeat(5000) })
  await ask('POST', '/api/redeliver', {})
  const started = await ask('POST', '/api/freezes', { repositories: 'acme/none', reason: 'Migration' })
  expect(started.body).toMatchObject({ id: 1, repositories: 'acme/none', until: null, started_by: 'api' })
  expect((await ask('GET', '/api/freezes')).body).toMatchObject({ freezes: [started.body] })
  for (const wrong of [
    { repositories: 'acme/*,b/*' },
    { reason: '\u202e' },
    { until: '2100-02-31T08:00Z' },
  ]) {
    const freeze = { repositories: 'acme/*', reason: 'Migration', ...wrong }
    expect((await ask('POST', '/api/freezes', freeze)).status).toBe(400)
  }
  await ask('POST', '/api/freezes', { repositories: 'acme/*', reason: 'x'.repeat(5000) })
  await ask('DELETE', '/api/freezes/1?discard=perhaps')
  await ask('DELETE', '/api/freezes/1', undefined, VIEW_TOKEN)
  await ask('DELETE', '/api/freezes/1')
  await send(url, { secret: 'wrong' })
  expect((await ask('GET', '/api/refused')).body.refused).toHaveLength(1)
  await ask('GET', '/api/refused?limit=1001')
  const routes = Object.entries(openApi.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map(method => [method.toUpperCase(), path.replace('{id}', 'none'), path] as const),
  )
  for (const [method, address, path] of routes) {
    await ask(method, address, undefined, 'wrong')
    if (method === 'POST') await ask(method, address, undefined, VIEW_TOKEN)
    if (path.includes('{id}')) await ask(method, address)
  }
  for (const [method, address] of routes) {
    const guess = () => ask(method, address, undefined, 'wrong')
    await until(async () => (await guess()).status === 429, 'wrong tokens are throttled')
  }
  expect((await ask('GET', '/api/deliveries?state=failed')).body.deliveries).toEqual([])
  expect((await ask('POST', `/api/deliveries/${failed}/cancel`)).status).toBe(202)
  const isCancelled = async () => (await ask('GET', `/api/deliveries/${failed}`)).body.state === 'cancelled'
  await until(isCancelled, 'the delivery is canceled')
  expect((await ask('POST', `/api/deliveries/${failed}/cancel`)).status).toBe(409)

  const described = Object.entries(openApi.paths).flatMap(([path, methods]) =>
    Object.entries(methods as Record<string, { responses: object }>).flatMap(([method, { responses }]) =>
      Object.keys(responses).map(status => `${method.toUpperCase()} ${path} ${status}`),
    ),
  )
  // test/commands/admin.test.ts tests that every route responds with 404 if no token is configured.
  const closed = (response: string) => response.endsWith(' 404') && !response.includes('{id}')
  expect(described.filter(response => !seen.has(response) && !closed(response))).toEqual([])
})

test('each filter narrows the list, and filters can be combined', async () => {
  const listed = async (query: string) => numbersOf((await ask('GET', `/api/deliveries?${query}`)).body)
  expect(await listed('')).toEqual([4, 3, 2, 1, 0])
  expect(await listed('state=failed')).toEqual([2, 1, 0])
  expect(await listed('repository=Acme/Web')).toEqual([3, 2])
  expect(await listed('action=test')).toEqual([1])
  expect(await listed('run_id=r_running')).toEqual([3])
  expect(await listed('since=1h')).toEqual([4, 3, 2, 1, 0])
  expect(await listed(`since=${Date.now() + 60_000}`)).toEqual([])
  const all = 'since=2026-01-31T12:00:00Z&state=failed&repository=acme/shop&action=test'
  expect(await listed(all)).toEqual([1])
  const first = (await ask('GET', '/api/deliveries?limit=4')).body
  expect(await listed(`limit=4&before=${first.next}`)).toEqual([0])
  expect((await ask('GET', `/api/deliveries?limit=4&before=${first.next}`)).body.next).toBeNull()
  expect(await listed('since=2026-01-31T14:00:00.5%2B02:00&action=test')).toEqual([1])
  // PostgreSQL columns cannot store a 20-digit number.
  const refused = { status: 400, body: { detail: expect.stringContaining('since must be a time such as ') } }
  const typos = ['yesterday', '$1', '2026-01-31', '2026-02-30T00:00:00Z', '1700000000']
  for (const since of [...typos, '99999999999999999999']) {
    expect(await ask('GET', `/api/deliveries?${new URLSearchParams({ since })}`)).toMatchObject(refused)
    expect(await ask('POST', '/api/redeliver', { state: 'failed', since })).toMatchObject(refused)
  }
})

test('a dry run lists, oldest first, the deliveries that a redelivery would queue, and says whether their Port runs have finished', async () => {
  const dry = (await ask('POST', '/api/redeliver', { state: 'failed', since: '1h', dry_run: true })).body
  expect(dry).toMatchObject({ dry_run: true, redelivered: 0, more: false })
  expect(numbersOf(dry)).toEqual([0, 1, 2])
  expect(dry.deliveries).toMatchObject(
    [true, false, null].map(port_run_ended => ({ state: 'failed', port_run_ended })),
  )
  expect((await ask('GET', '/api/deliveries?state=failed')).body.deliveries).toHaveLength(3)

  const newest = (await ask('POST', '/api/redeliver', { state: 'failed', limit: 2, dry_run: true })).body
  expect([numbersOf(newest), newest.more]).toEqual([[1, 2], true])

  const done = await ask('POST', '/api/redeliver', { outcome: 'not_started', repository: 'acme/shop' })
  expect([done.status, done.body.redelivered]).toEqual([202, 2])
  expect(numbersOf(done.body)).toEqual([0, 1])
  const { body } = await ask('GET', '/api/deliveries?repository=acme/shop&limit=2')
  expect(numbersOf(body)).toEqual([1, 0])
})

test('refuses a bulk redelivery without a filter or with an invalid field', async () => {
  const limits: unknown[] = [1001, { toString: 1 }, { valueOf: {} }, [], null, '5', 1.5, 0]
  const rows: [object, string][] = [
    [{}, 'Only failed or canceled deliveries can be redelivered'],
    [{ state: 'finished' }, 'Only failed or canceled deliveries can be redelivered'],
    [{ outcome: 'succeeded' }, 'Only failed or canceled deliveries can be redelivered'],
    [{ state: 'failed', repo: 'acme/shop' }, 'unknown field "repo"'],
    [{ state: 'failed', action: 1 }, 'action must be a string.'],
    ...limits.map((limit): (typeof rows)[0] => [{ state: 'failed', limit }, 'a whole number from 1 to 1000']),
    [{ state: 'failed', dry_run: { toString: 1 } }, 'dry_run must be true or false.'],
    [{ state: { toString: 1 } }, 'state must be one of queued, dispatched'],
    [[], 'The body must be a JSON object, such as'],
  ]
  for (const [body, part] of rows) {
    const detail = expect.stringContaining(part)
    expect(await ask('POST', '/api/redeliver', body)).toMatchObject({ status: 400, body: { detail } })
  }
  expect((await ask('GET', '/api/deliveries?state=failed')).body.deliveries).toHaveLength(3)
})
