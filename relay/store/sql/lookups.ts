import { LIMITS } from '../../config/limits.ts'
import type { Outcome, State } from '../../delivery/delivery.ts'
import { OPEN_STATES, OUTCOMES, REDELIVERABLE, STATES } from '../../delivery/delivery.ts'
import { columns, type Dialect, named, type Statement, stateIs } from '../database.ts'
import type { Filter } from '../store.ts'
import { MOST_COUNTED } from './claims.ts'
import { runKey } from './intake.ts'

export function get(sql: Dialect, id: string): Statement {
  return { sql: `SELECT ${columns(sql)} FROM deliveries WHERE id = ?1`, params: [id] }
}

export function invocation(id: string): Statement {
  return { sql: 'SELECT invocation FROM deliveries WHERE id = ?1', params: [id] }
}

/** Reads invocations up to a size. */
export function invocations(given: readonly string[], maxBytes: number): Statement {
  const ids = padded(given)
  return {
    sql: `SELECT id, invocation FROM deliveries
          WHERE id IN (${places(ids, 2)}) AND octet_length(invocation) <= ?1`,
    params: [maxBytes, ...ids],
  }
}

export function history(id: string): Statement {
  return { sql: 'SELECT at, type, details FROM events WHERE delivery = ?1 ORDER BY number', params: [id] }
}

export function findRuns(repository: string, given: readonly number[]): Statement {
  const runIds = padded(given)
  return {
    sql: `
      SELECT delivery, github_run_id AS id, attempt, evidence, past, status, conclusion, url, reports_conclusion AS "reportsConclusion" FROM runs
      WHERE repository = ?1 AND github_run_id IN (${places(runIds, 2)})`,
    params: [repository.toLowerCase(), ...runIds],
  }
}

export function findByTitle(sql: Dialect, repository: string, given: readonly string[]): Statement {
  const ids = padded(given)
  const named = (column: string, first: number) =>
    `SELECT seq FROM deliveries WHERE ${column} IN (${places(ids, first)}) AND repository = ?1`
  const found = `${named('dedupe_key', 2)} UNION ${named('id', 2 + ids.length)}`
  return {
    sql: `SELECT ${columns(sql)} FROM deliveries WHERE ${sql.among('seq', found)}`,
    params: [repository.toLowerCase(), ...ids.map(runKey), ...ids],
  }
}

export function attemptedBetween(
  repository: string,
  { from, to, except, limit }: { from: number; to: number; except: string; limit: number },
): Statement {
  return {
    sql: `SELECT ${named('eventType')} FROM deliveries
          WHERE repository = ?1 AND attempted_at BETWEEN ?2 AND ?3 AND id <> ?4 ORDER BY attempted_at LIMIT ?5`,
    params: [repository.toLowerCase(), from, to, except, limit],
  }
}

export function findUnbound(sql: Dialect, repository: string, limit: number): Statement {
  return {
    sql: `SELECT ${columns(sql)} FROM deliveries
          WHERE state = 'dispatched' AND repository = ?1 ORDER BY seq LIMIT ?2`,
    params: [repository.toLowerCase(), limit],
  }
}

/** Selects each repository separately, so that the cost is independent of the queue's length. */
export function heads(sql: Dialect, given: readonly string[]): Statement {
  const repositories = padded(given)
  const oldest = repositories.map(
    (_, i) => `SELECT min(seq) AS seq FROM deliveries WHERE state = 'queued' AND repository = ?${i + 1}`,
  )
  return {
    sql: `SELECT ${columns(sql)} FROM deliveries WHERE ${sql.among('seq', oldest.join(' UNION ALL '))}`,
    params: repositories,
  }
}

export function reportUsage(id: string, sender: string): Statement {
  return {
    sql: `
      SELECT report_lines AS lines, report_bytes AS bytes,
        coalesce((SELECT last FROM report_senders WHERE delivery = ?1 AND sender = ?2), 0) AS "lastNumber"
      FROM deliveries WHERE id = ?1`,
    params: [id, sender],
  }
}

/** Pads a list to a power of two, to limit the number of different prepared statements. */
function padded<T>(values: readonly T[]): T[] {
  const length = values.length === 0 ? 0 : 2 ** Math.ceil(Math.log2(values.length))
  return Array.from({ length }, (_, i) => values[Math.min(i, values.length - 1)] as T)
}
const places = (values: readonly unknown[], first: number) => values.map((_, i) => `?${first + i}`).join(', ')

interface ListOptions {
  before?: number
  /** Deliveries with a lower `seq` are too old for the filter. */
  floor?: number
  limit: number
}

/**
 * Lists deliveries, newest first. Queued deliveries have a separate index, so that intake doesn't update indexes that
 * only lists use. Each pair of state and outcome is an index range, also within a repository. An empty list is
 * therefore just as fast. Ranges are compared as rows, because PostgreSQL would otherwise search all deliveries for a
 * rare pair of state and outcome. There is no index on actions, so a filter by action searches only the newest
 * deliveries. See {@link edge}.
 */
