import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openStore } from '../../relay/store/open.ts'
import { until } from '../../tools/simulator/http-server.ts'
import { temporaryFolder } from '../support/relay.ts'
import { aDelivery } from './place.ts'

test('commits are moved into the database file while the store is open, and no WAL file is left after closing', async () => {
  const path = join(temporaryFolder(), 'relay.db')
  const store = await openStore({ kind: 'sqlite', path })
  const invocation = JSON.stringify({ inputs: { text: 'x'.repeat(1000) } })
  await Promise.all(Array.from({ length: 1_000 }, () => store.accept(aDelivery({ invocation }))))
  // Commits trigger checkpoints only beyond 256 MB. The last few deliveries can wait for the next checkpoint.
  await until(() => statSync(path).size > 500_000, 'the file has grown')
  await store.accept(aDelivery({ invocation }))
  await store.close()
  expect(statSync(path).size).toBeGreaterThan(1_000_000)
  expect(existsSync(`${path}-wal`)).toBe(false)
})
