import { describe, expect, test } from 'vitest'
import { TELL_LEASE_MS } from '../../relay/deliveries/tell.ts'
import type { Report } from '../../relay/store/delivery.ts'
import { type Dispatching, openDispatching } from '../support/dispatching.ts'
import type { ReceivedRequest } from '../support/http-server.ts'

const DAY = 86_400_000
const ALWAYS = { times: Number.POSITIVE_INFINITY }
const FAILED: Report[] = [
  { log: [{ level: 'ERROR', message: 'It failed.' }] },
  {
    update: {
      conclusion: 'failure',
      statusLabel: 'Failed',
      summary: 'It failed.',
      link: ['https://github.example/acme/shop/actions'],
      externalRunId: '42',
    },
  },
]
const isPatch = ({ method }: ReceivedRequest) => method === 'PATCH'
const messages = ({ port }: Dispatching) => port.run('r_1').logs.map(({ message }) => message)

/** A relay that has told Port of a dispatch, and has these words to say. */
async function open(reports: Report[] = FAILED, retention?: number): Promise<Dispatching> {
  const relay = await openDispatching({ retention })
  relay.github.addRepository('acme/shop')
  const id = await relay.accept('r_1')
  await relay.step()
  await relay.tell()
  relay.port.clearRequests()
  relay.port.run('r_1').logs.length = 0
  await relay.store.report(id, reports, relay.now())
  return relay
}

async function tellUntilSaid(relay: Dispatching, everyMs = 61_000): Promise<void> {
  for (let i = 0; i < 20; i++) {
    relay.advance(everyMs)
    await relay.tell()
  }
}

describe('the end of a run reaches Port,', () => {
  test('however long Port was away, up to RELAY_RETENTION', async () => {
    const relay = await open(FAILED, 3 * DAY)
    const back = relay.port.fail({ ...ALWAYS, status: 503 })
    for (let hour = 0; hour < 70; hour += 10) {
      await relay.tell()
      relay.advance(36e6)
    }
    back()
    await tellUntilSaid(relay)
    expect(relay.port.run('r_1').status).toBe('FAILURE')
    expect(messages(relay)).toEqual(['It failed.'])
  })

  test('though the relay itself was away for longer, and Port stumbles at the first try', async () => {
    const relay = await open(FAILED, DAY)
    relay.advance(2 * DAY)
    relay.port.fail({ status: 503 })
    await relay.tell()
    await tellUntilSaid(relay)
    expect(relay.port.run('r_1').status).toBe('FAILURE')
  })

  test('after RELAY_RETENTION the words are dropped, and the log says so', async () => {
    const relay = await open(FAILED, DAY)
    relay.port.fail({ ...ALWAYS, status: 503 })
    await relay.tell()
    relay.advance(DAY + 1)
    await relay.tell()
    expect(relay.warned.at(-1)).toMatch(/^Port was not told: /)
    relay.advance(DAY)
    expect(await relay.tell()).toBe(0)
  })

  test.each([200, 403, 404])('after something in between had answered %s with a page', async status => {
    const relay = await open()
    relay.port.fail({
      match: isPatch,
      status,
      headers: { 'content-type': 'text/html' },
      body: '<html>maintenance</html>',
    })
    await relay.tell()
    expect(relay.port.run('r_1').status).toBe('IN_PROGRESS')
    await tellUntilSaid(relay)
    expect(relay.port.run('r_1')).toMatchObject({ status: 'FAILURE', summary: 'It failed.' })
    expect(messages(relay)).toEqual(['It failed.'])
  })
})

describe('when Port asks to wait', () => {
  test.each<[string, Record<string, string>, number, number]>([
    ['until a time that is over', { 'x-ratelimit-reset': '1700000000' }, 1_000, 1_000],
    ['for no time', { 'retry-after': '0' }, 1_000, 1_000],
    ['for a fraction', { 'retry-after': '1.00049' }, 1_000, 2_000],
    ['for ever', { 'retry-after': '99999999999999' }, 599_000, 600_000],
    ['in milliseconds', { 'x-ratelimit-reset': String(Date.now() + 9e8) }, 599_000, 600_000],
  ])('%s, the words are said in good time, and not before', async (_, headers, least, most) => {
    const relay = await open()
    relay.port.fail({ status: 429, headers, match: ({ method }) => method !== 'GET' })
    const before = relay.now()
    await relay.tell()
    expect(relay.port.requests).toHaveLength(1)
    const { until } = relay.portPause
    expect(Number.isInteger(until)).toBe(true)
    expect(until - before).toBeGreaterThanOrEqual(least)
    expect(until - relay.now()).toBeLessThanOrEqual(most)
    expect(await relay.tell()).toBe(0)
    relay.advance(until - relay.now())
    await relay.tell()
    expect(relay.port.run('r_1').status).toBe('FAILURE')
  })

  test('all deliveries wait, not each finding out for itself', async () => {
    const relay = await open()
    for (const run of ['r_2', 'r_3']) await relay.store.report(await relay.accept(run), FAILED, relay.now())
    relay.port.fail({ ...ALWAYS, status: 429, headers: { 'retry-after': '300' } })
    expect(await relay.tell()).toBe(3)
    expect(relay.port.requests).toHaveLength(1)
    relay.port.clearFailures()
    relay.advance(301_000)
    await relay.tell()
    for (const run of ['r_1', 'r_2', 'r_3']) expect(relay.port.run(run).status).toBe('FAILURE')
  })
})

describe('nothing is said twice', () => {
  test('where Port goes away in the middle of a long log', async () => {
    const log = Array.from({ length: 60 }, (_, i) => ({
      level: 'INFO' as const,
      message: `${i} ${'x'.repeat(7_900)}`,
    }))
    const relay = await open([{ log }])
    let calls = 0
    relay.port.fail({ match: ({ path }) => path.endsWith('/logs') && ++calls === 2, status: 503 })
    await relay.tell()
    await tellUntilSaid(relay)
    const said = messages(relay).flatMap(message => message.split('\n').map(line => line.split(' ')[0]))
    expect(said).toEqual(log.map((_, i) => String(i)))
  })

  test('where the store is away for a moment when it was said', async () => {
    const relay = await open()
    const { told } = relay.store
    let failures = 2
    relay.store.told = async (...given) => {
      if (failures-- > 0) throw new Error('away')
      return told(...given)
    }
    await relay.tell()
    relay.advance(TELL_LEASE_MS)
    expect(await relay.tell()).toBe(0)
    expect(messages(relay)).toEqual(['It failed.'])
  })
})

test('a sitting that takes long is gone on with under a new lease, which outlives two calls of a minute each', async () => {
  expect(TELL_LEASE_MS).toBeGreaterThan(20_000 + 2 * 60_000)
  const relay = await open()
  const slow = relay.port.fail({
    ...ALWAYS,
    match({ path }) {
      if (path.endsWith('/logs')) relay.advance(25_000)
      return false
    },
  })
  await relay.tell()
  slow()
  expect(relay.port.run('r_1').status).toBe('IN_PROGRESS')
  await relay.tell()
  expect(relay.port.run('r_1').status).toBe('FAILURE')
})
