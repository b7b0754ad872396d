import { randomInt } from 'node:crypto'
import { DELIVERY } from '../../delivery/columns.ts'
import type { Delivery } from '../../delivery/delivery.ts'
import { type Backend, named, rowsOf, type Statement, select, selecting, stateIs } from '../database.ts'
import { FROZEN, MOST_COUNTED, padded, QUEUED, QUEUES } from './claims.ts'

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
}

export type NewFreeze = Omit<Freeze, 'id' | 'ending' | 'deliveries'>

/** The number of rows per transaction. The number is small, so that intake never waits long. */
const STEP = 500
/** The number of the lock that a change of a freeze takes. All other lock numbers are for workflow runs. */
const LOCK = 0
const FIELDS = `seq AS id, ${named('repositories', 'reason', 'since', 'endsAt', 'ending')},
  (SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE ${FROZEN} AND frozen_by = freezes.seq LIMIT ${MOST_COUNTED}) AS counted)
    AS deliveries`

export function freezes(db: Backend, notify: (work: 'dispatch') => void) {
  const { lockNumber } = db.dialect
  const locks: Statement[] = lockNumber ? [{ sql: lockNumber, params: [LOCK] }] : []

  /** Changes the deliveries that a SELECT finds, and adds a history entry to each delivery. @returns the number of changed deliveries */
  async function change(
    found: Statement,
    to: { type: 'frozen' | 'unfrozen'; set: string; where: string; params: (string | number)[] },
    reason: string,
    now: number,
  ): Promise<number> {
    const seqs = padded((await rowsOf(db, found.sql, ...found.params)).map(({ seq }) => Number(seq)))
    if (seqs.length === 0) return 0
    const among = (first: number) => `seq IN (${seqs.map((_, i) => `?${first + i}`).join(', ')})`
    const mark = [randomInt(2 ** 47), now]
    const rows = await db.run([
      ...locks,
      {
        sql: `UPDATE deliveries SET ${to.set}, change_id = ?1, updated_at = ?2, version = version + 1, lease_until = 0,
                shown_cause = '', shown_until = 0, events = events + 1
              WHERE ${among(3 + to.params.length)} AND ${stateIs("'queued'")} AND ${to.where} RETURNING seq`,
        params: [...mark, ...to.params, ...seqs],
      },
      {
        sql: `INSERT INTO events (delivery, number, at, type, details)
              SELECT id, events, ?2, ?3, ?4 FROM deliveries WHERE ${among(5)} AND change_id = ?1
              ON CONFLICT DO NOTHING`,
        params: [...mark, to.type, JSON.stringify({ reason }), ...seqs],
      },
    ])
    return rows[locks.length]!.length
  }

  return {
    freezes: (): Promise<Freeze[]> => rowsOf(db, `SELECT ${FIELDS} FROM freezes ORDER BY seq`),
    async addFreeze({ repositories, reason, since, endsAt }: NewFreeze): Promise<Freeze> {
      const sql = `INSERT INTO freezes (repositories, reason, since, ends_at) VALUES (?1, ?2, ?3, ?4) RETURNING ${FIELDS}`
      return (await rowsOf<Freeze>(db, sql, repositories, reason, since, endsAt))[0]!
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
      const sql = `${QUEUES} SELECT repository FROM queue WHERE repository IS NOT NULL`
      return (await rowsOf(db, sql)).map(row => String(row.repository))
    },
    /** Freezes queued deliveries. Skips a delivery whose dispatch may have taken effect. @returns whether more deliveries remain */
    async freezeQueues({ id, reason }: Freeze, given: readonly string[], now: number): Promise<boolean> {
      const repositories = padded(given)
      const places = repositories.map((_, i) => `?${i + 1}`).join(', ')
      const sql = `SELECT seq FROM deliveries
        WHERE ${QUEUED} AND repository IN (${places}) AND awaiting_response_since IS NULL LIMIT ${STEP}`
      const to = {
        type: 'frozen' as const,
        set: 'frozen_by = ?3, reason = ?4, due_at = NULL',
        where: `frozen_by = 0 AND awaiting_response_since IS NULL
          AND EXISTS (SELECT 1 FROM freezes WHERE freezes.seq = ?3 AND ending = '')`,
        params: [id, `Frozen: ${reason}`],
      }
      return (await change({ sql, params: repositories }, to, reason, now)) === STEP
    },
    /** Releases the oldest deliveries of a freeze. @returns false if the freeze holds no deliveries */
    async release({ id, reason }: Freeze, now: number): Promise<boolean> {
      const sql = `SELECT seq FROM deliveries WHERE ${FROZEN} AND frozen_by = ?1 ORDER BY repository, seq LIMIT ${STEP}`
      const to = {
        type: 'unfrozen' as const,
        set: 'frozen_by = 0, unfrozen_at = ?2, due_at = ?2, first_attempt_at = NULL, reason = NULL',
        where: 'frozen_by = ?3',
        params: [id],
      }
      const changed = await change({ sql, params: [id] }, to, reason, now)
      if (changed > 0) notify('dispatch')
      return changed > 0
    },
    frozenBy(id: number, limit: number): Promise<Delivery[]> {
      const oldest = `SELECT seq FROM deliveries WHERE ${FROZEN} AND frozen_by = ?1 ORDER BY repository, seq LIMIT ?2`
      const from = `deliveries WHERE ${db.dialect.among('seq', oldest)}`
      return select(db, selecting(DELIVERY, db.dialect), from, id, limit)
    },
  }
}
