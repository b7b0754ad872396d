import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { doctor } from '../../cli/doctor.ts'
import { createAlerts } from '../../relay/admin/alerts.ts'
import { RUNBOOK } from '../../relay/admin/dashboard/banner.ts'
import { createHealth } from '../../relay/admin/health.ts'
import type { SideProblem } from '../../relay/admin/sides.ts'
import { readConfig } from '../../relay/config/config.ts'
import { acceptAll, aDelivery, apply, applyTo, aTransition } from '../store/place.ts'
import { ALERT_SECRET, type AlertBody, openAlertEndpoint } from '../support/alert-endpoint.ts'
import { relayEnv, temporaryFolder } from '../support/relay.ts'
import { run } from '../support/run-command.ts'
import { openStoreHere } from '../support/store-here.ts'

const START = Date.UTC(2026, 2, 1, 3, 31)
const SECOND = 1_000
const MINUTE = 60 * SECOND

async function open() {
  const endpoint = await openAlertEndpoint()
  onTestFinished(endpoint.stop)
  const config = readConfig(
    relayEnv({
      ...{ RELAY_ALERT_URL: endpoint.url, RELAY_ALERT_SECRET: ALERT_SECRET },
      RELAY_PUBLIC_URL: 'https://relay.example.com',
    }),
  )
  const file = await openStoreHere(join(temporaryFolder(), 'relay.db'))
  onTestFinished(() => file.close())
  let at = START
  const reads = { count: 0, fail: false }
  const store: typeof file = {
    ...{ ...file, clock: () => at },
    list(...given) {
      reads.count++
      return reads.fail ? Promise.reject(new Error('a read failed')) : file.list(...given)
    },
  }
  const logged: object[] = []
  const database = { isUp: true }
  const problems: SideProblem[] = []
  const refused = { since: at, count: 0, statuses: [] as string[], reason: '' }
  const shared = {
    ...{ config, store, throttled: { warn: (fields: object) => void logged.push(fields) } },
    sides: { problems: () => problems, isUsed: () => true, isKnown: () => true, lastSuccess: () => null },
    checkDatabase: async () =>
      database.isUp ? { ok: true } : { ok: false, detail: "It doesn't accept writes." },
  }
  const facts = { rateLimitRemaining: () => null, tokenExpiresAt: () => null }
  const health = createHealth({
    ...shared,
    github: { facts } as never,
    pauses: { scope: 'owner:', allPaused: () => [] } as never,
    port: { pausedUntil: () => 0 } as never,
    freezes: { active: () => [] } as never,
    timeouts: { problem: () => null },
    address: { status: () => null },
    refusals: { recent: () => refused },
  })
  const relay = () => createAlerts({ ...shared, health, sides: { ...shared.sides, check: async () => {} } })
  const relays = [relay()]
  /** Advances time in steps of ten seconds. Returns the messages that were sent, each with the seconds until it was sent. */
  const pass = async (ms: number) => {
    const sent: [seconds: number, started: string[], resolved: string[]][] = []
    const types = (problems: AlertBody['started']) => problems.map(({ type }) => type)
    for (const start = at; at < start + ms; ) {
      at += 10 * SECOND
      const before = endpoint.received.length
      await Promise.all(relays.map(round => round()))
      for (const { body } of endpoint.received.slice(before))
        sent.push([(at - start) / SECOND, types(body.started), types(body.resolved)])
    }
    return sent
  }
  const set = (...given: SideProblem[]) => void problems.splice(0, problems.length, ...given)
  return { ...endpoint, refused, store, reads, relays, relay, logged, database, set, pass, now: () => at }
}

const down: SideProblem = {
  ...{ type: 'unreachable', side: 'github', key: '', advice: '' },
  text: 'GitHub unreachable since 2026-03-01 03:31:00 UTC.',
}
const rejected: SideProblem = {
  ...{ type: 'credential_rejected', side: 'port', key: 'acme', advice: 'Set it.' },
  text: 'Port rejects <it> (401).',
}

