import type { Statement } from '../database.ts'
import type { Change, Report } from '../delivery.ts'
import type { Claimed } from '../store.ts'
import { type Dialect, stateIs } from './dialect.ts'

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
  githubRunId: value =>
    course('github_run_id', `coalesce(github_run_id, CASE WHEN ${isFree(value)} THEN ${value} END)`),
  githubRunAttempt: value =>
    course(
      'github_run_attempt',
      `CASE WHEN github_run_attempt > ${value} THEN github_run_attempt ELSE ${value} END`,
    ),
  pastRuns: value => course('past_runs', value),
}
const course = (column: string, value: string) =>
  `${column} = CASE WHEN state = ?4 THEN ${value} ELSE ${column} END`

/** A workflow run that no delivery of the repository is bound to. */
const isFree = (run: string) => `NOT EXISTS (
  SELECT 1 FROM deliveries AS owner
  WHERE owner.github_run_id = ${run} AND lower(owner.repository) = lower(deliveries.repository))`
/** Before all that binds a run, in a statement of its own: the next one sees what was bound while this waited. */
const lockRun = ({ lockNumber }: Dialect, runId: number): Statement[] =>
  lockNumber ? [{ sql: lockNumber, params: [runId] }] : []

/**
 * Every statement holds only under the lease, and the last spends it; what the step decided about the delivery's course, and its
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
  const set = ['updated_at = ?3', 'lease = lease + 1', 'lease_until = 0', course('tell_at', tellAt)]
  for (const [field, value] of Object.entries(change)) {
    params.push(Array.isArray(value) ? JSON.stringify(value) : (value ?? null))
    set.push(SET[field as keyof Change](`?${params.length}`, change))
  }
  return [
    ...(change.githubRunId ? lockRun(sql, change.githubRunId) : []),
    // Before the change, while the state is still to be seen; the lock keeps it so.
    ...reports.map(report => ({
      sql: `INSERT INTO reports (delivery, body, created_at)
            SELECT id, ?3, ?4 FROM deliveries WHERE id = ?1 AND lease = ?2 AND ${stateIs('?5')} ${sql.lock}`,
      params: [claimed.id, claimed.lease, JSON.stringify(report), now, claimed.state],
    })),
    { sql: `UPDATE deliveries SET ${set.join(', ')} WHERE id = ?1 AND lease = ?2 RETURNING id`, params },
  ]
}

export function markSent(claimed: Claimed, now: number): Statement {
  return {
    sql: `UPDATE deliveries SET sent_at = ?3, updated_at = ?3
          WHERE id = ?1 AND lease = ?2 AND ${stateIs('?4')} RETURNING id`,
    params: [claimed.id, claimed.lease, now, claimed.state],
  }
}

export function wake(id: string, now: number): Statement {
  return {
    sql: `UPDATE deliveries SET due_at = ?2, woken = 1
          WHERE id = ?1 AND ${stateIs("'dispatched'", "'running'")} RETURNING id`,
    params: [id, now],
  }
}

/** Whether `past_runs`, JSON text as `[1,2]`, holds the run that a pattern such as `%,2,%` names. */
const isPast = (pattern: string) => `replace(replace(past_runs, '[', ','), ']', ',') LIKE ${pattern}`
/** The list with the run that the delivery is bound to. */
const WITH_LAST_RUN = `
  CASE WHEN github_run_id IS NULL OR ${isPast(`'%,' || CAST(github_run_id AS TEXT) || ',%'`)} THEN past_runs
    WHEN past_runs = '[]' THEN '[' || CAST(github_run_id AS TEXT) || ']'
    ELSE replace(past_runs, ']', ',' || CAST(github_run_id AS TEXT) || ']') END`

/**
 * Rows of the last but two: bound now. Of the last but one: bound to this run. Of the last: there is such a delivery.
 * A run of which a delivery has failed may still name itself, until the delivery is redelivered.
 */
export function bindRun(
  sql: Dialect,
  { id, runId, attempt, now }: { id: string; runId: number; attempt: number; now: number },
): Statement[] {
  const starts = (column: string, value: string) =>
    `${column} = CASE WHEN state IN ('queued', 'dispatched') THEN ${value} ELSE ${column} END`
  return [
    ...lockRun(sql, runId),
    {
      sql: `
        UPDATE deliveries SET github_run_id = ?2, github_run_attempt = ?3, woken = 1, updated_at = ?4,
          ${starts('state', "'running'")}, ${starts('dispatched_at', 'coalesce(dispatched_at, ?4)')},
          due_at = CASE WHEN state IN ('queued', 'dispatched', 'running') THEN ?4 ELSE due_at END
        WHERE id = ?1 AND github_run_id IS NULL
          AND (${stateIs("'finished'", "'failed'")} OR NOT ${isPast('?5')})
          AND ${isFree('?2')}
        RETURNING id`,
      params: [id, runId, attempt, now, `%,${runId},%`],
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

/**
 * Rows of the third: queued again. Of the fourth: there is such a delivery. What was still to be told to Port is
 * of the course that is over: it would end the run that the new course is of.
 */
export function redeliver(sql: Dialect, id: string, now: number): Statement[] {
  const failed = `SELECT id FROM deliveries WHERE id = ?1 AND ${stateIs("'failed'")}`
  return [
    // The lock keeps further words from being added in between.
    { sql: `${failed} ${sql.lock}`, params: [id] },
    { sql: `DELETE FROM reports WHERE delivery = ?1 AND EXISTS (${failed})`, params: [id] },
    {
      sql: `
        UPDATE deliveries SET state = 'queued', seq = ${sql.nextSeq}, queued_at = ?2, due_at = ?2, updated_at = ?2,
          lease = lease + 1, lease_until = 0, woken = 0, reason = NULL, sent_at = NULL, dispatched_at = NULL,
          github_run_id = NULL, github_run_attempt = NULL, past_runs = ${WITH_LAST_RUN},
          tell_at = NULL, tell_lease = tell_lease + 1, tell_until = 0, tell_tries = 0
        WHERE id = ?1 AND ${stateIs("'failed'")} RETURNING id`,
      params: [id, now],
    },
    { sql: 'SELECT id FROM deliveries WHERE id = ?1', params: [id] },
  ]
}
