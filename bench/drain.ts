import { mkdtempDisposableSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openBackend } from '../relay/store/open.ts'
import { startGitHub } from './latency.ts'
import { newDelivery } from './million.ts'
import { startServer } from './processes.ts'
import { relayEnvironment } from './relay-environment.ts'

const DELIVERIES = 10_000
/** Each repository has a separate queue. */
const REPOSITORIES = 100
const LONGEST_MS = 120_000

/** Measures dispatches per second for 10,000 queued deliveries. GitHub responds immediately, and no rate is set. */
export async function drain(): Promise<number> {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'bench-'))
  const path = join(folder.path, 'relay.db')
  using github = await startGitHub()
  const backend = await openBackend({ kind: 'sqlite', path })
  const now = Date.now()
  await Promise.all(
    Array.from({ length: DELIVERIES }, (_, i) => backend.insert(newDelivery(i, now, REPOSITORIES))),
  )
  await backend.close()
  const started = performance.now()
  await using relay = await startServer('relay/dist/main.js', relayEnvironment(`sqlite:${path}`, github.url))
  while (github.dispatched() < DELIVERIES) {
    if (performance.now() - started > LONGEST_MS) throw new Error(`Dispatched only ${github.dispatched()}`)
    await sleep(20)
  }
  return (DELIVERIES * 1000) / (performance.now() - started - relay.startedAfterMs)
}
