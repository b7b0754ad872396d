import type { Statement } from '../database.ts'
import type { Claimed } from '../store.ts'
import { type Dialect, stateIs } from './dialect.ts'
import { pausedUntil } from './pauses.ts'

/** A bucket of tokens, the one row of the table `pace`: refilled by the minute, emptied by what is claimed. */
export interface Pace {
  perMinute: number
  burst: number
}

/**
 * A bucket filled later than this was filled by a clock that has been set right since. It counts as filled a minute
 * ago, which always gives a token: a claim that takes none leaves the time as it is.
 */
const AHEAD_MS = 600_000

/**
 * The oldest queued delivery of each repository, where it is due. A repository whose oldest is not due, or
 * is leased, waits as a whole: that keeps its order. The repositories are found by hopping through the
 * index from one to the next, so that a long queue costs nothing.
 */
const HEADS = `
  WITH RECURSIVE lane(repository) AS (
    SELECT min(repository) FROM deliveries WHERE state = 'queued'
    UNION ALL
    SELECT (SELECT min(repository) FROM deliveries WHERE state = 'queued' AND repository > lane.repository)
    FROM lane WHERE lane.repository IS NOT NULL
  ), oldest AS MATERIALIZED (
    SELECT (SELECT min(seq) FROM deliveries WHERE state = 'queued' AND repository = lane.repository) AS seq FROM lane
  )
  SELECT head.seq FROM oldest JOIN deliveries head ON head.seq = oldest.seq
  WHERE head.${stateIs("'queued'")} AND head.due_at <= ?1 AND head.lease_until <= ?1`

/** The rows claimed are those of the first statement. */
export function claimQueued(
  sql: Dialect,
  { now, until, limit, scope }: { now: number; until: number; limit: number; scope: string | null },
  pace: Pace | null,
): Statement[] {
  const lock = sql.skipLocked.replace('UPDATE', 'UPDATE OF head')
  const take = (most: string) => `
    UPDATE deliveries SET lease = lease + 1, lease_until = ?2
    WHERE ${sql.among(`${HEADS} ORDER BY head.due_at, head.seq LIMIT ${most} ${lock}`)}
    RETURNING *, ${pausedUntil(sql, '?4', 'deliveries')} AS paused_until`
  if (!pace) return [{ sql: take('?3'), params: [now, until, limit, scope] }]

  const params = [now, until, limit, scope, pace.burst, pace.perMinute / 60_000]
  const filledAt = (now: string) =>
    `CASE WHEN at > CAST(${now} AS BIGINT) + ${AHEAD_MS} THEN ${now} - 60000 ELSE at END`
  const tokens = (now: string, burst: string, rate: string) =>
    `${sql.least}(CAST(${burst} AS DOUBLE PRECISION),
       tokens + ${sql.greatest}(0, ${now} - ${filledAt(now)}) * CAST(${rate} AS DOUBLE PRECISION))`
  const at = (now: string) => `at = ${sql.greatest}(${filledAt(now)}, ${now})`
  const atMost = (available: string) => `${sql.least}(CAST(?3 AS BIGINT), coalesce((${available}), 0))`
  if (!sql.updateInWith) {
    return [
      {
        sql: take(atMost(`SELECT CAST(floor(${tokens('?1', '?5', '?6')}) AS BIGINT) FROM pace`)),
        params,
      },
      {
        sql: `UPDATE pace SET tokens = ${tokens('?1', '?2', '?3')} - changes(), ${at('?1')} WHERE changes() > 0`,
        params: [now, pace.burst, pace.perMinute / 60_000],
      },
    ]
  }
  // The bucket is locked before anything is taken, and left alone when nothing is due.
  return [
    {
      sql: `
        WITH bucket AS MATERIALIZED (
          SELECT ${tokens('?1', '?5', '?6')} AS available FROM pace WHERE EXISTS (${HEADS}) FOR UPDATE
        ), taken AS (
          ${take(atMost('SELECT CAST(floor(available) AS BIGINT) FROM bucket'))}
        ), paid AS (
          UPDATE pace SET tokens = available - amount, ${at('?1')}
          FROM bucket, (SELECT count(*) AS amount FROM taken) AS price WHERE amount > 0
        )
        SELECT * FROM taken`,
      params,
    },
  ]
}

/** Gives back what the claim took of the bucket, which nothing came of. */
export function giveBack(claimed: Claimed): Statement {
  return {
    sql: `UPDATE pace SET tokens = tokens + 1 WHERE EXISTS (SELECT 1 FROM deliveries WHERE id = ?1 AND lease = ?2)`,
    params: [claimed.id, claimed.lease],
  }
}

export function claimWaiting(
  sql: Dialect,
  given: { now: number; until: number; limit: number; scope: string | null; after: number },
): Statement {
  const { now, until, limit, scope, after } = given
  const lock = sql.skipLocked.replace('UPDATE', 'UPDATE OF waiting')
  const untold = `
    SELECT waiting.seq FROM queued JOIN deliveries waiting ON waiting.seq = queued.seq
    WHERE waiting.${stateIs("'queued'")} AND waiting.lease_until <= ?1
      AND (waiting.attempts = '[]'
        OR waiting.queued_at > waiting.received_at AND waiting.updated_at = waiting.queued_at)
      AND waiting.run_id IS NOT NULL AND waiting.kind <> 'none' AND ${pausedUntil(sql, '?4', 'waiting')} > ?1
    ORDER BY waiting.seq LIMIT ?3 ${lock}`
  return {
    sql: `
      WITH queued AS MATERIALIZED (SELECT seq FROM deliveries WHERE state = 'queued' AND seq > ?5)
      UPDATE deliveries SET lease = lease + 1, lease_until = ?2 WHERE ${sql.among(untold)}
      RETURNING *, ${pausedUntil(sql, '?4', 'deliveries')} AS paused_until`,
    params: [now, until, limit, scope, after],
  }
}

export function claimWatched(
  sql: Dialect,
  { now, until, limit }: { now: number; until: number; limit: number },
): Statement {
  const due = `
    SELECT seq FROM deliveries
    WHERE state IN ('dispatched', 'running') AND due_at <= ?1 AND lease_until <= ?1
    ORDER BY due_at LIMIT ?3 ${sql.skipLocked}`
  return {
    sql: `UPDATE deliveries SET lease = lease + 1, lease_until = ?2, woken = 0 WHERE ${sql.among(due)} RETURNING *`,
    params: [now, until, limit],
  }
}

export function claimTelling(
  sql: Dialect,
  { now, until, limit }: { now: number; until: number; limit: number },
): Statement {
  const due = `
    SELECT seq FROM deliveries WHERE tell_at <= ?1 AND tell_until <= ?1
    ORDER BY tell_at LIMIT ?3 ${sql.skipLocked}`
  return {
    sql: `
      UPDATE deliveries SET tell_lease = tell_lease + 1, tell_until = ?2 WHERE ${sql.among(due)}
      RETURNING id, run_id, repository, tell_lease, tell_tries`,
    params: [now, until, limit],
  }
}
