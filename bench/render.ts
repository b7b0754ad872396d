import type { IntakeMemory, IntakeRow, ServerName } from './intake.ts'
import type { Latency } from './latency.ts'
import type { ListTimes } from './lists.ts'
import type { Rates } from './million.ts'
import type { Starts } from './start.ts'
import type { Spread } from './statistics.ts'

export interface Results {
  machine: string
  versions: Record<string, string>
  intake?: { rows: IntakeRow[]; memory: IntakeMemory }
  latency?: Record<'sqlite' | 'postgres', Latency>
  /** Dispatches a second. */
  drain?: number
  starts?: Starts & { bundles: Record<string, number> }
  million?: Record<'sqlite' | 'postgres', { empty: Rates; full: Rates }>
  scrape?: Record<'sqlite' | 'postgres', Spread>
  lists?: { amount: number; sqlite: ListTimes; postgres: ListTimes }[]
}

const NAMES: Record<ServerName, string> = {
  hono: 'bare Hono',
  verify: 'verification alone',
  sqlite: 'relay, SQLite',
  postgres: 'relay, PostgreSQL',
}
const GOALS: Partial<Record<ServerName, string>> = {
  sqlite: 'ratio ≥ 0.45, CPU ≤ 2.5×, p99 ≤ 20 ms, peak ≤ 200 MB',
  postgres: 'ratio ≥ 0.35',
}

/** The figures as tables of text: median, and in brackets the lowest and the highest. */
export function render(results: Results): string {
  const { machine, versions, intake, latency, drain, starts, million, scrape, lists } = results
  const given = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  const lines = [`${machine}; ${given.join(', ')}. Median [lowest – highest].`]
  const part = (title: string, rows: string[][]) => lines.push('', title, ...table(rows))
  if (intake) {
    part('Intake: webhooks a second; load generator on the same machine', [
      [
        'connections',
        'body',
        'server',
        '/s',
        'of Hono',
        'CPU µs',
        'of Hono',
        'p50 ms',
        'p99 ms',
        'generator',
        '',
      ],
      ...intake.rows.map(row => [
        String(row.connections),
        `${(row.size / 1024).toFixed(row.size < 2048 ? 1 : 0)} KB`,
        NAMES[row.server],
        text(row.perSecond, 0),
        text(row.ratio, 2),
        text(row.cpuUs, 0),
        text(row.cpuRatio, 2),
        text(row.p50, 1),
        text(row.p99, 1),
        `${row.generatorCores.median.toFixed(2)} core${row.generatorCores.median > 0.9 ? ', its limit' : ''}`,
        (row === intake.rows.find(each => each.server === row.server) && GOALS[row.server]) || '',
      ]),
    ])
    part('Memory in MB', [
      ['server', 'after its start', 'peak at 64 connections'],
      ...Object.entries(intake.memory).map(([name, { idle, peak }]) => [
        NAMES[name as ServerName],
        text(idle, 0),
        text(peak, 0),
      ]),
    ])
  }
  if (latency) {
    const of = ({ p50, p99 }: { p50: number; p99: number }) => [p50.toFixed(1), p99.toFixed(1)]
    part('Idle relay: milliseconds from a webhook', [
      ['store', 'to its answer p50', 'p99', 'to its dispatch p50', 'p99', ''],
      ['SQLite', ...of(latency.sqlite.response), ...of(latency.sqlite.dispatch), 'p50 ≤ 4, p99 ≤ 10'],
      ['PostgreSQL', ...of(latency.postgres.response), ...of(latency.postgres.dispatch), ''],
    ])
  }
  if (drain !== undefined)
    part('Drain of 10,000 deliveries in 100 repositories, SQLite', [
      [`${drain.toFixed(0)} dispatches a second`],
    ])
  if (starts) {
    const row = (name: string, { ms, ratio }: Starts['main'], goal = '') => [
      name,
      text(ms, 0),
      text(ratio, 2),
      goal,
    ]
    part('Starts', [
      ['', 'ms', 'of an empty Node', ''],
      row('empty Node', starts.emptyNode),
      row('bundle of @actions/core alone', starts.onlyCore),
      row('action: main', starts.main, '≤ 2.0'),
      row('action: post', starts.post, '≤ 2.6'),
      row('action: progress reporter, loaded', starts.progress),
      row('relay: bundle until it listens', starts.relayListening, '≤ 3.5'),
    ])
    part(
      'Bundles',
      Object.entries(starts.bundles).map(([name, bytes]) => [name, `${(bytes / 1e6).toFixed(2)} MB`]),
    )
  }
  if (million) {
    part('A million finished deliveries, against an empty store: a second', [
      ['store', 'rate of', 'full', 'empty', 'ratio', ''],
      ...(['sqlite', 'postgres'] as const).flatMap(store =>
        (['intake', 'claims'] as const).map(rate => {
          const { empty, full } = million[store]
          const ratio = (full[rate] / empty[rate]).toFixed(2)
          return [NAMES[store], rate, full[rate].toFixed(0), empty[rate].toFixed(0), ratio, '≥ 0.9']
        }),
      ),
    ])
  }
  if (scrape) {
    part('A scrape of /metrics on a million deliveries, 300,000 of them open or failed: ms', [
      ['store', 'least', 'median', 'most', ''],
      ...(['sqlite', 'postgres'] as const).map(store => {
        const { min, median, max } = scrape[store]
        return [NAMES[store], min.toFixed(1), median.toFixed(1), max.toFixed(1), '≤ 50']
      }),
    ])
  }
  for (const { amount, sqlite, postgres } of lists ?? []) {
    part(`Lists and one delivery where ${amount} are stored: median of each in ms`, [
      ['', 'SQLite', 'PostgreSQL', amount > 100_000 ? '≤ 200' : '≤ 100'],
      ...Object.keys(sqlite).map(name => [
        name,
        (sqlite[name] ?? Number.NaN).toFixed(1),
        (postgres[name] ?? Number.NaN).toFixed(1),
      ]),
    ])
  }
  return lines.join('\n')
}

const text = ({ median, min, max }: Spread, digits: number) =>
  `${median.toFixed(digits)} [${min.toFixed(digits)} – ${max.toFixed(digits)}]`

function table(rows: string[][]): string[] {
  const widths = rows[0]?.map((_, i) => Math.max(...rows.map(row => row[i]?.length ?? 0))) ?? []
  return rows.map(row => `  ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')}`.trimEnd())
}