test('sends a signed message when problems start or are resolved, at most once a minute', async () => {
  const { received, relays, relay, set, pass } = await open()
  expect(await pass(MINUTE)).toEqual([])
  set(down)
  expect(await pass(5 * MINUTE)).toEqual([])
  set(down, rejected)
  expect(await pass(3 * MINUTE)).toEqual([[10, ['unreachable', 'credential_rejected'], []]])
  expect(received[0]!.body).toEqual({
    text: [
      'https://relay.example.com: GitHub unreachable since 2026-03-01 03:31:00 UTC.',
      `https://relay.example.com/status ${RUNBOOK}#portrelayunreachable\nPort rejects &lt;it&gt; (401). Set it.`,
      `https://relay.example.com/status ${RUNBOOK}#portrelaycredentialrejected`,
    ].join(' '),
    relay: 'https://relay.example.com',
    time: expect.any(String),
    started: [
      {
        ...{ type: 'unreachable', side: 'github', key: '', since: '2026-03-01T03:32:10.000Z' },
        detail: 'GitHub unreachable since 2026-03-01 03:31:00 UTC.',
        ...{ dashboard: 'https://relay.example.com/status', runbook: `${RUNBOOK}#portrelayunreachable` },
      },
      expect.objectContaining({ type: 'credential_rejected', side: 'port', key: 'acme' }),
    ],
    resolved: [],
  })
  // After a restart, no message is repeated, and problems that were resolved in the meantime are reported.
  relays[0] = relay()
  set(rejected)
  expect(await pass(MINUTE)).toEqual([[40, [], ['unreachable']]])
  set()
  await pass(10 * SECOND)
  set(rejected)
  expect(await pass(5 * MINUTE)).toEqual([])
  set()
  expect(await pass(5 * MINUTE)).toEqual([[20, [], ['credential_rejected']]])
  expect(received.at(-1)!.body.text).toContain('Resolved: Port rejects')
})

test('one of two relays on a database sends all alerts, and the other takes over when the first one stops', async () => {
  const { reads, relays, relay, set, pass } = await open()
  relays.push(relay())
  set(rejected)
  expect(await pass(MINUTE)).toEqual([[10, ['credential_rejected'], []]])
  expect(reads.count).toBe(6)
  relays.shift()
  set()
  const [resolved, ...others] = await pass(5 * MINUTE)
  expect([resolved?.slice(1), others]).toEqual([[[], ['credential_rejected']], []])
})

test('logs an endpoint failure without the URL, and retries the same message a minute later', async () => {
  const { received, state, stop, logged, set, pass } = await open()
  state.status = 500
  set(rejected)
  expect(await pass(MINUTE)).toHaveLength(1)
  state.status = 200
  expect(await pass(2 * MINUTE)).toEqual([[10, ['credential_rejected'], []]])
  expect(received[1]!.id).toBe(received[0]!.id)
  stop()
  set()
  await pass(20 * SECOND)
  expect(logged).toEqual([
    { reason: 'RELAY_ALERT_URL responded with 500' },
    { reason: "RELAY_ALERT_URL can't be reached (ECONNREFUSED)" },
  ])
})

test('sends an alert about refused webhooks, a rejected credential, and a stalled queue, but not about an old queue', async () => {
  const { received, store, refused, set, pass, now } = await open()
  await store.accept({ ...aDelivery(), receivedAt: now() - 20 * MINUTE })
  Object.assign(refused, { count: 4, statuses: ['4 × 401'], reason: "The signature doesn't match." })
  set({ ...rejected, side: 'github' })
  const [first, ...others] = await pass(20 * MINUTE)
  // A queue in a rate-limit pause doesn't count as stalled, but this queue isn't paused.
  expect(first).toEqual([10, ['credential_rejected', 'queue_stalled', 'webhooks_refused'], []])
  expect(others).toEqual([])
  set(down)
  expect((await pass(MINUTE)).flat(2)).toEqual([20, 'credential_rejected', 'queue_stalled'])
  expect((await pass(20 * MINUTE)).flat(2)).not.toContain('queue_old')
  expect(received[0]!.body.text).toMatch(
    /4 webhooks were refused since the relay started at .* UTC \(4 × 401\)\. Most often: The signature doesn't match\. https:\/\/relay.example.com\/refused/,
  )
  set()
  expect((await pass(MINUTE)).flat(2)).toContain('queue_old')
})

test('after a day, sends an alert about a freeze without an end', async () => {
  const { received, store, pass, now } = await open()
  const since = now() - 24 * 60 * MINUTE + 5 * MINUTE
  const sale = { repositories: 'acme/*', reason: 'Sale', startedBy: 'api' } as const
  const { id } = await store.addFreeze({ ...sale, since, endsAt: null })
  await store.addFreeze({ ...sale, since: 1, endsAt: now() + MINUTE })
  expect(await pass(10 * MINUTE)).toEqual([[310, ['freeze_old'], []]])
  const text =
    'acme/* has been frozen since 2026-02-28 03:36:00 UTC (1 d), without an end: Sale. Started through the API. 0 deliveries frozen. If the freeze was forgotten, end it.'
  expect(received[0]!.body.started).toMatchObject([{ key: String(id), detail: text }])
  await store.endFreeze(id, 'release')
  expect(await pass(5 * MINUTE)).toEqual([[20, [], ['freeze_old']]])
})

