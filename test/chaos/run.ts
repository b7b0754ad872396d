/**
 * `npm run test:faults [-- --only TEXT]`: runs every complete fault and prints a table of results, then sends 200,000
 * fuzzed requests. Exits with 0 only if nothing was lost, nothing was dispatched twice (unless a kill left no
 * evidence), and no fuzzed request broke anything.
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { builtRelay } from '../support/built-relay.ts'
import { startPostgres } from '../support/postgres.ts'
import { type Allowed, completeFaults, type Fault } from './faults.ts'
import { brokenBy, fuzz, growth } from './fuzz.ts'
import { useBundle } from './relay-process.ts'
import { withSystem } from './system.ts'
import { print, type Verdict } from './verdict.ts'

const DEADLINE_MS = 60 * 60_000
/** Concurrent faults. About half of them mostly wait; the others use two cores completely. */
const CONCURRENCY = 10

const only = (parseArgs({ options: { only: { type: 'string' } } }).values.only ?? '').toLowerCase()
await builtRelay()
useBundle()
// Fills Node's compile cache, because killed relays don't write it.
await withSystem({}, ({ relay }) => relay.start().then(relay.stop))
// Each relay opens several connections.
const server = await startPostgres({ settings: { max_connections: '300' } })
const verdicts: (Verdict & { allowed: Allowed })[] = []
const broken: string[] = []
const running = new Set(['fuzz'])
setTimeout(() => {
  for (const fault of running) broken.push(`${fault}: not finished after ${DEADLINE_MS / 60_000} minutes`)
  finish()
  process.exit()
}, DEADLINE_MS).unref()
try {
  const faults = completeFaults(server.createDatabase).filter(([name]) => name.toLowerCase().includes(only))
  const runNext = async () => {
    for (let fault = faults.shift(); fault; fault = faults.shift()) await runFault(...fault)
  }
  await Promise.all([...Array.from({ length: CONCURRENCY }, runNext), 'fuzz'.includes(only) && runFuzz()])
  running.delete('fuzz')
} finally {
  await server.close()
}
finish()

function finish(): void {
  const bad = verdicts.filter(
    each =>
      each.lost + each.disordered > 0 ||
      each.acknowledged * each.times === 0 ||
      (each.failed > 0 && !each.allowed.failed) ||
      (each.twice > 0 && !each.allowed.twice),
  )
  if (verdicts.length > 0) print(verdicts)
  for (const problem of broken) console.log(`Failed: ${problem}`)
  for (const { fault } of bad) console.log(`Broke a promise: ${fault}`)
  process.exitCode = bad.length + broken.length > 0 ? 1 : 0
}

async function runFault(...[fault, run, allowed = {}]: Fault): Promise<void> {
  const startedAt = performance.now()
  running.add(fault)
  try {
    const verdict = await run(fault)
    verdicts.push({ ...verdict, allowed })
    const { acknowledged, lost, twice, disordered } = verdict
    const seconds = Math.round((performance.now() - startedAt) / 1000)
    console.error(
      `${fault}, ${seconds} s: ${acknowledged} acknowledged, ${lost} lost, ${twice} twice, ${disordered} out of order`,
    )
  } catch (error) {
    broken.push(`${fault}: ${(error as Error).message}`)
    console.error(broken.at(-1))
  } finally {
    running.delete(fault)
  }
}

async function runFuzz(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'fuzz-'))
  const rows = [
    ['SQLite', 150_000, `sqlite:${join(folder, 'relay.db')}`],
    ['PostgreSQL', 50_000, await server.createDatabase()],
  ] as const
  for (const [store, count, database] of rows) {
    const seed = Math.floor(Math.random() * 2 ** 31)
    const result = await fuzz({ count, database, seed }).catch((error: Error) => error)
    if (result instanceof Error) {
      broken.push(`fuzz, ${store}, seed ${seed}: ${result.message}`)
      continue
    }
    console.log(
      `fuzz, ${store}, seed ${seed}: ${count} requests, ${result.broken.length} × 5xx except 503, ` +
        `${result.alive ? 'no crash' : 'CRASHED'}, memory grown by ${growth(result.rounds, 'rss')} MB, held by JavaScript ${growth(result.rounds, 'held')} MB`,
    )
    console.log(`  responses: ${JSON.stringify(result.statuses)}`)
    broken.push(...brokenBy(result).map(each => `fuzz, ${store}, seed ${seed}: ${each}`))
  }
  rmSync(folder, { recursive: true, force: true })
}
