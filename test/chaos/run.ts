/**
 * `npm run test:faults [-- --only TEXT]`: runs the complete form of every fault, sends 200,000 fuzzed requests, and
 * prints a table of results. Exits with 0 if every fault struck and finished, nothing was lost or reordered, nothing
 * failed or was dispatched twice unexpectedly, and no fuzzed request broke anything.
 *
 * Each fault runs in a child process (`--fault NAME --url POSTGRESQL`). A single process for the fakes of all faults
 * would accept connections too slowly: relays would dispatch again before a fake GitHub has read the first dispatch.
 */

import { fork } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { TEST_ENV } from '../support/environment.ts'
import { createDatabase, startPostgres } from '../support/postgres.ts'
import { type Allowed, faultsIn } from './faults.ts'
import { brokenBy, fuzz, growth } from './fuzz.ts'
import { withSystem } from './system.ts'
import type { Verdict } from './verdict.ts'

/** The number of concurrent faults. Half of the faults mostly wait. The first ones, and fuzzing, use two cores completely. */
const CONCURRENCY = 12
/** The maximum duration of a fault, which is longer than any wait within a fault. */
const TIMEOUT_MS = 50 * 60_000

type Row = Verdict & { allowed: Allowed }
type Result = { row?: Row; problems?: string[] }

const text = { type: 'string' } as const
const { only = '', fault, url = '' } = parseArgs({ options: { only: text, fault: text, url: text } }).values
Object.assign(process.env, TEST_ENV)
// On exit, the relays and PostgreSQL are killed.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
const faults = new Map<string, () => Promise<Result>>()
for (const [name, run, allowed = {}] of faultsIn('complete', () => createDatabase(url))) {
  faults.set(name, async () => ({ row: { ...(await run(name)), allowed } }))
}
// Fuzzing comes last, because it can use both cores while the other faults wait for the leases of killed relays.
faults.set('fuzz, SQLite', () => runFuzz('SQLite', 150_000))
faults.set('fuzz, PostgreSQL', () => runFuzz('PostgreSQL', 50_000))
if (fault) {
  // If the parent process exits, this process exits too and kills its relays.
  process.once('disconnect', () => process.exit())
  const result = await faults.get(fault)!().catch((error: Error) => ({ problems: [error.message] }))
  process.send!(result, () => process.exit())
} else await runAll()

async function runAll(): Promise<void> {
  // Builds the bundle, and fills Node's compile cache, because killed relays don't write it.
  await withSystem({}, ({ relay }) => relay.start().then(relay.stop))
  // Each relay opens several connections.
  const server = await startPostgres({ settings: { max_connections: '300' } })
  const rows: Row[] = []
  const waiting = [...faults.keys()].filter(name => name.toLowerCase().includes(only.toLowerCase()))
  const broken = waiting.length > 0 ? [] : [`no fault's name contains "${only}"`]
  const runNext = async () => {
    for (let name = waiting.shift(); name; name = waiting.shift()) {
      const startedAt = performance.now()
      const { row, problems = [] } = await runInChild(name, server.url)
      if (row) rows.push(row)
      broken.push(...problems.map(each => `${name}: ${each}`))
      const seconds = Math.round((performance.now() - startedAt) / 1000)
      console.error(`${name}, ${seconds} s: ${row ? JSON.stringify(row) : problems.join('\n')}`)
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, runNext)).finally(server.close)
  const bad = rows.filter(
    each =>
      each.lost + each.disordered > 0 ||
      each.acknowledged * each.times === 0 ||
      (each.failed > 0 && !each.allowed.failed) ||
      (each.twice > 0 && !each.allowed.twice),
  )
  console.table(rows, ['fault', 'times', 'acknowledged', 'lost', 'twice', 'disordered', 'failed'])
  for (const problem of broken) console.log(`Failed: ${problem}`)
  for (const { fault } of bad) console.log(`Broke a promise: ${fault}`)
  process.exitCode = bad.length + broken.length > 0 ? 1 : 0
}

function runInChild(name: string, server: string): Promise<Result> {
  const child = fork(import.meta.filename, ['--fault', name, '--url', server], { timeout: TIMEOUT_MS })
  return new Promise(resolve => {
    child.once('message', resolve as (message: unknown) => void)
    child.once('close', (code, signal) => resolve({ problems: [`the process ended with ${signal ?? code}`] }))
  })
}

async function runFuzz(store: 'SQLite' | 'PostgreSQL', count: number): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'fuzz-'))
  const database = store === 'SQLite' ? `sqlite:${join(folder, 'relay.db')}` : await createDatabase(url)
  const seed = Math.floor(Math.random() * 2 ** 31)
  const result = await fuzz({ count, database, seed }).catch((error: Error) => error)
  rmSync(folder, { recursive: true, force: true })
  if (result instanceof Error) return { problems: [`seed ${seed}: ${result.message}`] }
  console.log(
    `fuzz, ${store}, seed ${seed}: ${count} requests, ${result.broken.length} × 5xx except 503, ` +
      `${result.alive ? 'no crash' : 'CRASHED'}, memory grown by ${growth(result.rounds, 'rss')} MB, held by JavaScript ${growth(result.rounds, 'held')} MB\n` +
      `  responses: ${JSON.stringify(result.statuses)}`,
  )
  return { problems: brokenBy(result).map(each => `seed ${seed}: ${each}`) }
}
