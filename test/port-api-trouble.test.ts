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
const mint = () => mintToken(api)
const runPath = (id: string) => `/v1/actions/runs/${id}`

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

test('every request is seen with its body and the status it got, a cut one without', async () => {
  const { id } = api.createRun()
  const token = await mint()
  api.clearRequests()
  await call('PATCH', `${runPath(id)}?version=v2`, { statusLabel: 'x' }, token)
  const end = api.fail({ cut: 'before', times: Number.POSITIVE_INFINITY })
  await expect(call('GET', runPath(id), undefined, token)).rejects.toThrow()
  end()
  await call('GET', runPath(id), undefined, 'none')
  expect(api.requests.map(({ method, path, body, status }) => [method, path, body, status])).toEqual([
    ['PATCH', `${runPath(id)}?version=v2`, { statusLabel: 'x' }, 200],
    ['GET', runPath(id), undefined, undefined],
    ['GET', runPath(id), undefined, 401],
  ])
})

test('Port goes down and comes back on the same port with the same state', async () => {
  const run = api.createRun()
  const token = await mint()
  await api.failures.down()
  await expect(call('GET', runPath(run.id), undefined, token)).rejects.toThrow('fetch failed')
  await api.start()
  expect(await call('GET', runPath(run.id), undefined, token)).toMatchObject({ status: 200 })
})
