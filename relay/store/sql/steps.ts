import type { Statement } from '../database.ts'
import type { Change, Report } from '../delivery.ts'
import type { Claimed } from '../store.ts'
import type { Dialect } from './dialect.ts'

/** The number of the parameter that a value becomes → what its column is set to; `?4` is the state claimed. */
const SET: Record<keyof Change, (value: string, change: Change) => string> = {
  // What the try was stays true whatever happened meanwhile.
  attempts: value => `attempts = ${value}`,
  dispatchedAt: value => `dispatched_at = ${value}`,
  state: value => course('state', value),
  reason: value => course('reason', value),
  sentAt: value => course('sent_at', value),
  // Woken meanwhile, it is due at once, unless this was its last step.
  dueAt: (value, { state }) =>
    state === 'finished' || state === 'failed'
      ? course('due_at', value)
      : course('due_at', `CASE WHEN woken = 1 THEN due_at ELSE ${value} END`),
  githubRunId: value => course('github_run_id', `coalesce(github_run_id, ${value})`),
  githubRunAttempt: value =>
    course(
      'github_run_attempt',
      `CASE WHEN github_run_attempt > ${value} THEN github_run_attempt ELSE ${value} END`,
    ),
}
const course = (column: string, value: string) =>
  `${column} = CASE WHEN state = ?4 THEN ${value} ELSE ${column} END`

/**
 * Every statement holds only under the lease; what the step decided about the delivery's course, and its
 * words for Port, only while the state is the one claimed: a run that reported meanwhile has the last word.
 */
export function record(
  sql: Dialect,
  claimed: Claimed,
  change: Change,
  { now, reports }: { now: number; reports: Report[] },
): Statement[] {
  const params: Statement['params'] = [claimed.id, claimed.lease, now, claimed.state]
  const tellAt = reports.length > 0 ? 'coalesce(tell_at, ?3)' : 'tell_at'
  const set = ['updated_at = ?3', 'lease_until = 0', course('tell_at', tellAt)]
  for (const [field, value] of Object.entries(change)) {
    params.push(Array.isArray(value) ? JSON.stringify(value) : (value ?? null))
    set.push(SET[field as keyof Change](`?${params.length}`, change))
  }
  return [
    // First, while the state is still to be seen; the lock keeps it so.
    ...reports.map(report => ({
      sql: `INSERT INTO reports (delivery, body, created_at)
            SELECT id, ?3, ?4 FROM deliveries WHERE id = ?1 AND lease = ?2 AND state = ?5 ${sql.lock}`,
      params: [claimed.id, claimed.lease, JSON.stringify(report), now, claimed.state],
    })),
    { sql: `UPDATE deliveries SET ${set.join(', ')} WHERE id = ?1 AND lease = ?2 RETURNING id`, params },
  ]
}

export function markSent(claimed: Claimed, now: number): Statement {
  return {
    sql: `UPDATE deliveries SET sent_at = ?3, updated_at = ?3
          WHERE id = ?1 AND lease = ?2 AND state = ?4 RETURNING id`,
    params: [claimed.id, claimed.lease, now, claimed.state],
  }
}

export function postpone(until: number, owner: string | null): Statement {
  const due = `UPDATE deliveries SET due_at = ?1 WHERE state = 'queued' AND due_at < ?1`
  if (!owner) return { sql: due, params: [until] }
  // Names sort by their bytes, and '0' comes right after '/'.
  return { sql: `${due} AND repository >= ?2 AND repository < ?3`, params: [until, `${owner}/`, `${owner}0`] }
}

export function wake(id: string, now: number): Statement {
  return {
    sql: `UPDATE deliveries SET due_at = ?2, woken = 1
          WHERE id = ?1 AND state IN ('dispatched', 'running') RETURNING id`,
    params: [id, now],
  }
}

/** Rows of the first: bound now. Of the second: bound to this run. Of the third: there is such a delivery. */
export function bindRun(id: string, runId: number, attempt: number, now: number): Statement[] {
  const starts = (column: string, value: string) =>
    `${column} = CASE WHEN state IN ('queued', 'dispatched') THEN ${value} ELSE ${column} END`
  return [
    {
      sql: `
        UPDATE deliveries SET github_run_id = ?2, github_run_attempt = ?3, woken = 1, updated_at = ?4,
          ${starts('state', "'running'")}, ${starts('dispatched_at', 'coalesce(dispatched_at, ?4)')},
          due_at = CASE WHEN state IN ('queued', 'dispatched', 'running') THEN ?4 ELSE due_at END
        WHERE id = ?1 AND github_run_id IS NULL RETURNING id`,
      params: [id, runId, attempt, now],
    },
    {
      sql: `
        UPDATE deliveries SET updated_at = ?4,
          github_run_attempt = CASE WHEN github_run_attempt > ?3 THEN github_run_attempt ELSE ?3 END
        WHERE id = ?1 AND github_run_id = ?2 RETURNING id`,
      params: [id, runId, attempt, now],
    },
    { sql: 'SELECT id FROM deliveries WHERE id = ?1', params: [id] },
  ]
}

/** Rows of the first: queued again. Of the second: there is such a delivery. */
export function redeliver(sql: Dialect, id: string, now: number): Statement[] {
  return [
    {
      sql: `
        UPDATE deliveries SET state = 'queued', seq = ${sql.nextSeq}, queued_at = ?2, due_at = ?2, updated_at = ?2,
          lease = lease + 1, lease_until = 0, woken = 0, reason = NULL, sent_at = NULL, dispatched_at = NULL,
          github_run_id = NULL, github_run_attempt = NULL
        WHERE id = ?1 AND state = 'failed' RETURNING id`,
      params: [id, now],
    },
    { sql: 'SELECT id FROM deliveries WHERE id = ?1', params: [id] },
  ]
}
