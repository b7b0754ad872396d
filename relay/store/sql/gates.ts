import type { Statement } from '../database.ts'
import type { Gate } from '../store.ts'
import type { Dialect } from './dialect.ts'

export function close(sql: Dialect, { scope, closedUntil }: Gate): Statement {
  return {
    sql: `INSERT INTO gates (scope, closed_until) VALUES (?1, ?2)
          ON CONFLICT (scope) DO UPDATE SET closed_until = ${sql.greatest}(gates.closed_until, excluded.closed_until)`,
    params: [scope, closedUntil],
  }
}

export function closed(now: number): Statement {
  return { sql: 'SELECT scope, closed_until FROM gates WHERE closed_until > ?1', params: [now] }
}

export function forget(before: number): Statement {
  return { sql: 'DELETE FROM gates WHERE closed_until < ?1', params: [before] }
}
