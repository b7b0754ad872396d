import type { Statement } from '../database.ts'
import type { Report } from '../delivery.ts'
import type { ReportOptions } from '../store.ts'
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

/** Rows of the last: there is such a delivery. */
export function addReports(
  sql: Dialect,
  id: string,
  reports: Report[],
  now: number,
  { from, finish }: ReportOptions,
): Statement[] {
  return [
    ...(from ? fromSender(sql, id, reports, now, from) : reports.map(report => add(sql, id, report, now))),
    ...(finish ? [finishes(id, now)] : []),
    reports.length > 0
      ? {
          sql: 'UPDATE deliveries SET tell_at = coalesce(tell_at, ?2) WHERE id = ?1 RETURNING id',
          params: [id, now],
        }
      : { sql: 'SELECT id FROM deliveries WHERE id = ?1', params: [id] },
  ]
}

function add(sql: Dialect, id: string, report: Report, now: number): Statement {
  return {
    sql: `INSERT INTO reports (delivery, body, created_at)
          SELECT id, ?2, ?3 FROM deliveries WHERE id = ?1 ${sql.lock}`,
    params: [id, JSON.stringify(report), now],
  }
}

/** The first makes sure that the sender has a row, and locks out another message of it. */
function fromSender(
  sql: Dialect,
  id: string,
  reports: Report[],
  now: number,
  { sender, number }: NonNullable<ReportOptions['from']>,
): Statement[] {
  return [
    {
      sql: `INSERT INTO report_senders (delivery, sender, last)
            SELECT id, ?2, 0 FROM deliveries WHERE id = ?1 ${sql.lock}
            ON CONFLICT DO NOTHING`,
      params: [id, sender],
    },
    ...reports.map(report => ({
      sql: `INSERT INTO reports (delivery, body, created_at)
            SELECT delivery, ?2, ?3 FROM report_senders WHERE delivery = ?1 AND sender = ?4 AND last < ?5`,
      params: [id, JSON.stringify(report), now, sender, number],
    })),
    {
      sql: 'UPDATE report_senders SET last = ?3 WHERE delivery = ?1 AND sender = ?2 AND last < ?3',
      params: [id, sender, number],
    },
  ]
}

function finishes(id: string, now: number): Statement {
  return {
    sql: `UPDATE deliveries SET state = 'finished', due_at = NULL, updated_at = ?2
          WHERE id = ?1 AND ${stateIs("'queued'", "'dispatched'", "'running'")}`,
    params: [id, now],
  }
}
