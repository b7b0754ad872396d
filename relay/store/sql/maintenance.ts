import { randomUUID } from 'node:crypto'
import { type NewDelivery, OUTCOMES } from '../../delivery/delivery.ts'
import type { RateLimitPause } from '../../github/rate-limit-pause.ts'
import { type Dialect, named, type Statement } from '../database.ts'
import type { ClockDifference, Hour } from '../store.ts'
import { INSERT, toRow } from './intake.ts'

/** Stores the client ID of the database's Port organization, unless one is stored. */
export const storeOrganization = (clientId: string): Statement => ({
  sql: 'UPDATE organization SET client_id = ?1 WHERE client_id IS NULL',
  params: [clientId],
})

export const organization: Statement = { sql: 'SELECT client_id FROM organization', params: [] }

/** Deletes old deliveries, including their runs and events, and returns the deleted rows. */
export function purge(sql: Dialect, before: number, limit: number): Statement {
  const old = `
    SELECT seq FROM deliveries
    WHERE state IN ('finished', 'failed', 'cancelled') AND updated_at < ?1
      AND NOT EXISTS (SELECT 1 FROM outboxes WHERE outboxes.delivery = deliveries.id)
    ORDER BY updated_at LIMIT ?2 ${sql.skipLocked}`
  return {
    sql: `DELETE FROM deliveries WHERE ${sql.among('seq', old)} RETURNING seq`,
    params: [before, limit],
  }
}

/** Maximum difference between the database's clock and the clocks by which signatures and sessions expire. */
const EXPIRY_MARGIN_MS = 10 * 60_000

export function forgetExpired(now: number): Statement[] {
  return ['cancellations', 'revoked_sessions'].map(table => ({
    sql: `DELETE FROM ${table} WHERE expires_at < ?1`,
    params: [now - EXPIRY_MARGIN_MS],
  }))
}

/** The longest delay that a step sets for the next step. */
const FURTHEST_MS = 15 * 60_000
/** Longer than any GitHub rate limit, which lasts an hour at most. */
const FURTHEST_PAUSES_MS = 65 * 60_000

/** Resets due times, leases, and pauses that are implausibly late because a clock was set back. */
export function repairDueTimes(now: number): Statement[] {
  const repair = (table: string, where: string) => ({
    sql: `UPDATE ${table} SET due_at = ?1, lease_until = 0, version = version + 1
          WHERE ${where} (due_at > ?2 OR lease_until > ?2)`,
    params: [now, now + FURTHEST_MS],
  })
  return [
    repair('deliveries', `state = 'queued' AND`),
    repair('deliveries', `state IN ('dispatched', 'running') AND`),
    repair('outboxes', ''),
    { sql: 'DELETE FROM rate_limit_pauses WHERE paused_until > ?1', params: [now + FURTHEST_PAUSES_MS] },
  ]
}

/**
 * Inserts a delivery like that of a webhook, and deletes it in the same transaction, so that no worker sees it. An
 * empty update isn't enough, because SQLite doesn't write unchanged pages, and PostgreSQL can succeed on a full disk.
 *
 * @param noise a body of incompressible text
 */
export function probe(now: number, noise: string): Statement[] {
  const id = randomUUID()
  const delivery: NewDelivery = {
    ...{ id, dedupeKey: id, sentAs: '', signature: null, runId: null, kind: 'none', action: null },
    ...{ repository: '', eventType: '', workflow: null, ref: null, invocation: noise, receivedAt: now },
  }
  return [
    { sql: INSERT, params: toRow(delivery) },
    { sql: 'DELETE FROM deliveries WHERE id = ?1', params: [id] },
  ]
}

export function savePause({ scope, pausedUntil, cause, reason }: RateLimitPause): Statement {
  return {
    sql: `INSERT INTO rate_limit_pauses (scope, paused_until, cause, reason) VALUES (?1, ?2, ?3, ?4)
          ON CONFLICT (scope) DO UPDATE
          SET paused_until = excluded.paused_until, cause = excluded.cause, reason = excluded.reason
          WHERE rate_limit_pauses.paused_until < excluded.paused_until`,
    params: [scope, pausedUntil, cause, reason],
  }
}

export function activePauses(now: number): Statement {
  return {
    sql: `SELECT ${named('scope', 'pausedUntil', 'cause', 'reason')} FROM rate_limit_pauses WHERE paused_until > ?1`,
    params: [now],
  }
}

export const clockDifference: Statement = { sql: 'SELECT difference, since FROM clock', params: [] }

export const saveClockDifference = ({ difference, since }: ClockDifference): Statement => ({
  sql: 'UPDATE clock SET difference = ?1, since = ?2',
  params: [difference, since],
})

export function forgetPauses(before: number): Statement {
  return { sql: 'DELETE FROM rate_limit_pauses WHERE paused_until < ?1', params: [before] }
}

/** Adds counts to the row of an hour. All relays share the row, so no statement needs to count deliveries. */
export function addHour(counted: Hour): Statement {
  const amounts = ['accepted', ...OUTCOMES] as const
  return {
    sql: `INSERT INTO hours (hour, ${amounts.join(', ')}) VALUES (?1, ${amounts.map((_, i) => `?${i + 2}`).join(', ')})
          ON CONFLICT (hour) DO UPDATE SET ${amounts.map(each => `${each} = hours.${each} + excluded.${each}`).join(', ')}`,
    params: [counted.hour, ...amounts.map(each => counted[each])],
  }
}

export function forgetHours(before: number): Statement {
  return { sql: 'DELETE FROM hours WHERE hour < ?1', params: [before] }
}

export function readHours(from: number): Statement {
  return { sql: 'SELECT * FROM hours WHERE hour >= ?1 ORDER BY hour', params: [from] }
}

/** Acquires or renews the lease, and returns the stored alerts if the holder has the lease. */
export const claimAlerts = (holder: string, now: number, leaseMs: number): Statement => ({
  sql: `UPDATE alerts SET holder = ?1, lease_until = ?2 WHERE holder = ?1 OR lease_until <= ?3
        RETURNING state`,
  params: [holder, now + leaseMs, now],
})

/** Saves alerts if the holder still has the lease, and returns the holder. */
export const saveAlerts = (holder: string, state: string): Statement => ({
  sql: 'UPDATE alerts SET state = ?2 WHERE holder = ?1 RETURNING holder',
  params: [holder, state],
})

export const revokeSession = (id: string, expiresAt: number): Statement => ({
  sql: 'INSERT INTO revoked_sessions (id, expires_at) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING',
  params: [id, expiresAt],
})

export const isSessionRevoked = (id: string): Statement => ({
  sql: 'SELECT id FROM revoked_sessions WHERE id = ?1',
  params: [id],
})
