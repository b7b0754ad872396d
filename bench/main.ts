import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import type { Config } from '../relay/config/config.ts'
import { startPostgres } from '../test/support/postgres.ts'
import { intake } from './intake.ts'
import { type ListTimes, lists } from './lists.ts'
import type { Figures } from './load.ts'
import { million, type Rates } from './million.ts'
import { type ScrapeTimes, scrapes } from './scrape.ts'
import { bundleSizes, starts } from './start.ts'

/*
 * Ratios from one run on one machine; goals in brackets. `npm run bench -- intake starts million scrape lists` runs parts.
 */
const wanted = process.argv.slice(2)
const runs = (part: string) => wanted.length === 0 || wanted.includes(part)
const row = (name: string, ...cells: string[]) => console.log(`  ${name.padEnd(44)}${cells.join('   ')}`)
const folder = mkdtempSync(join(tmpdir(), 'bench-'))
// A server's first setting, as PostgreSQL itself advises: its default of 128 MB is there to start on anything.
// https://www.postgresql.org/docs/current/runtime-config-resource.html#GUC-SHARED-BUFFERS
const settings = { shared_buffers: '1GB' }
const postgres = ['intake', 'million', 'scrape', 'lists'].some(runs)
  ? await startPostgres({ settings })
  : null

try {
  if (postgres && runs('intake')) {
    const figures = await intake(await postgres.createDatabase())
    const echo = figures.echo.perSecond
    console.log('\nIntake: 64 connections, 1.4 KB, load generator on the same machine')
    const line = (name: string, { perSecond, p50, p99 }: Figures, goal = '') =>
      row(
        name,
        `${perSecond.toFixed(0).padStart(6)} /s`,
        `p50 ${p50} ms`,
        `p99 ${p99} ms`,
        `ratio ${(perSecond / echo).toFixed(2)}${goal}`,
      )
    line('(a) bare Hono echo', figures.echo)
    line('(b) verification alone', figures.verify)
    line('(c) relay, SQLite', figures.relay, '  [at least 0.45, p99 at most 30 ms]')
    line('(d) relay, PostgreSQL', figures.postgres, '  [at least 0.25]')
  }
  if (runs('starts')) {
    const times = await starts()
    console.log('\nStarts: median wall time')
    const line = (name: string, ms: number, goal = '') => row(name, `${ms.toFixed(0).padStart(6)} ms`, goal)
    line('empty Node', times.emptyNode)
    line('action main', times.main, '[at most 90 where an empty Node takes about 22]')
    line('action post', times.post, '[at most 90]')
    line('relay bundle until it listens', times.relayListening, '[at most 150]')
    for (const [name, bytes] of Object.entries(bundleSizes()))
      row(`bundle of ${name}`, `${(bytes / 1e6).toFixed(2)} MB`, '[at most 0.8]')
  }
  if (postgres && runs('million')) {
    console.log('\nA million finished deliveries, against an empty store')
    const line = (store: string, { empty, full }: { empty: Rates; full: Rates }) => {
      for (const rate of ['intake', 'claims'] as const) {
        row(
          `${store} ${rate}`,
          `${full[rate].toFixed(0).padStart(6)} /s`,
          `empty ${empty[rate].toFixed(0)} /s`,
          `ratio ${(full[rate] / empty[rate]).toFixed(2)}  [at least 0.9]`,
        )
      }
    }
    line(
      'SQLite',
      await million(
        async name => ({ kind: 'sqlite', path: join(folder, `${name}.db`) }),
        async () => {},
      ),
    )
    line(
      'PostgreSQL',
      await million(async () => ({ kind: 'postgres', url: await postgres.createDatabase() }), vacuum),
    )
  }
  if (postgres && runs('scrape')) {
    console.log('\nA scrape of /metrics on a million deliveries, 300,000 of them open or failed')
    const line = (store: string, { least, median, most }: ScrapeTimes) =>
      row(
        store,
        `least ${least.toFixed(1)} ms`,
        `median ${median.toFixed(1)} ms`,
        `most ${most.toFixed(1)} ms  [at most 50]`,
      )
    line('SQLite', await scrapes(`sqlite:${join(folder, 'scrape.db')}`, async () => {}))
    const url = await postgres.createDatabase()
    line('PostgreSQL', await scrapes(url, () => vacuum({ kind: 'postgres', url })))
  }
  if (postgres && runs('lists')) {
    for (const [amount, goal] of [
      [100_000, 100],
      [1_000_000, 200],
    ] as const) {
      console.log(`\nLists and one delivery where ${amount} are stored: median of each  [at most ${goal} ms]`)
      const url = await postgres.createDatabase()
      const ofSqlite = await lists(`sqlite:${join(folder, `lists-${amount}.db`)}`, amount, async () => {})
      const ofPostgres = await lists(url, amount, () => vacuum({ kind: 'postgres', url }))
      const cell = (store: string, times: ListTimes, name: string) => `${store} ${times[name]!.toFixed(1)} ms`
      for (const name of Object.keys(ofSqlite))
        row(name, cell('SQLite', ofSqlite, name), cell('PostgreSQL', ofPostgres, name))
    }
  }
} finally {
  await postgres?.close()
  rmSync(folder, { recursive: true, force: true })
}

/** What autovacuum has long done where a million deliveries came one after the other. */
async function vacuum(database: Config['database']): Promise<void> {
  if (database.kind !== 'postgres') return
  const client = new pg.Client(database.url)
  await client.connect()
  await client.query('VACUUM ANALYZE')
  await client.query('CHECKPOINT')
  await client.end()
}
