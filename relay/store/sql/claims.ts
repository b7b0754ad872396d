import type { WaitCause } from '../../delivery/delivery.ts'
import { columns, type Dialect, type Lease, named, type Statement, stateIs } from '../database.ts'

/**
 * Selects each repository's oldest queued delivery. The query skips from repository to repository in the index, so its
 * cost is independent of the queue length.
 */
const HEADS = (column: string) => `
  WITH RECURSIVE queue(repository) AS (
    SELECT min(repository) FROM deliveries WHERE state = 'queued'
    UNION ALL
    SELECT (SELECT min(repository) FROM deliveries WHERE state = 'queued' AND repository > queue.repository)
    FROM queue WHERE queue.repository IS NOT NULL
  ), oldest AS MATERIALIZED (
    SELECT (SELECT min(seq) FROM deliveries WHERE state = 'queued' AND repository = queue.repository) AS seq
    FROM queue
  )
  SELECT ${column} FROM oldest JOIN deliveries head ON head.seq = oldest.seq`

/** Whether a pause is of a delivery's credential. @param scope parameter with the scope, or the start of an owner's scope */
const isOfScope = (sql: Dialect, scope: string, of: string) =>
  `rate_limit_pauses.scope IN (CAST(${scope} AS TEXT), CAST(${scope} AS TEXT) || ${sql.owner(`${of}.repository`)})`

/** Whether a delivery's credential is paused. */
const isPaused = (sql: Dialect, scope: string, now: string, of: string) => `
  EXISTS (SELECT 1 FROM rate_limit_pauses
    WHERE ${isOfScope(sql, scope, of)} AND rate_limit_pauses.paused_until > ${now})`

const CLAIM = 'UPDATE deliveries SET version = version + 1, lease_until = ?2'

/** Claims repositories in order of their last dispatch, so that a long queue doesn't delay other repositories. */
export function claimQueued(
  sql: Dialect,
  { now, until, limit, scope }: Lease & { scope: string },
): Statement {
  const due = `
    ${HEADS('head.seq')}
    WHERE head.${stateIs("'queued'")} AND head.due_at <= ?1 AND head.lease_until <= ?1
      AND NOT ${isPaused(sql, '?4', '?1', 'head')}
    ORDER BY (
      SELECT max(attempted_at) FROM deliveries attempted
      WHERE attempted.repository = head.repository AND attempted.attempted_at IS NOT NULL
    ) NULLS FIRST, head.due_at, head.seq LIMIT ?3 ${sql.skipLocked.replace('UPDATE', 'UPDATE OF head')}`
  return {
    sql: `${CLAIM} WHERE ${sql.among('seq', due)} RETURNING ${columns(sql)}, ${named('invocation', 'leaseUntil')}`,
    params: [now, until, limit, scope],
  }
}

/** Maximum number of deliveries to examine for each shown cause. */
const EXAMINED = 200
/** Maximum number of deliveries with waiting messages while Port is notified of waits. */
const MAX_OUTBOXES = 200

/** Finds deliveries for which Port shows nothing, and deliveries whose pause started or ended since. */
export function findWaiting(
  sql: Dialect,
  { now, before, limit, scope }: { now: number; before: number; limit: number; scope: string },
): Statement {
  const paused = isPaused(sql, '?4', '?1', 'waiting')
  const shown = (cause: WaitCause | '', where: string) => `
    SELECT seq FROM (
      SELECT seq, repository FROM deliveries
      WHERE state = 'queued' AND kind <> 'none' AND shown_cause = '${cause}' AND queued_at <= ?2 AND lease_until <= ?1
      ORDER BY queued_at LIMIT ${EXAMINED}) AS waiting
    WHERE ${where}`
  const found = [
    shown('', '1 = 1'),
    ...(['queue', 'error'] as const).map(cause => shown(cause, paused)),
    ...(['limit', 'credential', 'installation'] as const).map(cause => shown(cause, `NOT ${paused}`)),
  ]
  return {
    sql: `SELECT ${columns(sql)} FROM deliveries
          WHERE (SELECT count(*) FROM (SELECT 1 FROM outboxes LIMIT ${MAX_OUTBOXES}) AS counted) < ${MAX_OUTBOXES}
            AND ${sql.among('seq', `${found.join(' UNION ALL ')} LIMIT ?3`)}`,
    params: [now, before, limit, scope],
  }
}

