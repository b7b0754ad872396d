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

test('keeps a delivery while its webhook could be replayed, even if RELAY_RETENTION is shorter', async () => {
  const store = await openStore({ kind: 'sqlite', path: join(temporaryFolder(), 'relay.db') }, 0)
  onTestFinished(() => store.close())
  await store.accept(delivery(1, NOW))
  const [claimed] = await store.claimQueued(NOW, 1000, 1, 'owner:')
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
