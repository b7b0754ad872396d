import type { Statement } from '../database.ts'
import type { Hour } from '../store.ts'

/** Counted apart, so that nobody has to count deliveries; a row an hour, for all relays together. */
export function add({ hour, accepted, finished, failed, cancelled }: Hour): Statement {
  return {
    sql: `INSERT INTO hours (hour, accepted, finished, failed, cancelled) VALUES (?1, ?2, ?3, ?4, ?5)
          ON CONFLICT (hour) DO UPDATE SET accepted = hours.accepted + excluded.accepted,
            finished = hours.finished + excluded.finished, failed = hours.failed + excluded.failed,
            cancelled = hours.cancelled + excluded.cancelled`,
    params: [hour, accepted, finished, failed, cancelled],
  }
}

export function forget(before: number): Statement {
  return { sql: 'DELETE FROM hours WHERE hour < ?1', params: [before] }
}

export function read(from: number): Statement {
  return { sql: 'SELECT * FROM hours WHERE hour >= ?1 ORDER BY hour', params: [from] }
}
