import { DELIVERY } from '../../delivery/columns.ts'
import type { Delivery } from '../../delivery/delivery.ts'
import { type Backend, named, rowsOf, type Statement, select, selecting } from '../database.ts'
import { FREEZES } from './apply.ts'
import { FROZEN, MOST_COUNTED, QUEUED, QUEUES } from './claims.ts'
import { padded } from './statement.ts'

/** A deploy freeze, during which deliveries to matching repositories stay queued. Times are milliseconds since 1970. */
export interface Freeze {
  id: number
  repositories: string
  reason: string
  since: number
  endsAt: number | null
  /** What happens to the frozen deliveries after the freeze; empty while the freeze is active. */
  ending: 'release' | 'discard' | ''
  deliveries: number
  /** Where an operator started the freeze; null if an earlier version started it. */
  startedBy: 'api' | 'dashboard' | null
}

export type NewFreeze = Omit<Freeze, 'id' | 'ending' | 'deliveries' | 'startedBy'> &
  Partial<Pick<Freeze, 'startedBy'>>

const FIELDS = `seq AS id, ${named('repositories', 'reason', 'since', 'endsAt', 'ending', 'startedBy')},
  (SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE ${FROZEN} AND frozen_by = freezes.seq LIMIT ${MOST_COUNTED}) AS counted)
    AS deliveries`

export function freezes(db: Backend) {
  const { lockNumber } = db.dialect
  const locks: Statement[] = lockNumber ? [{ sql: lockNumber, params: [FREEZES] }] : []
  const delivery = selecting(DELIVERY, db.dialect)

  return {
    freezes: (): Promise<Freeze[]> => rowsOf(db, `SELECT ${FIELDS} FROM freezes ORDER BY seq`),
    async addFreeze({ repositories, reason, since, endsAt, startedBy = null }: NewFreeze): Promise<Freeze> {
      const sql = `INSERT INTO freezes (repositories, reason, since, ends_at, started_by) VALUES (?1, ?2, ?3, ?4, ?5) RETURNING ${FIELDS}`
      return (await rowsOf<Freeze>(db, sql, repositories, reason, since, endsAt, startedBy))[0]!
    },
    /** Ends a freeze. @returns false if the freeze doesn't exist, or has already ended */
    async endFreeze(id: number, ending: Freeze['ending']): Promise<boolean> {
      const sql = `UPDATE freezes SET ending = ?2 WHERE seq = ?1 AND ending = '' RETURNING seq`
      const rows = await db.run([...locks, { sql, params: [id, ending] }])
      return rows[locks.length]!.length > 0
    },
    async deleteFreeze(id: number): Promise<void> {
      await rowsOf(db, 'DELETE FROM freezes WHERE seq = ?1', id)
    },
    async queues(): Promise<string[]> {
      const sql = `${QUEUES} SELECT repository FROM queue`
      return (await rowsOf(db, sql)).map(row => String(row.repository))
    },
    /** Returns queued deliveries that aren't frozen. */
    freezable(given: readonly string[], limit: number): Promise<Delivery[]> {
      const repositories = padded(given)
      const places = repositories.map((_, i) => `?${i + 2}`).join(', ')
      const from = `deliveries WHERE ${QUEUED} AND repository IN (${places}) LIMIT ?1`
      return select(db, delivery, from, limit, ...repositories)
    },
    /** Returns the oldest deliveries of a freeze. */
    frozenBy(id: number, limit: number): Promise<Delivery[]> {
      const oldest = `SELECT seq FROM deliveries WHERE ${FROZEN} AND frozen_by = ?1 ORDER BY repository, seq LIMIT ?2`
      const from = `deliveries WHERE ${db.dialect.among('seq', oldest)}`
      return select(db, delivery, from, id, limit)
    },
  }
}
