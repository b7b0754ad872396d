import type { Statement } from '../database.ts'
import type { RateLimitPause } from '../store.ts'
import { named } from './columns.ts'

export function close({ scope, closedUntil, reason }: RateLimitPause): Statement {
  return {
    sql: `INSERT INTO gates (scope, closed_until, reason) VALUES (?1, ?2, ?3)
          ON CONFLICT (scope) DO UPDATE SET closed_until = excluded.closed_until, reason = excluded.reason
          WHERE gates.closed_until < excluded.closed_until`,
    params: [scope, closedUntil, reason],
  }
}

export function closed(now: number): Statement {
  return {
    sql: `SELECT ${named('scope', 'closedUntil', 'reason')} FROM gates WHERE closed_until > ?1`,
    params: [now],
  }
}

export function forget(before: number): Statement {
  return { sql: 'DELETE FROM gates WHERE closed_until < ?1', params: [before] }
}
