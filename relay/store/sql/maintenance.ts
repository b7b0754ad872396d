import { randomBytes, randomUUID } from 'node:crypto'
import { type NewDelivery, OUTCOMES, type Outcome } from '../../delivery/delivery.ts'
import type { RateLimitPause } from '../../github/rate-limit-pause.ts'
import { type Backend, named, rowsOf } from '../database.ts'
import { QUEUED } from './claims.ts'
import { INSERT, toRow } from './intake.ts'

export interface ClockDifference {
  /** GitHub's time minus the store's time, in milliseconds; 0 for a small difference. */
  difference: number
  /** When the difference started, milliseconds since 1970 by the store's clock. */
  since: number
}

/** The statistics of one hour: how many deliveries were accepted, and how many finished with each outcome. */
export interface Hour extends Record<Outcome, number> {
  /** Start of the hour, milliseconds since 1970. */
  hour: number
  accepted: number
}

/** A problem that causes alerts. Times are milliseconds since 1970. */
export interface KnownProblem {
  type: string
  side: 'github' | 'port' | null
  /** The GitHub owner or the repository that has the problem; empty if the problem concerns the whole relay. */
  key: string
  text: string
  since: number
  isSent: boolean
  /** When the problem was resolved; null for an unresolved problem. The store keeps a resolved problem until an alert reports it as resolved. */
  resolvedAt: number | null
}

/** The state of alerts, stored for all relays so that a restart doesn't repeat alerts. */
export type AlertState = { problems: KnownProblem[]; sentAt: number }

/** The maximum difference between the database's clock and the wall clock. Signatures and sessions expire by the wall clock. */
const EXPIRY_MARGIN_MS = 10 * 60_000
/** The longest plausible time between now and a due time. */
const FURTHEST_MS = 15 * 60_000
/** The longest plausible pause. GitHub's rate limits last at most an hour. */
const FURTHEST_PAUSES_MS = 65 * 60_000
const PROBE_BYTES = 3_000

