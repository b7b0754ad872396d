import type { Message, Rejected } from '../../delivery/delivery.ts'
import type { Sent, WaitingMessage } from '../../delivery/outbox-policy.ts'
import { type Backend, columnOf, named, rowsOf, type Statement } from '../database.ts'
import { type Condition, insertFor } from './statement.ts'

/** The first waiting messages of a delivery. A claim covers all messages of the delivery. */
export interface OutboxPage {
  delivery: string
  runId: string
  repository: string
  /** The node run's outputs as JSON text; empty for none. */
  outputs: string
  reported: boolean
  /** The rejected entity of the current attempt of the workflow run; null for none. */
  rejected: Rejected | null
  /** The current attempt of the workflow run; null if no run is known. */
  attempt: number | null
  version: number
  attempts: number
  messages: WaitingMessage[]
}

export type WaitingMessages = Record<'amount' | 'attempts' | 'dueAt', number> & { reason: string | null }

/** The limits of a page. A message that exceeds a limit is a page of its own. */
const PAGE_MESSAGES = 100
const PAGE_BYTES = 1_000_000

/** Adds messages to the outboxes of these deliveries. */
export function enqueue(deliveries: Condition, messages: readonly Message[], now: number): Statement[] {
  const bodies = messages.map(message => JSON.stringify(message))
  const insert = (body: string) =>
    insertFor(deliveries, 'outbox', { body, bytes: body.length, created_at: now })
  // If a relay is removing the empty outbox, the update waits until the outbox is gone. An outbox starts with a random
  // version, so that a lease of the delivery's previous outbox isn't valid for the new one.
  const onConflict = 'ON CONFLICT (delivery) DO UPDATE SET due_at = outboxes.due_at'
  const copied = { version: 'change_id' }
  const outboxes =
    messages.length === 0 ? [] : [insertFor(deliveries, 'outboxes', { due_at: now }, copied, onConflict)]
  return [...bodies.map(insert), ...outboxes]
}

/**
 * Reads a page in one statement, so that no report changes the page during the read. Doesn't use EXISTS, because
 * PostgreSQL might then read all runs to build a hash table.
 */
function pageOf(delivery: string): Statement {
  const inFirst = (select: string) => `CASE WHEN total = bytes THEN (${select}) END`
  return {
    sql: `
      SELECT ${named('seq', 'body', 'createdAt')},
        ${inFirst('SELECT outputs FROM deliveries WHERE id = ?1')} AS outputs,
        ${inFirst('SELECT rejected FROM deliveries WHERE id = ?1')} AS rejected,
        ${inFirst('SELECT max(attempt) FROM runs WHERE delivery = ?1 AND past = 0')} AS attempt,
        ${inFirst(`SELECT count(*) FROM runs WHERE delivery = ?1 AND evidence = 'report' AND past = 0`)} AS reported
      FROM (
        SELECT seq, body, created_at, bytes, sum(bytes) OVER (ORDER BY seq) AS total
        FROM (SELECT * FROM outbox WHERE delivery = ?1 ORDER BY seq LIMIT ${PAGE_MESSAGES}) AS first
      ) AS summed
      WHERE total <= ${PAGE_BYTES} OR total = bytes ORDER BY seq`,
    params: [delivery],
  }
}

/**
 * Returns the statements that settle a page. The first statement returns a row only if the lease is valid. It also
 * blocks new messages until the transaction ends.
 */
function settle(
  { delivery, version }: { delivery: string; version: number },
  { done, rest, reason = null }: Sent,
  retryAt: number | null,
  now: number,
): Statement[] {
  const valid = `delivery = ?1 AND version = ?2`
  const isLeaseValid = `EXISTS (SELECT 1 FROM outboxes WHERE ${valid})`
  const body = rest && JSON.stringify(rest.message)
  return [
    {
      sql: `
        UPDATE outboxes SET lease_until = 0, due_at = ?3, reason = ?5,
          attempts = CASE WHEN CAST(?4 AS BIGINT) > 0 THEN 0 ELSE attempts + 1 END
        WHERE ${valid} RETURNING delivery`,
      params: [delivery, version, retryAt ?? now, done.length + (rest ? 1 : 0), reason],
    },
    ...done.slice(-1).map(last => ({
      sql: `DELETE FROM outbox WHERE delivery = ?1 AND seq <= ?3 AND ${isLeaseValid}`,
      params: [delivery, version, last],
    })),
    ...(rest && body
      ? [
          {
            sql: `UPDATE outbox SET body = ?4, bytes = ?5 WHERE delivery = ?1 AND seq = ?3 AND ${isLeaseValid}`,
            params: [delivery, version, rest.seq, body, body.length],
          },
        ]
      : []),
    {
      sql: `DELETE FROM outboxes WHERE ${valid} AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.delivery = ?1)`,
      params: [delivery, version],
    },
  ]
}

export const outbox = (db: Backend) => ({
  async claimOutboxes(now: number, leaseMs: number, limit: number): Promise<OutboxPage[]> {
    const { among, skipLocked } = db.dialect
    const due = `
      SELECT delivery FROM outboxes WHERE due_at <= ?1 AND lease_until <= ?1 ORDER BY due_at LIMIT ?3 ${skipLocked}`
    const of = (field: string) =>
      `(SELECT ${columnOf(field)} FROM deliveries WHERE deliveries.id = outboxes.delivery) AS "${field}"`
    const rows = await db.claim({
      sql: `
        UPDATE outboxes SET version = version + 1, lease_until = ?2 WHERE ${among('delivery', due)}
        RETURNING delivery, version, attempts, ${of('runId')}, ${of('repository')}`,
      params: [now, now + leaseMs, limit],
    })
    if (rows.length === 0) return []
    const pages = await db.run(rows.map(row => pageOf(String(row.delivery))))
    return rows.map((row, i) => ({
      ...(row as unknown as OutboxPage),
      outputs: String(pages[i]?.[0]?.outputs ?? ''),
      reported: Boolean(pages[i]?.[0]?.reported),
      rejected: JSON.parse(String(pages[i]?.[0]?.rejected ?? null)),
      attempt: pages[i]?.[0]?.attempt === null ? null : Number(pages[i]?.[0]?.attempt),
      messages: (pages[i] ?? []).map(({ seq, body, createdAt }) => ({
        ...{ seq: Number(seq), createdAt: Number(createdAt), message: JSON.parse(String(body)) },
      })),
    }))
  },
  /** Settles a page. `retryAt`: when to send the remaining messages; null for now. @returns false if the lease was lost */
  async settleOutbox(
    page: Pick<OutboxPage, 'delivery' | 'version'>,
    sent: Sent,
    retryAt: number | null,
    now: number,
  ): Promise<boolean> {
    // Records when Port received the last message. This statement comes first, because transitions also lock the
    // delivery before its outbox.
    const sql = 'UPDATE deliveries SET notified_at = ?2 WHERE id = ?1 AND trace_due_at IS NOT NULL'
    const noted = sent.traced ? [{ sql, params: [page.delivery, now] }] : []
    const rows = await db.run([...noted, ...settle(page, sent, retryAt, now)])
    return rows[noted.length]?.length === 1
  },
  async waitingMessages(id: string): Promise<WaitingMessages | null> {
    const sql = `
      SELECT ${named('dueAt', 'attempts', 'reason')}, (SELECT count(*) FROM outbox WHERE outbox.delivery = ?1) AS amount
      FROM outboxes WHERE delivery = ?1`
    return (await rowsOf<WaitingMessages>(db, sql, id))[0] ?? null
  },
})
