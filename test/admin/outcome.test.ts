import { join } from 'node:path'
import { expect, test } from 'vitest'
import { deliveries } from '../../relay/cli/deliveries.ts'
import { OUTCOMES } from '../../relay/delivery/delivery.ts'
import type { DeliveryEvent, NoRun } from '../../relay/delivery/events.ts'
import { openRelayHere, relayEnv, temporaryFolder } from '../support/relay.ts'
import { run } from '../support/run-command.ts'
import { placeDeliveries, REJECTED, running } from './place-deliveries.ts'

const RELAY_ADMIN_TOKEN = 'an-admin-token-of-some-length'
const RUN = { id: 0, attempt: 1, evidence: 'title', past: false, status: 'completed', url: '' } as const

type Events = (id: number) => DeliveryEvent[]
const concluded =
  (conclusion: string | null, ...before: DeliveryEvent[]): Events =>
  id => [
    ...running(id),
    ...before,
    { type: 'runFinished', run: { ...RUN, id, conclusion }, runs: [], found: null },
  ]
const reported =
  (conclusion: 'success' | 'failure' | 'cancelled'): Events =>
  id => [
    ...running(id),
    { type: 'reportReceived', messages: [{ update: { conclusion } }], attempt: 1, ending: true },
  ]
const inPort =
  (conclusion: string, ofRun: string | null = null): Events =>
  id => [...running(id), { type: 'finishedInPort', conclusion, runs: [{ ...RUN, id, conclusion: ofRun }] }]
const withoutRun = (cause: NoRun): Events => {
  const type = cause.why === 'unidentified' ? 'runUnidentified' : 'startTimedOut'
  return id => [...running(id).slice(0, 1), { type, cause }]
}
const gaveUp =
  (type: 'runTimedOut' | 'runDeleted', cause: NoRun): Events =>
  id => [...running(id), { type, cause }]
const CANCEL: DeliveryEvent = { type: 'cancelRequested', by: 'port' }

/** Every way that a delivery can finish, by outcome. */
const WAYS: Record<(typeof OUTCOMES)[number] | 'open', Events[]> = {
  open: [() => [], id => running(id).slice(0, 1), running, id => [...running(id), CANCEL]],
  succeeded: [
    ...['success', 'neutral'].map(each => concluded(each)),
    ...[reported('success'), inPort('success'), inPort('unknown', 'success')],
  ],
  failed: [
    ...['failure', 'timed_out', 'action_required', 'startup_failure', 'stale'].map(each => concluded(each)),
    ...[reported('failure'), inPort('failure'), inPort('failure', 'success')],
  ],
  cancelled: [
    ...[concluded('cancelled'), concluded('cancelled', CANCEL), reported('cancelled')],
    ...[inPort('cancelled'), inPort('failure', 'cancelled'), () => [CANCEL]],
  ],
  not_started: [
    ...[() => REJECTED, concluded('skipped')],
    withoutRun({ why: 'nothing listens', disabled: [], workflows: 1 }),
    withoutRun({ why: 'not seen', reason: 'GitHub answers 403', startTimeout: 1 }),
  ],
  unknown: [
    ...[concluded(null), concluded('constructor'), inPort('unknown')],
    withoutRun({ why: 'unidentified', amount: 2 }),
    gaveUp('runDeleted', { why: 'deleted' }),
    gaveUp('runTimedOut', { why: 'too long', runTimeout: 1, status: 'in_progress' }),
  ],
}

test('API, command, and dashboard show the same number of deliveries per outcome', async () => {
  const path = join(temporaryFolder(), 'relay.db')
  const placed = Object.entries(WAYS).flatMap(([outcome, ways], i) =>
    ways.map((events, j) => ({ action: outcome, events: events(100 * i + j + 1) })),
  )
  await placeDeliveries(path, placed)
  const relay = await openRelayHere(relayEnv({ RELAY_ADMIN_TOKEN, RELAY_DATABASE: `sqlite:${path}` }))
  const env = { RELAY_ADMIN_TOKEN, PORT: new URL(relay.url).port }
  const list = async (...args: string[]) => {
    const { stdout } = await run(deliveries, [...args, '--limit', '200', '--json'], env)
    return JSON.parse(stdout).deliveries as { action: string; outcome: string | null }[]
  }
  const all = await list()
  expect(all).toHaveLength(placed.length)
  for (const { action, outcome } of all) expect(outcome ?? 'open').toBe(action)

  const body = new URLSearchParams({ token: RELAY_ADMIN_TOKEN })
  const signedIn = await fetch(`${relay.url}/sign-in`, { method: 'POST', redirect: 'manual', body })
  const cookie = signedIn.headers.get('set-cookie')!.split(';')[0]!
  const page = await (await fetch(relay.url, { headers: { cookie } })).text()
  for (const outcome of OUTCOMES) {
    const amount = WAYS[outcome].length
    expect(await list('--outcome', outcome), outcome).toHaveLength(amount)
    expect(page).toMatch(new RegExp(`id="outcome-${outcome}"[^>]*><strong>${amount}</strong>`))
  }
})