export const maintenance = (db: Backend) => ({
  /** Returns the client ID of the Port organization to which the database belongs. If none is stored, stores the given one first. */
  async organization(clientId: string | null): Promise<string | null> {
    const sql = 'UPDATE organization SET client_id = ?1 WHERE client_id IS NULL'
    const rows = await db.run([
      ...(clientId === null ? [] : [{ sql, params: [clientId] }]),
      { sql: 'SELECT client_id FROM organization', params: [] },
    ])
    return (rows.at(-1)?.[0]?.client_id as string | null | undefined) ?? null
  },
  /** Returns the random key with which all relays of this database sign challenges. The first call creates the key. */
  async challengeKey(): Promise<string> {
    const sql = 'UPDATE organization SET challenge_key = ?1 WHERE challenge_key IS NULL'
    const [, rows] = await db.run([
      { sql, params: [randomBytes(32).toString('base64url')] },
      { sql: 'SELECT challenge_key FROM organization', params: [] },
    ])
    return String(rows?.[0]?.challenge_key)
  },
  /**
   * Deletes at most `limit` finished deliveries that last changed before the given time, and have no waiting messages.
   * Also deletes rate-limit pauses that ended before that time, expired cancellations, and expired revoked sessions.
   */
  async purge(before: number, limit: number): Promise<number> {
    const { among, skipLocked } = db.dialect
    const old = `
      SELECT seq FROM deliveries
      WHERE state IN ('finished', 'failed', 'cancelled') AND updated_at < ?1
        AND NOT EXISTS (SELECT 1 FROM outboxes WHERE outboxes.delivery = deliveries.id)
      ORDER BY updated_at LIMIT ?2 ${skipLocked}`
    const expired = db.clock.now() - EXPIRY_MARGIN_MS
    const [deleted = []] = await db.run([
      { sql: `DELETE FROM deliveries WHERE ${among('seq', old)} RETURNING seq`, params: [before, limit] },
      { sql: 'DELETE FROM rate_limit_pauses WHERE paused_until < ?1', params: [before] },
      { sql: 'DELETE FROM cancellations WHERE expires_at < ?1', params: [expired] },
      { sql: 'DELETE FROM revoked_sessions WHERE expires_at < ?1', params: [expired] },
    ])
    return deleted.length
  },
  /** Repairs times that are implausibly far in the future because a clock was set back: makes the work due now, and ends the leases and pauses. */
  async repairDueTimes(now: number): Promise<void> {
    const repair = (table: string, where: string) => ({
      sql: `UPDATE ${table} SET due_at = ?1, lease_until = 0, version = version + 1
            WHERE ${where} (due_at > ?2 OR lease_until > ?2)`,
      params: [now, now + FURTHEST_MS],
    })
    await db.run([
      repair('deliveries', `${QUEUED} AND`),
      repair('deliveries', `state IN ('dispatched', 'running') AND`),
      repair('outboxes', ''),
      { sql: 'DELETE FROM rate_limit_pauses WHERE paused_until > ?1', params: [now + FURTHEST_PAUSES_MS] },
    ])
  },
  /**
   * Inserts and deletes a delivery in one transaction. An update that changes nothing isn't enough: SQLite doesn't
   * write unchanged pages, and PostgreSQL can commit such an update on a full disk.
   * @throws if the database doesn't accept writes
   */
  async ping(): Promise<void> {
    const id = randomUUID()
    const delivery: NewDelivery = {
      ...{ id, dedupeKey: id, sentAs: '', signature: null, runId: null, kind: 'none', action: null },
      ...{ repository: '', eventType: '', workflow: null, ref: null, receivedAt: db.clock.now() },
      // Random bytes can't be compressed.
      invocation: randomBytes(PROBE_BYTES).toString('base64'),
    }
    await db.run([
      { sql: INSERT, params: toRow(delivery) },
      { sql: 'DELETE FROM deliveries WHERE id = ?1', params: [id] },
    ])
  },
  /** Counts the relays that are connected to the database; 1 if the server doesn't show them. */
  async relays(): Promise<number> {
    return Math.max(1, Number((await rowsOf(db, `SELECT ${db.dialect.relays} AS relays`))[0]?.relays))
  },
  async schemaVersion(): Promise<number> {
    return Number((await rowsOf(db, `SELECT ${db.dialect.schemaVersion} AS version`))[0]?.version)
  },
  /** Persists a rate-limit pause. If the scope already has one, the pause that ends later remains. */
  async savePause({ scope, pausedUntil, cause, reason }: RateLimitPause): Promise<void> {
    const sql = `
      INSERT INTO rate_limit_pauses (scope, paused_until, cause, reason) VALUES (?1, ?2, ?3, ?4)
      ON CONFLICT (scope) DO UPDATE
      SET paused_until = excluded.paused_until, cause = excluded.cause, reason = excluded.reason
      WHERE rate_limit_pauses.paused_until < excluded.paused_until`
    await db.run([{ sql, params: [scope, pausedUntil, cause, reason] }])
  },
  activePauses(now: number): Promise<RateLimitPause[]> {
    const fields = named('scope', 'pausedUntil', 'cause', 'reason')
    return rowsOf(db, `SELECT ${fields} FROM rate_limit_pauses WHERE paused_until > ?1`, now)
  },
  clockDifference: async () =>
    (await rowsOf<ClockDifference>(db, 'SELECT difference, since FROM clock'))[0] as ClockDifference,
  async saveClockDifference({ difference, since }: ClockDifference): Promise<void> {
    await db.run([{ sql: 'UPDATE clock SET difference = ?1, since = ?2', params: [difference, since] }])
  },
  /** Adds these counts to the hourly counts, which all relays share. Deletes the counts of hours before `forget`. */
  async countHours(counted: Hour[], forget: number): Promise<void> {
    const amounts = ['accepted', ...OUTCOMES] as const
    const sql = `
      INSERT INTO hours (hour, ${amounts.join(', ')}) VALUES (?1, ${amounts.map((_, i) => `?${i + 2}`).join(', ')})
      ON CONFLICT (hour) DO UPDATE SET ${amounts.map(each => `${each} = hours.${each} + excluded.${each}`).join(', ')}`
    await db.run([
      ...counted.map(hour => ({ sql, params: [hour.hour, ...amounts.map(each => hour[each])] })),
      { sql: 'DELETE FROM hours WHERE hour < ?1', params: [forget] },
    ])
  },
  hours: (from: number): Promise<Hour[]> =>
    rowsOf(
      db,
      `SELECT hour, accepted, ${OUTCOMES.join(', ')} FROM hours WHERE hour >= ?1 ORDER BY hour`,
      from,
    ),
  /** Acquires or renews the lease to send alerts. @returns the alerts; null if another relay has the lease */
  async claimAlerts(holder: string, now: number, leaseMs: number): Promise<AlertState | null> {
    const sql =
      'UPDATE alerts SET holder = ?1, lease_until = ?2 WHERE holder = ?1 OR lease_until <= ?3 RETURNING state'
    const [row] = await rowsOf(db, sql, holder, now + leaseMs, now)
    return row ? JSON.parse(String(row.state)) : null
  },
  /** Saves the alerts. @returns false if another relay has the lease; then nothing is saved */
  async saveAlerts(holder: string, state: AlertState): Promise<boolean> {
    const sql = 'UPDATE alerts SET state = ?2 WHERE holder = ?1 RETURNING holder'
    return (await rowsOf(db, sql, holder, JSON.stringify(state))).length > 0
  },
  /** Ends a dashboard session on all relays. @param expiresAt milliseconds since 1970, by the wall clock */
  async revokeSession(id: string, expiresAt: number): Promise<void> {
    const sql = 'INSERT INTO revoked_sessions (id, expires_at) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING'
    await db.run([{ sql, params: [id, expiresAt] }])
  },
  isSessionRevoked: async (id: string): Promise<boolean> =>
    (await rowsOf(db, 'SELECT id FROM revoked_sessions WHERE id = ?1', id)).length > 0,
})
