import type { Statement } from '../database.ts'
import type { State } from '../delivery.ts'
import { type Dialect, stateIs } from './dialect.ts'

export function get(id: string): Statement {
  return { sql: 'SELECT * FROM deliveries WHERE id = ?1', params: [id] }
}

/** GitHub writes a repository as its owner did, configuration as somebody typed it. */
export function findByGithubRun(repository: string, runId: number): Statement {
  return {
    sql: 'SELECT * FROM deliveries WHERE github_run_id = ?2 AND lower(repository) = lower(?1)',
    params: [repository, runId],
  }
}

export function findBound(repository: string, given: readonly number[]): Statement {
  const runIds = padded(given)
  return {
    sql: `SELECT id, github_run_id FROM deliveries
          WHERE github_run_id IN (${places(runIds, 2)}) AND lower(repository) = lower(?1)`,
    params: [repository, ...runIds],
  }
}

export function findNamed(repository: string, given: readonly string[]): Statement {
  const words = padded(given)
  const named = (column: string, first: number) => `
    SELECT * FROM deliveries
    WHERE ${column} IN (${places(words, first)}) AND ${stateIs("'dispatched'")} AND github_run_id IS NULL
      AND lower(repository) = lower(?1)`
  return {
    sql: `${named('identity', 2)} UNION ${named('id', 2 + words.length)}`,
    params: [repository, ...words.map(word => `run:${word}`), ...words],
  }
}

export function sentBetween(
  repository: string,
  given: readonly string[],
  { from, to, limit }: { from: number; to: number; limit: number },
): Statement {
  const eventTypes = padded(given)
  return {
    sql: `SELECT id, seq, event_type, state, sent_at, github_run_id, past_runs FROM deliveries
          WHERE lower(repository) = lower(?1) AND event_type IN (${places(eventTypes, 5)})
            AND sent_at BETWEEN ?2 AND ?3
          ORDER BY sent_at, seq LIMIT ?4`,
    params: [repository, from, to, limit, ...eventTypes],
  }
}

/** Lists come in few lengths, so that few statements are prepared. */
function padded<T>(values: readonly T[]): T[] {
  const length = 2 ** Math.ceil(Math.log2(values.length))
  return Array.from({ length }, (_, i) => values[Math.min(i, values.length - 1)] as T)
}
const places = (values: readonly unknown[], first: number) => values.map((_, i) => `?${first + i}`).join(', ')

export function unmatched(repository: string, limit: number): Statement {
  return {
    sql: `SELECT * FROM deliveries
          WHERE state = 'dispatched' AND github_run_id IS NULL AND lower(repository) = lower(?1)
          ORDER BY seq LIMIT ?2`,
    params: [repository, limit],
  }
}

const STATES: readonly State[] = ['queued', 'dispatched', 'running', 'finished', 'failed']

/**
 * Newest first. What is queued and what is not lie in indexes of their own, so that intake pays for no index
 * that only a person looks through; of a repository, each state is a stretch of an index.
 */
export function list(options: {
  state?: State
  repository?: string
  before?: number
  limit: number
}): Statement {
  const { state, repository, before = Number.MAX_SAFE_INTEGER, limit } = options
  const newest = (where: string) =>
    `SELECT * FROM (SELECT * FROM deliveries WHERE ${where} seq < ?1 ORDER BY seq DESC LIMIT ?2) AS newest`
  if (repository !== undefined) {
    const stretches = (state ? [state] : STATES).map(each =>
      newest(`${isState(each)} AND repository = ?3 AND`),
    )
    return {
      sql: `${stretches.join(' UNION ALL ')} ORDER BY seq DESC LIMIT ?2`,
      params: [before, limit, repository],
    }
  }
  if (state === 'queued') {
    return {
      sql: `
        WITH queued AS MATERIALIZED (SELECT seq FROM deliveries WHERE state = 'queued')
        SELECT * FROM deliveries
        WHERE seq IN (SELECT seq FROM queued WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2) ORDER BY seq DESC`,
      params: [before, limit],
    }
  }
  return { sql: newest(state ? `${isState(state)} AND` : ''), params: [before, limit] }
}

/** Said so that SQLite, too, sees which index holds it. */
const isState = (state: State) =>
  state === 'queued' ? `state = 'queued'` : `state = '${state}' AND state <> 'queued'`

export function counts(): Statement {
  return {
    sql: `
      SELECT 'queued' AS state, count(*) AS amount FROM deliveries WHERE state = 'queued'
      ${['dispatched', 'running', 'failed']
        .map(
          state => `UNION ALL SELECT '${state}', count(*) FROM deliveries WHERE ${isState(state as State)}`,
        )
        .join(' ')}`,
    params: [],
  }
}

/** Rows: what was deleted. A delivery without `tell_at` has no reports left. */
export function purge(sql: Dialect, before: number, limit: number): Statement {
  const old = `
    SELECT seq FROM deliveries
    WHERE state IN ('finished', 'failed') AND tell_at IS NULL AND updated_at < ?1
    ORDER BY updated_at LIMIT ?2 ${sql.skipLocked}`
  return { sql: `DELETE FROM deliveries WHERE ${sql.among(old)} RETURNING seq`, params: [before, limit] }
}
