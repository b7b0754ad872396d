/**
 * `npm run test:faults [-- --only TEXT]`: every fault in its complete form, and a table of what it cost; then
 * 200,000 requests of chance. Exit 0 only if nothing was lost, nothing was dispatched twice but where a kill left no
 * evidence, and no request of chance broke anything.
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { fuzz, growth } from '../attack/fuzz.ts'
import { startPostgres } from '../support/postgres.ts'
import { completeFaults, mayBeTwice } from './complete.ts'
import { useBundle } from './relay-process.ts'
import { table } from './table.ts'
import type { Verdict } from './verdict.ts'

/** Whatever still runs then is a failure. */
const DEADLINE_MS = 30 * 60_000
/** Rows that are played at once: on two cores, more of them take no less time. */
const AT_ONCE = 10

const { only = '' } = parseArgs({ options: { only: { type: 'string' } } }).values
useBundle()
// Each relay holds several connections.
const server = await startPostgres({ settings: { max_connections: '300' } })
const verdicts: Verdict[] = []
const broken: string[] = []
const playing = new Set<string>()
setTimeout(() => {
  finish([
    ...broken,
    ...[...playing].map(fault => `${fault}: not finished after ${DEADLINE_MS / 60_000} minutes`),
  ])
  process.exit()
}, DEADLINE_MS).unref()
try {
  const rows = completeFaults(server).filter(([fault]) => fault.toLowerCase().includes(only.toLowerCase()))
  const playRows = async () => {
    for (let row = rows.shift(); row; row = rows.shift()) await playRow(...row)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, playRows))
  if ('fuzz'.includes(only.toLowerCase())) await playFuzz()
} finally {
  await server.close()
}
finish(broken)

function finish(problems: string[]): void {
  const bad = verdicts.filter(
    each => each.lost > 0 || each.disordered > 0 || (each.twice > 0 && !mayBeTwice(each.fault)),
  )
  if (verdicts.length > 0) console.log(table(verdicts))
  for (const line of problems) console.log(`Not played to its end: ${line}`)
  for (const { fault } of bad) console.log(`Not as it should be: ${fault}`)
  process.exitCode = bad.length + problems.length > 0 ? 1 : 0
}

async function playRow(fault: string, simulate: (fault: string) => Promise<Verdict>): Promise<void> {
  const began = performance.now()
  playing.add(fault)
  try {
    const verdict = await simulate(fault)
    verdicts.push(verdict)
    const { acknowledged, lost, twice, disordered } = verdict
    const seconds = Math.round((performance.now() - began) / 1000)
    console.error(
      `${fault}, ${seconds} s: ${acknowledged} acknowledged, ${lost} lost, ${twice} twice, ${disordered} out of order`,
    )
  } catch (error) {
    broken.push(`${fault}: ${(error as Error).message}`)
    console.error(broken.at(-1))
  } finally {
    playing.delete(fault)
  }
}

async function playFuzz(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'fuzz-'))
  const databases = {
    SQLite: `sqlite:${join(folder, 'relay.db')}`,
    PostgreSQL: await server.createDatabase(),
  }
  for (const [kind, database] of Object.entries(databases)) {
    const seed = Math.floor(Math.random() * 2 ** 31)
    const {
      requests,
      statuses,
      broken: answered,
      alive,
      rounds,
    } = await fuzz({
      count: kind === 'SQLite' ? 200_000 : 50_000,
      database,
      seed,
    })
    console.log(
      `fuzz, ${kind}, seed ${seed}: ${requests} requests, ${answered.length} × 5xx but 503, ` +
        `${alive ? 'no crash' : 'CRASHED'}, memory grown by ${growth(rounds, 'rss')} MB, of it held by JavaScript ${growth(rounds, 'held')} MB`,
    )
    console.log(`  memory after each tenth, MB: ${rounds.map(each => Math.round(each.rss)).join(', ')}`)
    console.log(`  answers: ${JSON.stringify(statuses)}`)
    for (const each of answered) broken.push(`fuzz, ${kind}: ${each}`)
    if (!alive || growth(rounds, 'rss') > 50) broken.push(`fuzz, ${kind}`)
  }
  rmSync(folder, { recursive: true, force: true })
}
