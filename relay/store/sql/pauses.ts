import type { Statement } from '../database.ts'
import type { Pause } from '../store.ts'
import type { Dialect } from './dialect.ts'

export function raise(sql: Dialect, { scope, until }: Pause): Statement {
  return {
    sql: `INSERT INTO pauses (scope, until) VALUES (?1, ?2)
          ON CONFLICT (scope) DO UPDATE SET until = ${sql.greatest}(pauses.until, excluded.until)`,
    params: [scope, until],
  }
}

export function active(now: number): Statement {
  return { sql: 'SELECT scope, until FROM pauses WHERE until > ?1', params: [now] }
}

export function forget(before: number): Statement {
  return { sql: 'DELETE FROM pauses WHERE until < ?1', params: [before] }
}

/** Until when a delivery must wait. @param scope the parameter that names the scope, null for each owner's own */
export const pausedUntil = (sql: Dialect, scope: string, of: string) => `
  coalesce((SELECT until FROM pauses
    WHERE scope = coalesce(CAST(${scope} AS TEXT), 'owner:' || lower(${sql.owner(`${of}.repository`)}))), 0)`
