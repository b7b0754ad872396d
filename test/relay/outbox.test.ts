import { describe, expect, test } from 'vitest'
import type { Message } from '../../relay/delivery/delivery.ts'
import { OUTBOX_LEASE_MS, PORT_TIMEOUT_MS } from '../../relay/workers/outbox.ts'
import type { Fault, ReceivedRequest } from '../../simulator/http-server.ts'
import { type System, startSystem } from '../support/system.ts'
import { withoutDelivery } from '../support/without-delivery.ts'
import { withoutJitter } from '../support/without-jitter.ts'

withoutJitter()

const ALWAYS = { times: Number.POSITIVE_INFINITY }
const FAILED: Message[] = [
  { log: [{ level: 'ERROR', message: 'It failed.' }] },
  {
    update: {
      ...{ conclusion: 'failure', statusLabel: 'Failed', summary: 'It failed.', externalRunId: '42' },
      link: ['https://github.example/acme/shop/actions'],
    },
  },
]
const logOf = ({ port }: System, runId: string) =>
  (runId.startsWith('wfnr_') ? port.nodeRun(runId) : port.run(runId)).logs
const messages = (relay: System, runId = 'r_1') =>
  logOf(relay, runId).map(({ message }) => withoutDelivery(message))

const logLines = (length: number, message: (i: number) => string) =>
  Array.from({ length }, (_, i) => ({ level: 'INFO' as const, message: message(i) }))
const lines = (relay: System, runId = 'r_1') => messages(relay, runId).flatMap(text => text.split('\n'))

/** Starts a relay that has reported a dispatch to Port and has these messages to send. */
async function open(
  waiting: Message[] = FAILED,
  { retention, runId = 'r_1' }: { retention?: number; runId?: string } = {},
): Promise<System> {
  const relay = await startSystem({ autoRun: true, startTimeout: 600_000, ...(retention && { retention }) })
  const id = await relay.dispatch(runId)
  relay.port.clearRequests()
  logOf(relay, runId).length = 0
  await relay.report(id, waiting)
  return relay
}

/** Sends what is due, once a minute. */
async function sendEachMinute(relay: System, minutes: number): Promise<void> {
  for (let minute = 0; minute < minutes; minute++) {
    await relay.send()
    relay.advance(61_000)
  }
}
const sendUntilTaken = (relay: System) => sendEachMinute(relay, 21)

describe('an item that Port never accepts does not block the result:', () => {
  const line = (message: string): Message => ({ log: [{ level: 'INFO', message }] })
  const END: Message = { update: { conclusion: 'success', summary: 'done' } }
  const has = (word: string) => (request: ReceivedRequest) =>
    JSON.stringify(request.body ?? '').includes(word)
  const status = ({ port }: System, runId: string) =>
    runId.startsWith('wfnr_') ? port.nodeRun(runId).status : port.run(runId).status

  test.each<[string, string, Fault]>([
    ['wfnr_1', 'a 500', { status: 500 }],
    [
      'r_1',
      'the 403 of a firewall',
      { status: 403, headers: { 'content-type': 'text/html' }, body: '<html>' },
    ],
  ])('omits a line of run %s if Port responds with %s, and logs a warning', async (runId, _, failure) => {
    const relay = await open([line('a'), line('b'), line('poison'), line('c'), END], { runId })
    relay.port.fail({ ...ALWAYS, ...failure, match: has('poison') })
    await sendEachMinute(relay, 14)
    expect(messages(relay, runId)).toEqual([])
    await sendEachMinute(relay, 5)
    const note = `… 1 line may be missing here: Port keeps responding with ${failure.status}.`
    expect(lines(relay, runId)).toEqual(['a', 'b', note, 'c'])
    expect(status(relay, runId)).toBe(runId === 'r_1' ? 'SUCCESS' : 'COMPLETED')
    expect(relay.warned.at(-1)?.message).toBe('a message to Port was replaced')
  })

  test('two rejected lines among 500 are found in under 70 requests; no line is sent twice if Port fails meanwhile', async () => {
    const log = logLines(500, i => `${i}${i === 77 || i === 400 ? ' poison' : ''}`)
    const relay = await open([{ log }, END])
    relay.port.fail({ ...ALWAYS, status: 500, match: has('poison') })
    relay.advance(16 * 60_000)
    relay.port.clearRequests()
    // Port fails twice during the search. The lines that Port has already accepted aren't sent again.
    let requests = 0
    relay.port.fail({ status: 503, match: () => [12, 30].includes(++requests), times: 2 })
    await sendUntilTaken(relay)
    const note = '… 1 line may be missing here: Port keeps responding with 500.'
    expect(lines(relay)).toEqual(log.map(({ message }) => (message.endsWith('poison') ? note : message)))
    expect(relay.port.run('r_1').status).toBe('SUCCESS')
    expect(relay.port.requests.length).toBeLessThan(70)
  })

  test('an entity that the attempt requires makes its success a failure when a notice replaces the entity', async () => {
    const shop = { blueprint: 'service', properties: { identifier: 'shop' } }
    const relay = await open([{ entity: { ...shop, required: true, attempt: 1 } }, END])
    await relay.bind('d_1', 42)
    relay.port.fail({ ...ALWAYS, status: 500, match: ({ path }) => path.includes('/entities') })
    await sendEachMinute(relay, 14)
    expect(relay.port.run('r_1').status).toBe('IN_PROGRESS')
    await sendEachMinute(relay, 5)
    expect(relay.port.run('r_1')).toMatchObject({
      status: 'FAILURE',
      statusLabel: 'Entity rejected: service "shop"',
    })
  })

  test('no message is lost or replaced while Port responds to every request with 503', async () => {
    const entity = { blueprint: 'service', properties: { identifier: 'shop' } }
    const relay = await open([line('a'), { entity }, line('b'), ...FAILED])
    const back = relay.port.fail({ ...ALWAYS, status: 503, body: '<html>' })
    await sendEachMinute(relay, 30)
    back()
    await sendUntilTaken(relay)
    expect(messages(relay)).toEqual(['a', 'b\nIt failed.'])
    expect(relay.port.entities).toMatchObject([{ identifier: 'shop' }])
    expect(relay.port.run('r_1')).toMatchObject({ status: 'FAILURE', summary: 'It failed.' })
  })
})

