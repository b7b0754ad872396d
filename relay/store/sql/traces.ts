import type { Dialect, Statement } from '../database.ts'
import { columns, named } from './columns.ts'

/**
 * Finished deliveries whose trace is due. A delivery whose messages still wait for Port is left out: its trace shows when
 * Port got them. The claim moves the due time, so that another relay retries if this one is killed.
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

/** A trace that became due again in the meantime, with another entry of the history, stays due. */
export function settleTrace({ id, traceDueAt }: { id: string; traceDueAt: number }): Statement {
  return {
    sql: 'UPDATE deliveries SET trace_due_at = NULL WHERE id = ?1 AND trace_due_at = ?2',
    params: [id, traceDueAt],
  }
}

/**
 * Messages of a finished delivery are being settled; the last time is when Port has all of them. It comes first in its
 * transaction: a change locks the delivery before its outbox, too.
 */
export function noteNotified(delivery: string, now: number): Statement {
  return {
    sql: 'UPDATE deliveries SET notified_at = ?2 WHERE id = ?1 AND trace_due_at IS NOT NULL',
    params: [delivery, now],
  }
}