test('if workflow runs have waited for a runner for ten minutes, sends an alert with their number and labels', async () => {
  const { received, store, pass, now } = await open()
  const ids = await acceptAll(store, ...[1, 2, 3].map(() => ({ receivedAt: now() })))
  const waiting = {
    shownCause: 'runner',
    shownReason: 'self-hosted, gpu',
    shownAt: now(),
    dueAt: null,
  } as const
  for (const id of ids) {
    const state = id === ids[2] ? 'finished' : 'running'
    await applyTo(store, id, { change: { state, outcome: '', ...waiting } })
  }
  expect(await pass(15 * MINUTE)).toEqual([[600, ['no_runner'], []]])
  expect(received[0]!.body.started).toMatchObject([
    {
      key: 'acme/shop',
      detail: `2 workflow runs of acme/shop have waited for a runner with the labels self-hosted, gpu since 2026-03-01 03:31:00 UTC (deploy, delivery ${ids[0]}). Start a runner with these labels, update self-hosted runners, or correct runs-on.`,
      dashboard: 'https://relay.example.com/?state=running',
    },
  ])
  for (const id of ids) await applyTo(store, id, { change: { shownCause: '' } })
  expect(await pass(MINUTE)).toEqual([[20, [], ['no_runner']]])
  const repositories = Array.from({ length: 12 }, (_, n) => ({ repository: `acme/${n}`, receivedAt: now() }))
  for (const id of await acceptAll(store, ...repositories))
    await applyTo(store, id, { change: { state: 'running', ...waiting, shownAt: now() } })
  expect(await pass(15 * MINUTE)).toEqual([[600, Array(10).fill('no_runner'), []]])
})

test("sends alerts about a database that fails, an old queue, and workflows that don't start", async () => {
  const { received, store, reads, database, pass, now } = await open()
  await store.accept({ ...aDelivery(), receivedAt: now(), invocation: '{"inputs":"hunter2"}' })
  expect(await pass(15 * MINUTE - 10 * SECOND)).toEqual([[300, ['queue_stalled'], []]])
  expect(received[0]!.body.started[0]).toMatchObject({ key: 'acme/shop' })
  reads.fail = true
  expect(await pass(5 * MINUTE)).toEqual([[10, ['database_unavailable'], []]])
  reads.fail = false
  database.isUp = false
  expect(await pass(MINUTE)).toEqual([])
  database.isUp = true
  expect(await pass(5 * MINUTE)).toEqual([
    [10, ['queue_old'], []],
    [70, [], ['database_unavailable']],
  ])
  const reason = 'No workflow listens to deploy.'
  const change = { state: 'failed', outcome: 'not_started', reason } as const
  const [queued] = await store.list({ state: 'queued' }, { limit: 1 })
  await apply(store, queued!, aTransition({ change }), now())
  const { id, repository } = queued!
  expect(await pass(55 * MINUTE)).toEqual([
    [10, ['workflow_not_started'], []],
    [70, [], ['queue_stalled', 'queue_old']],
  ])
  expect(received[4]!.body.text).toContain(
    `1 delivery to ${repository} started no workflow. The last one: No workflow listens to deploy. (deploy, delivery ${id})`,
  )
  expect(JSON.stringify(received)).not.toContain('hunter2')
})

test('doctor --alert sends a test alert, and says what to set if the endpoint refuses it', async () => {
  const { url, received, stop } = await openAlertEndpoint()
  const alertLine = async (more: Record<string, string>) =>
    (await run(doctor, ['--alert'], relayEnv(more))).stdout.split('\n').find(line => line.includes(' alert '))
  expect(await alertLine({ RELAY_ALERT_URL: url, RELAY_ALERT_SECRET: ALERT_SECRET })).toMatch(
    /^ok .* A test alert was sent/,
  )
  expect(received[0]!.body.started).toMatchObject([{ type: 'test' }])
  stop()
  expect(await alertLine({ RELAY_ALERT_URL: url })).toMatch(
    /^problem .*RELAY_ALERT_URL can't be reached \(ECONNREFUSED\)/,
  )
  expect(await alertLine({})).toMatch(/^problem .*RELAY_ALERT_URL isn't set/)
})
