import { describe, expect, test } from 'vitest'
import { TELL_LEASE_MS } from '../../relay/deliveries/tell.ts'
import type { Report } from '../../relay/store/delivery.ts'
import { type Dispatching, openDispatching } from '../support/dispatching.ts'
import type { ReceivedRequest, Trouble } from '../support/http-server.ts'

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
const logOf = ({ port }: Dispatching, runId: string) =>
  (runId.startsWith('wfnr_') ? port.nodeRun(runId) : port.run(runId)).logs
const messages = (relay: Dispatching, runId = 'r_1') => logOf(relay, runId).map(({ message }) => message)

/** A relay that has told Port of a dispatch, and has these words to say. */
async function open(
  reports: Report[] = FAILED,
  { retention, runId = 'r_1' }: { retention?: number; runId?: string } = {},
): Promise<Dispatching> {
  const relay = await openDispatching({ retention })
  relay.github.addRepository('acme/shop')
  const id = await relay.accept(runId)
  await relay.step()
  await relay.tell()
  relay.port.clearRequests()
  logOf(relay, runId).length = 0
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
    const relay = await open(FAILED, { retention: 3 * DAY })
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
    const relay = await open(FAILED, { retention: DAY })
    relay.advance(2 * DAY)
    relay.port.fail({ status: 503 })
    await relay.tell()
    await tellUntilSaid(relay)
    expect(relay.port.run('r_1').status).toBe('FAILURE')
  })

  test('after RELAY_RETENTION the words are dropped, and the log says so', async () => {
    const relay = await open(FAILED, { retention: DAY })
    relay.port.fail({ ...ALWAYS, status: 503 })
    await relay.tell()
    relay.advance(DAY + 1)
    await relay.tell()
    const fields = { delivery: 'd_1', run: 'r_1', repository: 'acme/shop' }
    expect(relay.warned[0]).toEqual({ fields, message: expect.stringMatching(/^Port will be told later: /) })
    expect(relay.warned.at(-1)).toEqual({ fields, message: expect.stringMatching(/^Port was not told: /) })
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

const FORBIDDEN = { status: 403, body: { ok: false, error: 'forbidden', message: 'Not allowed' } }

test.each<[string, Trouble]>([
  ['without the permission', FORBIDDEN],
  ['in a conflict', { status: 409, body: { ok: false, error: 'conflict' } }],
  ['too early', { status: 425, body: { ok: false } }],
  ['without a token', { ...FORBIDDEN, match: ({ path }) => path === '/v1/auth/access_token' }],
])('what Port refuses %s is said when that has passed', async (_, trouble) => {
  const relay = await open()
  relay.port.expireTokens()
  const passed = relay.port.fail({ ...ALWAYS, ...trouble })
  await relay.tell()
  relay.advance(3_600_000)
  await relay.tell()
  passed()
  await tellUntilSaid(relay)
  expect(relay.port.run('r_1')).toMatchObject({ status: 'FAILURE', summary: 'It failed.' })
  expect(messages(relay)).toEqual(['It failed.'])
})

describe('what is never taken does not keep the end back:', () => {
  const line = (message: string): Report => ({ log: [{ level: 'INFO', message }] })
  const END: Report = { update: { conclusion: 'success', summary: 'done' } }
  const has = (word: string) => (request: ReceivedRequest) =>
    JSON.stringify(request.body ?? '').includes(word)
  const status = ({ port }: Dispatching, runId: string) =>
    runId.startsWith('wfnr_') ? port.nodeRun(runId).status : port.run(runId).status

  test.each<[string, string, Trouble]>([
    ['r_1', 'a 500', { status: 500 }],
    ['wfnr_1', 'a 500', { status: 500 }],
    [
      'r_1',
      'the 403 of a firewall',
      { status: 403, body: '<html>', headers: { 'content-type': 'text/html' } },
    ],
    ['r_1', 'a 403', FORBIDDEN],
  ])(
    'one line of run %s, which gets %s, is left out of those around it, and the log says so',
    async (runId, _, trouble) => {
      const relay = await open([line('a'), line('b'), line('poison'), line('c'), END], { runId })
      relay.port.fail({ ...ALWAYS, ...trouble, match: has('poison') })
      for (let minute = 0; minute < 14; minute++) {
        await relay.tell()
        relay.advance(60_000)
      }
      expect(messages(relay, runId)).toEqual([])
      for (let minute = 0; minute < 4; minute++) {
        relay.advance(60_000)
        await relay.tell()
      }
      const note = `… 1 line may be missing here: Port keeps answering ${trouble.status}.`
      const said = messages(relay, runId)
      expect(said).toEqual(['a', 'b', note, 'c'])
      expect(status(relay, runId)).toBe(runId === 'r_1' ? 'SUCCESS' : 'COMPLETED')
      expect(relay.warned.at(-1)?.message).toMatch(/^Port was not told: /)
    },
  )

  test('an entity', async () => {
    const entity = { blueprint: 'service', properties: { identifier: 'poison' } }
    const relay = await open([{ entity }, END])
    relay.port.fail({ ...ALWAYS, status: 500, match: has('poison') })
    await tellUntilSaid(relay)
    expect(messages(relay)).toEqual(['… an entity may be missing here: Port keeps answering 500.'])
    expect(relay.port.run('r_1').status).toBe('SUCCESS')
  })

  test('a summary: the run ends without it, and not before the time', async () => {
    const relay = await open([{ update: { conclusion: 'success', summary: 'poison' } }])
    relay.port.fail({ ...ALWAYS, status: 500, match: has('poison') })
    for (let minute = 0; minute < 14; minute++) {
      await relay.tell()
      relay.advance(60_000)
    }
    expect(relay.port.run('r_1').status).toBe('IN_PROGRESS')
    await tellUntilSaid(relay)
    expect(relay.port.run('r_1').status).toBe('SUCCESS')
    expect(relay.warned.at(-1)?.message).toMatch(
      /^Port was told of the end, but no more than the conclusion: /,
    )
  })

  test('a summary that Port takes after all is not left out', async () => {
    const relay = await open([{ update: { conclusion: 'success', summary: 'poison' } }])
    relay.port.fail({ times: 2, status: 500, match: has('poison') })
    await relay.tell()
    relay.advance(3_600_000)
    await relay.tell()
    expect(relay.port.run('r_1')).toMatchObject({ status: 'SUCCESS', summary: 'poison' })
  })

  test.each([503, 403])('while Port answers all with %i, nothing is lost, nor announced', async status => {
    const entity = { blueprint: 'service', properties: { identifier: 'shop' } }
    const relay = await open([line('a'), { entity }, line('b'), ...FAILED])
    const back = relay.port.fail({ ...ALWAYS, status, body: '<html>' })
    for (let minute = 0; minute < 60; minute++) {
      await relay.tell()
      relay.advance(60_000)
    }
    back()
    await tellUntilSaid(relay)
    expect(messages(relay)).toEqual(['a', 'b\nIt failed.'])
    expect(relay.port.entities).toMatchObject([{ identifier: 'shop' }])
    expect(relay.port.run('r_1')).toMatchObject({ status: 'FAILURE', summary: 'It failed.' })
  })

  test('what Port takes after all is not left out', async () => {
    const relay = await open([line('a'), END])
    relay.port.fail({ times: 2, status: 500, match: has('a') })
    await relay.tell()
    relay.advance(3_600_000)
    await relay.tell()
    expect(messages(relay)).toEqual(['… 1 line may be missing here: Port keeps answering 500.', 'a'])
    expect(relay.port.run('r_1').status).toBe('SUCCESS')
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