export function list(sql: Dialect, filter: Filter, { before, floor = 0, limit }: ListOptions): Statement {
  const { state, outcome, redeliverable, repository, action, runId, since } = filter
  const params: Statement['params'] = [before ?? Number.MAX_SAFE_INTEGER, limit]
  const parameter = (value: string | number) => `?${params.push(value)}`
  const lowest = [
    ...(action === undefined ? [] : [`(${edgeBefore(sql)})`]),
    ...(since === undefined ? [] : [parameter(floor)]),
  ]
  const from = lowest.length > 1 ? `${sql.greatest}(${lowest.join(', ')})` : (lowest[0] ?? '0')
  const within = [...(lowest.length > 0 ? [`seq >= ${from}`] : []), 'seq < ?1']
  const rest = [
    ...(runId === undefined ? [] : [`dedupe_key = ${parameter(runKey(runId))}`]),
    ...(action === undefined ? [] : [`action = ${parameter(action)}`]),
    ...(since === undefined ? [] : [`received_at >= ${parameter(since)}`]),
  ]
  const newest = (order: string[], ...where: string[]) =>
    `SELECT seq FROM (SELECT seq FROM deliveries WHERE ${[...where, ...rest].join(' AND ')}
       ORDER BY ${order.map(each => `${each} DESC`).join(', ')} LIMIT ?2) AS newest`
  const names = repository === undefined ? [] : [parameter(repository.toLowerCase())]
  const named = names.map(name => `repository = ${name}`)
  const keys = [...(repository === undefined ? [] : ['repository']), 'state', 'outcome', 'seq']
  const range = (state: State, outcome: Outcome | '') => {
    if (state === 'queued') return newest(['seq'], `state = 'queued'`, ...named, ...within)
    const at = (seq: string) => `(${[...names, `'${state}'`, `'${outcome}'`, seq].join(', ')})`
    const key = `(${keys.join(', ')})`
    return newest(keys, `state <> 'queued'`, `${key} >= ${at(from)}`, `${key} < ${at('?1')}`)
  }
  const narrowed = state ? [state] : redeliverable ? REDELIVERABLE : null
  const ranges = (narrowed ?? STATES).flatMap(each => {
    const possible = outcomesOf(each).filter(of => !outcome || of === outcome)
    return possible.map(of => range(each, of))
  })
  const found = runId
    ? newest(
        ['seq'],
        ...named,
        ...(narrowed ? [stateIs(...narrowed.map(each => `'${each}'`))] : []),
        ...(outcome ? [`outcome || '' = '${outcome}'`] : []),
        ...within,
      )
    : state === 'queued' && !outcome && !repository
      ? `SELECT seq FROM (
           WITH queue AS MATERIALIZED (SELECT seq FROM deliveries WHERE state = 'queued')
           SELECT seq FROM deliveries WHERE seq IN (SELECT seq FROM queue) AND ${[...within, ...rest].join(' AND ')}
           ORDER BY seq DESC LIMIT ?2) AS newest`
      : narrowed || outcome || repository
        ? ranges.join(' UNION ALL ') || newest(['seq'], ...named, ...within, '1 = 0')
        : newest(['seq'], ...within)
  return {
    sql: `SELECT ${columns(sql)} FROM deliveries WHERE ${sql.among('seq', found)} ORDER BY seq DESC LIMIT ?2`,
    params,
  }
}

/** Reads the lowest `seq` that a list by action searches, and the lowest existing `seq`. */
export function edge(sql: Dialect, before = Number.MAX_SAFE_INTEGER): Statement {
  return {
    sql: `SELECT (${edgeBefore(sql)}) AS edge, (SELECT min(seq) FROM deliveries) AS first`,
    params: [before],
  }
}

const edgeBefore = (sql: Dialect) =>
  `SELECT ${sql.least}(CAST(?1 AS BIGINT), max(seq) + 1) - ${LIMITS.listed} FROM deliveries`

/** Reads the first delivery at or above a `seq`. */
export function firstFrom(seq: number): Statement {
  return {
    sql: 'SELECT seq, queued_at FROM deliveries WHERE seq >= ?1 ORDER BY seq LIMIT 1',
    params: [seq],
  }
}

export const lastSeq: Statement = { sql: 'SELECT max(seq) AS seq FROM deliveries', params: [] }

/** The outcomes that a delivery in a state can have: none yet, or any. */
const outcomesOf = (state: State): readonly (Outcome | '')[] =>
  OPEN_STATES.includes(state) ? [''] : OUTCOMES

/** The second condition lets SQLite find the matching index. */
const isState = (state: State) =>
  state === 'queued' ? `state = 'queued'` : `state = '${state}' AND state <> 'queued'`

const amountOf = (where: string) =>
  `(SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE ${where} LIMIT ${MOST_COUNTED}) AS counted)`

/** Counts deliveries by state, up to {@link MOST_COUNTED} each. */
export function counts(): Statement {
  return {
    sql: `
      SELECT 'queued' AS state, ${amountOf(isState('queued'))} AS amount
      ${(['dispatched', 'running', 'failed'] as const)
        .map(state => `UNION ALL SELECT '${state}', ${amountOf(isState(state))}`)
        .join(' ')}`,
    params: [],
  }
}

/** Counts deliveries by outcome, up to {@link MOST_COUNTED} each. */
export function outcomes(): Statement {
  const amounts = OUTCOMES.map(outcome => {
    const where = `state IN ('finished', 'failed', 'cancelled') AND state <> 'queued' AND outcome = '${outcome}'`
    return `SELECT '${outcome}' AS outcome, ${amountOf(where)} AS amount`
  })
  return { sql: amounts.join(' UNION ALL '), params: [] }
}
