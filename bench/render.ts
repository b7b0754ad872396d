import type { Click } from './click.ts'
import type { Idle } from './idle.ts'
import type { Intake } from './intake.ts'
import type { Latency } from './latency.ts'
import type { Million } from './million.ts'
import type { Starts } from './start.ts'
import type { Spread } from './statistics.ts'

export interface Results {
  machine: string
  versions: Record<string, string>
  intake?: Intake
  latency?: Record<string, { bare: Latency; relay: Latency }>
  click?: Click[]
  idle?: Idle[]
  /** Dispatches per second. */
  drain?: number
  starts?: Starts & { bundles: Record<string, number> }
  million?: Record<'sqlite' | 'postgres', Million>
}

const NAMES = { sqlite: 'relay, SQLite', postgres: 'relay, PostgreSQL' }

/** Renders the results as text tables, each value as a median with the minimum and maximum in brackets. */
export function render(results: Results): string {
  const { machine, versions, intake, latency, click, idle, drain, starts, million } = results
  const given = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  const lines = [`${machine}; ${given.join(', ')}. Median [lowest – highest].`]
  const part = (title: string, rows: string[][]) => lines.push('', title, ...table(rows))
  if (intake) {
    part('Intake: webhooks per second; load generator on the same machine', [
      [
        ...['connections', 'body', 'server', '/s', 'of Hono', 'of group commit', 'of pg-boss'],
        ...['CPU µs', 'of group commit', 'KB written'],
        ...['p50 ms', 'p99 ms', 'of group commit', 'generator', ''],
      ],
      ...intake.rows.map(row => [
        String(row.connections),
        `${(row.size / 1024).toFixed(row.size < 2048 ? 1 : 0)} KB`,
        row.label,
        text(row.perSecond, 0),
        text(row.of.hono, 2),
        text(row.of.groupCommit, 2),
        text(row.of.pgBoss, 1),
        text(row.cpuUs, 0),
        text(row.cpuOfGroupCommit, 2),
        text(row.writtenKb, 1),
        text(row.p50, 1),
        text(row.p99, 1),
        text(row.p99OfGroupCommit, 2),
        `${row.generatorCores.median.toFixed(2)} core${row.generatorCores.median > 0.9 ? ', its limit' : ''}`,
        row.goal,
      ]),
    ])
    part('Memory in MB', [
      ['server', 'after its start', 'peak at 64 connections'],
      ...intake.memory.map(({ label, idle, peak }) => [label, text(idle, 0), text(peak, 0)]),
    ])
  }
  const pair = ({ p50, p99 }: { p50: number; p99: number }) => [p50.toFixed(1), p99.toFixed(1)]
  if (latency) {
    part('Idle relay: milliseconds from a webhook', [
      ['server', 'one fsync', 'to its response p50', 'p99', 'to its dispatch p50', 'p99', ''],
      ...Object.entries(latency).flatMap(([kind, { bare, relay }]) =>
        Object.entries({ 'bare server': bare, relay }).map(([server, { fsync, response, dispatch }]) => [
          ...[`${kind}, ${server}`, fsync.toFixed(2), ...pair(response), ...pair(dispatch)],
          server === 'relay'
            ? `${(dispatch.p50 / bare.dispatch.p50).toFixed(2)} × the bare server; goal: p50 of the dispatch ≤ ${kind === 'PostgreSQL' ? 1.4 : 1.2} ×`
            : '',
        ]),
      ),
    ])
  }
  if (click)
    part('From the click to Port: milliseconds; GitHub starts runs after 1 s', [
      [
        ...['load', "GitHub's webhooks", 'click to label p50', 'p99', 'to dispatch p50', 'p99'],
        ...['run to link p50', 'p99', 'end to status p50', 'p99', 'requests per delivery', ''],
      ],
      ...click.map(each => [
        ...[each.load, each.webhooks ? 'yes' : 'no', ...pair(each.waiting), ...pair(each.dispatch)],
        ...[...pair(each.link), ...pair(each.final), each.requests.toFixed(1)],
        each.webhooks ? 'link and status: p50 ≤ 1,000' : 'link and status: p50 ≤ the poll interval + 1,000',
      ]),
    ])
  if (idle)
    part('An idle relay', [
      ['', '% of a core', 'MB', 'requests to GitHub per hour', 'to Port', ''],
      ...idle.map(({ label, cpu, mb, githubRequests, portRequests, goal }) => [
        ...[label, cpu.toFixed(2), mb.toFixed(0), githubRequests.toFixed(0), portRequests.toFixed(0), goal],
      ]),
    ])
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
      row('action: main', starts.main, `≤ 1.05 × @actions/core: ${text(starts.mainOfCore, 2)}`),
      row('action: post', starts.post, `≤ 1.25 × @actions/core: ${text(starts.postOfCore, 2)}`),
      row('action: progress reporter, loaded', starts.progress),
      row('relay: package until it listens', starts.relayListening, '≤ 3.0'),
    ])
    part(
      'Bundles',
      Object.entries(starts.bundles).map(([name, bytes]) => [name, `${(bytes / 1e6).toFixed(2)} MB`]),
    )
  }
  if (million) {
    part('A store with a million finished deliveries, and an empty store: per second', [
      ['store', 'rate of', 'full', 'empty', 'ratio', ''],
      ...(['sqlite', 'postgres'] as const).flatMap(store =>
        (['intake', 'claims'] as const).map(rate => {
          const { empty, full } = million[store].rates[rate]
          return [NAMES[store], rate, full.toFixed(0), empty.toFixed(0), (full / empty).toFixed(2), '≥ 0.9']
        }),
      ),
    ])
    part('Requests to a relay with a million stored deliveries: median in ms', [
      ['', 'SQLite', 'PostgreSQL', '≤ 200, metrics ≤ 50'],
      ...Object.entries(million.sqlite.times).map(([name, ms]) => [
        ...[name, ms.toFixed(1), (million.postgres.times[name] ?? Number.NaN).toFixed(1)],
      ]),
    ])
  }
  return lines.join('\n')
}

const text = (spread: Spread | null, digits: number) =>
  spread === null
    ? ''
    : `${spread.median.toFixed(digits)} [${spread.min.toFixed(digits)} – ${spread.max.toFixed(digits)}]`

function table(rows: string[][]): string[] {
  const widths = rows[0]?.map((_, i) => Math.max(...rows.map(row => row[i]?.length ?? 0))) ?? []
  return rows.map(row => `  ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')}`.trimEnd())
}
