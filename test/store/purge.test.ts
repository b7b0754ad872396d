import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openStore } from '../../relay/store/open.ts'
import { purge } from '../../relay/workers/maintenance.ts'
import { temporaryFolder } from '../support/relay.ts'
import { aDelivery, applyTo } from './place.ts'

const DAY = 86_400_000
const NOW = 100 * DAY

test('keeps a delivery while its webhook could be replayed, even if RELAY_RETENTION is shorter', async () => {
  const store = await openStore({ kind: 'sqlite', path: join(temporaryFolder(), 'relay.db') })
  onTestFinished(() => store.close())
  const given = aDelivery({ receivedAt: NOW })
  await store.accept(given)
  await applyTo(store, given.id, { change: { state: 'finished', dueAt: null } }, NOW)
  const kept = { retention: 60_000, tolerance: 300_000 }
  expect(await purge(store, { now: NOW + 600_000, ...kept })).toBe(0)
  const again = { ...given, id: 'd-again', receivedAt: NOW + 600_000 }
  expect((await store.accept(again)).duplicate).toBe(true)
  expect(await purge(store, { now: NOW + 600_001, ...kept })).toBe(1)
})
