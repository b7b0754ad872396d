import type { Statement } from '../database.ts'
import type { Report } from '../delivery.ts'
import type { Message } from '../store.ts'
import { type Dialect, stateIs } from './dialect.ts'

export function reportsOf(ids: string[]): Statement {
  return {
    sql: `SELECT delivery, seq, body, created_at FROM reports
          WHERE delivery IN (${ids.map((_, i) => `?${i + 1}`).join(', ')}) ORDER BY seq`,
    params: ids,
  }
}

/**
 * Rows of the last: the lease was held. The first keeps words from being added between the look at what is
 * left and the word that nothing is.
 */
export function told(
  sql: Dialect,
  telling: { id: string; lease: number },
  said: number[],
  retryAt: number | null,
): Statement[] {
  const held = 'EXISTS (SELECT 1 FROM deliveries WHERE id = ?1 AND tell_lease = ?2)'
  return [
    {
      sql: `SELECT id FROM deliveries WHERE id = ?1 AND tell_lease = ?2 ${sql.lock}`,
      params: [telling.id, telling.lease],
    },
    ...said.map(seq => ({
      sql: `DELETE FROM reports WHERE delivery = ?1 AND seq = ?3 AND ${held}`,
      params: [telling.id, telling.lease, seq],
    })),
    {
      sql: `
        UPDATE deliveries SET tell_until = 0,
          tell_tries = CASE WHEN CAST(?3 AS BIGINT) > 0 THEN 0 ELSE tell_tries + 1 END,
          tell_at = CASE WHEN EXISTS (SELECT 1 FROM reports WHERE delivery = ?1)
            THEN CAST(?4 AS BIGINT) ELSE NULL END
        WHERE id = ?1 AND tell_lease = ?2 RETURNING id`,
      params: [telling.id, telling.lease, said.length, retryAt ?? 0],
    },
  ]
}

interface Given {
  reports: Report[]
  now: number
}

/** Rows of the last: there is such a delivery. */
export function addReports(sql: Dialect, id: string, { reports, now }: Given): Statement[] {
  return [
    ...reports.map(report => ({
      sql: `INSERT INTO reports (delivery, body, created_at)
            SELECT id, ?2, ?3 FROM deliveries WHERE id = ?1 ${sql.lock}`,
      params: [id, JSON.stringify(report), now],
    })),
    reports.length > 0
      ? {
          sql: 'UPDATE deliveries SET tell_at = coalesce(tell_at, ?2) WHERE id = ?1 RETURNING id',
          params: [id, now],
        }
      : { sql: 'SELECT id FROM deliveries WHERE id = ?1', params: [id] },
  ]
}

/** The delivery, where it is bound to the message's run; that it is, is checked by each statement. */
const BOUND = 'id = ?1 AND github_run_id = ?2 AND github_run_attempt = ?3'
/** Whether the message is new. */
const IS_NEW = `EXISTS (SELECT 1 FROM report_senders WHERE delivery = ?1 AND sender = ?4 AND last < ?5)`

/**
 * The first locks the delivery, and with it out another message and a redelivery; the second makes sure that the
 * sender has a row. Rows of the first: the delivery is bound to the message's run.
 */
export function takeMessage(
  sql: Dialect,
  id: string,
  { reports, now }: Given,
  { sender, number, githubRunId, githubRunAttempt, finish }: Message,
): Statement[] {
  const bound = [id, githubRunId, githubRunAttempt]
  const whenNew = (sql: string, ...more: Statement['params']): Statement => ({
    sql,
    params: [...bound, sender, number, ...more],
  })
  return [
    { sql: `SELECT id FROM deliveries WHERE ${BOUND} ${sql.lock}`, params: bound },
    {
      sql: `INSERT INTO report_senders (delivery, sender, last)
            SELECT id, ?4, 0 FROM deliveries WHERE ${BOUND} ON CONFLICT DO NOTHING`,
      params: [...bound, sender],
    },
    ...reports.map(report =>
      whenNew(
        `INSERT INTO reports (delivery, body, created_at)
         SELECT id, ?6, ?7 FROM deliveries WHERE ${BOUND} AND ${IS_NEW}`,
        JSON.stringify(report),
        now,
      ),
    ),
    ...(reports.length > 0
      ? [whenNew(`UPDATE deliveries SET tell_at = coalesce(tell_at, ?6) WHERE ${BOUND} AND ${IS_NEW}`, now)]
      : []),
    ...(finish
      ? [
          whenNew(
            `UPDATE deliveries SET state = 'finished', due_at = NULL, updated_at = ?6
             WHERE ${BOUND} AND ${IS_NEW} AND ${stateIs("'queued'", "'dispatched'", "'running'")}`,
            now,
          ),
        ]
      : []),
    whenNew(
      `UPDATE report_senders SET last = ?5 WHERE delivery = ?1 AND sender = ?4 AND last < ?5
         AND EXISTS (SELECT 1 FROM deliveries WHERE ${BOUND})`,
    ),
  ]
}
