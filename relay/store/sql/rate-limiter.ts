import type { Dialect, Statement } from '../database.ts'

/** A token bucket, the one row of the table `rate_limiter`. */
export interface Rate {
  perMinute: number
  burst: number
}

/**
 * Refills the bucket and takes at most `limit` permits, where anything is due. Rows: how many it `granted`. A time
 * of refilling that lies ahead, as after a clock was set back, counts as now.
 */
export function take(
  sql: Dialect,
  { now, limit, rate }: { now: number; limit: number; rate: Rate },
): Statement {
  const filled = `
    ${sql.least}(CAST(?3 AS DOUBLE PRECISION),
      tokens + ${sql.greatest}(0, ?1 - refilled_at) * CAST(?4 AS DOUBLE PRECISION))`
  const granted = `${sql.least}(CAST(?2 AS BIGINT), CAST(floor(${filled}) AS BIGINT))`
  return {
    sql: `
      UPDATE rate_limiter SET tokens = ${filled} - ${granted}, granted = ${granted}, refilled_at = ?1
      WHERE EXISTS (SELECT 1 FROM deliveries WHERE state = 'queued' AND due_at <= ?1)
      RETURNING granted`,
    params: [now, limit, rate.burst, rate.perMinute / 60_000],
  }
}

export function returnPermits(amount: number): Statement {
  return { sql: 'UPDATE rate_limiter SET tokens = tokens + ?1', params: [amount] }
}
