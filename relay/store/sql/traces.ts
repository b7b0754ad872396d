import type { Dialect, Statement } from '../database.ts'
import { columns, named } from './columns.ts'

/**
 * Claims finished deliveries whose trace is due. Deliveries with waiting messages are skipped, because the trace shows
 * when Port received them. The claim moves the due time, so that another relay retries if this relay is killed.
 */
export function claimTraces(
  sql: Dialect,
  { now, until, limit }: { now: number; until: number; limit: number },
): Statement {
  const due = `
    SELECT seq FROM deliveries
    WHERE trace_due_at <= ?1 AND state IN ('finished', 'failed', 'cancelled')
      AND NOT EXISTS (SELECT 1 FROM outboxes WHERE outboxes.delivery = deliveries.id)
    ORDER BY trace_due_at LIMIT ?3 ${sql.skipLocked}`
  return {
    sql: `UPDATE deliveries SET trace_due_at = ?2 WHERE ${sql.among('seq', due)}
          RETURNING ${columns(sql)}, ${named('traceDueAt', 'notifiedAt')}`,
    params: [now, until, limit],
  }
}

/** Settles a trace, unless a new history entry has made the trace due again. */
export function settleTrace({ id, traceDueAt }: { id: string; traceDueAt: number }): Statement {
  return {
    sql: 'UPDATE deliveries SET trace_due_at = NULL WHERE id = ?1 AND trace_due_at = ?2',
    params: [id, traceDueAt],
  }
}

/**
 * Records when messages of a finished delivery were sent. The last update is when Port has all messages. Must be first
 * in its transaction, because transitions also lock the delivery before its outbox.
 */
export function noteNotified(delivery: string, now: number): Statement {
  return {
    sql: 'UPDATE deliveries SET notified_at = ?2 WHERE id = ?1 AND trace_due_at IS NOT NULL',
    params: [delivery, now],
  }
}
