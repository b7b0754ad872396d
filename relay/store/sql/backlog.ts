import type { Statement } from '../database.ts'
import { HEADS, headIsDue } from './claims.ts'
import type { Dialect } from './dialect.ts'

/** What is counted is counted up to this number, so that its cost has a bound. */
export const MOST_COUNTED = 10_000

/** Since when the oldest work of each kind is due, and what waits for Port. */
export function backlog(sql: Dialect, { now, scope }: { now: number; scope: string | null }): Statement {
  const oldest = (table: string, where: string) =>
    `(SELECT due_at FROM ${table} WHERE ${where} due_at <= ?1 AND lease_until <= ?1 ORDER BY due_at LIMIT 1)`
  return {
    sql: `
      SELECT
        (SELECT min(due_at) FROM (${HEADS('head.due_at')} WHERE ${headIsDue(sql, '?2')}) AS due) AS dispatch,
        ${oldest('deliveries', `state IN ('dispatched', 'running') AND`)} AS watch,
        ${oldest('outboxes', '')} AS outbox,
        (SELECT count(*) FROM (SELECT 1 FROM outbox LIMIT ${MOST_COUNTED}) AS counted) AS messages,
        (SELECT created_at FROM outbox WHERE seq = (SELECT min(seq) FROM outbox)) AS oldest_message`,
    params: [now, scope],
  }
}