/**
 * Finds repositories from whose queue nothing was dispatched since a time. The time counts from the oldest delivery's
 * first attempt, or else from the last attempt before it, and from the end of the last pause.
 */
export function stalled(
  sql: Dialect,
  { before, limit, scope }: { before: number; limit: number; scope: string },
): Statement {
  const since = `${sql.greatest}(
    coalesce(head.first_attempt_at, ${sql.greatest}(head.queued_at, coalesce((
      SELECT max(attempted_at) FROM deliveries attempted
      WHERE attempted.repository = head.repository AND attempted.attempted_at IS NOT NULL), 0))),
    coalesce((SELECT max(paused_until) FROM rate_limit_pauses WHERE ${isOfScope(sql, '?3', 'head')}), 0))`
  return {
    sql: `SELECT ${columns(sql)}, "stalledSince" FROM (${HEADS(`head.seq AS head, ${since} AS "stalledSince"`)}) AS queue
          JOIN deliveries ON deliveries.seq = queue.head
          WHERE "stalledSince" <= ?1 ORDER BY "stalledSince" LIMIT ?2`,
    params: [before, limit, scope],
  }
}

export function claimPolls(sql: Dialect, { now, until, limit }: Lease): Statement {
  const due = `
    SELECT seq FROM deliveries
    WHERE state IN ('dispatched', 'running') AND due_at <= ?1 AND lease_until <= ?1
    ORDER BY due_at LIMIT ?3 ${sql.skipLocked}`
  return {
    sql: `${CLAIM} WHERE ${sql.among('seq', due)} RETURNING ${columns(sql)}`,
    params: [now, until, limit],
  }
}

/** Reads when each kind of work is due next. Considers only each repository's oldest queued delivery. */
export function nextDue(): Statement {
  const next = (table: string, where = '') => `(SELECT due_at FROM ${table} ${where} ORDER BY due_at LIMIT 1)`
  return {
    sql: `
      SELECT (SELECT min(due_at) FROM (${HEADS('head.due_at')}) AS waiting) AS dispatch,
        ${next('deliveries', "WHERE state IN ('dispatched', 'running') AND due_at IS NOT NULL")} AS watch,
        ${next('outboxes')} AS outbox`,
    params: [],
  }
}

/** Maximum for counts, to limit the cost of counting. */
export const MOST_COUNTED = 10_000

/** Reads the age of the oldest work of each kind, and the messages waiting for Port. */
export function backlog(now: number): Statement {
  const oldest = (table: string, where: string) =>
    `(SELECT due_at FROM ${table} WHERE ${where} due_at <= ?1 AND lease_until <= ?1 ORDER BY due_at LIMIT 1)`
  return {
    sql: `
      SELECT
        (SELECT min(queued_at) FROM (${HEADS('head.queued_at')}) AS waiting) AS dispatch,
        ${oldest('deliveries', `state IN ('dispatched', 'running') AND`)} AS watch,
        ${oldest('outboxes', '')} AS outbox,
        (SELECT count(*) FROM (SELECT 1 FROM outbox LIMIT ${MOST_COUNTED}) AS counted) AS messages,
        (SELECT created_at FROM outbox WHERE seq = (SELECT min(seq) FROM outbox)) AS oldest_message`,
    params: [now],
  }
}

/**
 * Claims finished deliveries whose trace is due. Skips deliveries with waiting messages, because the trace shows when
 * Port received the messages. The claim postpones the due time, so that another relay retries if this relay is killed.
 */
export function claimTraces(sql: Dialect, { now, until, limit }: Lease): Statement {
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
 * Records when messages of a finished delivery were sent. The last recorded time is when Port had all messages. This
 * statement must be the first in its transaction, because transitions also lock the delivery before its outbox.
 */
export function noteNotified(delivery: string, now: number): Statement {
  return {
    sql: 'UPDATE deliveries SET notified_at = ?2 WHERE id = ?1 AND trace_due_at IS NOT NULL',
    params: [delivery, now],
  }
}
