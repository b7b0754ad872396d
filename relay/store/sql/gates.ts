import type { Statement } from '../database.ts'
import type { RateLimitPause } from '../store.ts'
import { named } from './columns.ts'

export function close({ scope, pausedUntil, reason }: RateLimitPause): Statement {
  return {
    sql: `INSERT INTO rate_limit_pauses (scope, paused_until, reason) VALUES (?1, ?2, ?3)
          ON CONFLICT (scope) DO UPDATE SET paused_until = excluded.paused_until, reason = excluded.reason
          WHERE rate_limit_pauses.paused_until < excluded.paused_until`,
    params: [scope, pausedUntil, reason],
  }
}

export function closed(now: number): Statement {
  return {
    sql: `SELECT ${named('scope', 'pausedUntil', 'reason')} FROM rate_limit_pauses WHERE paused_until > ?1`,
    params: [now],
  }
}

export function forget(before: number): Statement {
  return { sql: 'DELETE FROM rate_limit_pauses WHERE paused_until < ?1', params: [before] }
}
