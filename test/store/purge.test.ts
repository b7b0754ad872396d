import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { NewDelivery } from '../../relay/delivery/delivery.ts'
import { openStore } from '../../relay/store/open.ts'
import { purge } from '../../relay/workers/maintenance.ts'
import { temporaryFolder } from '../support/relay.ts'

const DAY = 86_400_000
const NOW = 100 * DAY

const delivery = (n: number, receivedAt: number): NewDelivery => ({
  id: `d-${n}`,
  dedupeKey: `run:r_${n}`,
  organization: 'default',
  runId: `r_${n}`,
  kind: 'action_run',
  action: 'deploy',
  repository: `acme/shop-${n}`,
  eventType: 'deploy',
  workflow: null,
  ref: null,
  invocation: '{}',
  receivedAt,
})

test('deliveries that finished before RELAY_RETENTION are removed in small steps while others are accepted; the rest stays', async () => {
  const store = await openStore({ kind: 'sqlite', path: join(temporaryFolder(), 'relay.db') }, 0)
  onTestFinished(() => store.close())
  const finish = async (ids: number[], at: number) => {
    await Promise.all(ids.map(n => store.accept(delivery(n, at))))
    for (const claimed of await store.claimQueued(at, 1000, ids.length, null)) {
      const state = claimed.seq % 2 ? 'finished' : 'failed'
      await store.apply(claimed, { change: { state, dueAt: null }, messages: [], history: null }, at)
    }
  }
  await finish(
    Array.from({ length: 1000 }, (_, n) => n),
    NOW - 31 * DAY,
  )
  await finish([1001, 1002], NOW - 29 * DAY)
  await store.accept(delivery(1003, NOW - 60 * DAY))

  const steps: number[] = []
  let isDone = false
  const purging = purge(
    {
      async purge(before, limit) {
        const removed = await store.purge(before, limit)
        steps.push(removed)
        return removed
      },
    },
    { now: NOW, retention: 30 * DAY, tolerance: 300_000 },
  ).then(removed => {
    isDone = true
    return removed
  })
  let accepted = 0
  while (!isDone) {
    await store.accept(delivery(2000 + accepted++, NOW))
  }
  expect(await purging).toBe(1000)
  expect(steps).toEqual([200, 200, 200, 200, 200, 0])
  expect(accepted).toBeGreaterThan(steps.length)
  expect(await store.get('d-7')).toBeNull()
  for (const id of ['d-1001', 'd-1002', 'd-1003', 'd-2000']) expect(await store.get(id)).not.toBeNull()
})

test('a delivery is kept as long as a replay of its webhook would be accepted, however short RELAY_RETENTION is', async () => {
  const store = await openStore({ kind: 'sqlite', path: join(temporaryFolder(), 'relay.db') }, 0)
  onTestFinished(() => store.close())
  await store.accept(delivery(1, NOW))
  const [claimed] = await store.claimQueued(NOW, 1000, 1, null)
  await store.apply(
    claimed!,
    { change: { state: 'finished', dueAt: null }, messages: [], history: null },
    NOW,
  )
  const kept = { retention: 60_000, tolerance: 300_000 }
  expect(await purge(store, { now: NOW + 600_000, ...kept })).toBe(0)
  expect((await store.accept({ ...delivery(1, NOW + 600_000), id: 'd-again' })).duplicate).toBe(true)
  expect(await purge(store, { now: NOW + 600_001, ...kept })).toBe(1)
})