test('all deliveries wait only for the time in Retry-After, even if one of them was retried often', async () => {
  const relay = await open()
  const back = relay.port.fail({ ...ALWAYS, status: 503 })
  await sendEachMinute(relay, 10)
  back()
  relay.port.fail({ status: 429, headers: { 'retry-after': '1' } })
  await relay.send()
  await relay.report(await relay.accept('r_2'), FAILED)
  expect(relay.port.run('r_2').status).toBe('IN_PROGRESS')
  relay.advance(1_001)
  await relay.send()
  for (const run of ['r_1', 'r_2']) expect(relay.port.run(run).status).toBe('FAILURE')
})

test('no message is sent twice if the database is briefly unavailable right after Port accepted a message', async () => {
  const relay = await open()
  const { settleOutbox } = relay.store
  let failures = 2
  relay.store.settleOutbox = async (...given) => {
    if (failures-- > 0) throw new Error('away')
    return settleOutbox(...given)
  }
  await relay.send()
  relay.advance(OUTBOX_LEASE_MS)
  expect(await relay.send()).toBe(0)
  expect(messages(relay)).toEqual(['It failed.'])
})

test('the rest of a page that is slow to send gets a new lease, and a lease is longer than four timeouts', async () => {
  const relay = await open()
  const slow = relay.port.fail({
    ...ALWAYS,
    match({ path }) {
      if (path.endsWith('/logs')) relay.advance(25_000)
      return false
    },
  })
  await relay.send()
  slow()
  expect(relay.port.run('r_1').status).toBe('IN_PROGRESS')
  await relay.send()
  expect(relay.port.run('r_1').status).toBe('FAILURE')
  // Another relay takes over the claims of a killed relay within a minute.
  expect(OUTBOX_LEASE_MS).toBeGreaterThan(10_000 + 4 * PORT_TIMEOUT_MS)
  expect(OUTBOX_LEASE_MS).toBeLessThanOrEqual(60_000)
})

test("late messages from a relay after an outage do not overwrite the action's newer reports", async () => {
  const system = await startSystem()
  const id = await system.accept('r_1')
  await system.port.stop()
  await system.step()
  await system.bind(id, system.run('deploy', { status: 'in_progress' }).id)
  await system.port.start()
  system.port.run('r_1').statusLabel = 'Running'
  await system.pass(30_000)
  expect(system.port.run('r_1').statusLabel).toBe('Running')
})
