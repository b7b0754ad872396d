import { randomInt } from 'node:crypto'
import { DELIVERY, LISTED } from '../../delivery/columns.ts'
import {
  type Delivery,
  type Listed,
  NO_RUNNER_MS,
  RENEWED_MS,
  RETRIED_MS,
  type Stalled,
  type WaitCause,
} from '../../delivery/delivery.ts'
import {
  type Backend,
  type Dialect,
  rowsOf,
  type Selection,
  select,
  selecting,
  stateIs,
} from '../database.ts'
import { padded } from './statement.ts'

export type Claimed = Delivery & {
  invocation: string
  leaseUntil: number
  /** Whether the claim recorded a new attempt; false if an earlier attempt still has no response. */
  isAttempt: boolean
  /** The globs of the active freezes, one per line; null if there are none. A glob contains no white space. */
  freezes: string | null
}

/** The work that waits. Times are milliseconds since 1970. A time is null if no work of its kind waits. */
export interface Backlog {
  /** For dispatches: when the oldest delivery was queued. For polls and outboxes: when the oldest one became due. */
  dueSince: Record<'dispatch' | 'watch' | 'outbox', number | null>
  /** The number of messages that wait to be sent to Port, counted up to 10,000. */
  messages: number
  oldestMessage: number | null
  /** The delivery of the oldest message, and why the message waits; null if unknown. */
  oldestOf: string | null
  oldestReason: string | null
  /** The number of frozen deliveries, counted up to 10,000. */
  frozen: number
}

export interface TracedDelivery extends Delivery {
  traceDueAt: number
  /** When Port received the last message of the delivery; null if the delivery has no messages. */
  notifiedAt: number | null
}

export const QUEUED = "state = 'queued' AND frozen_by = 0"
export const FROZEN = "state = 'queued' AND frozen_by > 0"

const firstAfter = (repository: string) =>
  `(SELECT seq FROM deliveries WHERE ${QUEUED} AND repository > ${repository} ORDER BY repository, seq LIMIT 1)`

/** Selects the oldest delivery of each repository with queued deliveries. Finding each delivery takes one step in the index, even if its queue is long. */
const queues = (after = "''", goesOn = '1 = 1') => `
  WITH RECURSIVE queue(seq, repository, due_at, number) AS (
    SELECT seq, repository, due_at, 1 FROM deliveries WHERE seq = ${firstAfter(after)}
    UNION ALL
    SELECT next.seq, next.repository, next.due_at, number + 1
    FROM queue JOIN deliveries next ON next.seq = ${firstAfter('queue.repository')} WHERE ${goesOn}
  )`
export const QUEUES = queues()

const HEADS = ({ among }: Dialect, column: string) => `
  ${QUEUES} SELECT ${column} FROM deliveries head WHERE ${among('head.seq', 'SELECT seq FROM queue')}`

/**
 * Returns a condition: the pause belongs to the delivery's credential.
 * @param scope the SQL parameter that contains the scope, or the prefix of an owner's scope
 */
const isOfScope = (sql: Dialect, scope: string, of: string) =>
  `rate_limit_pauses.scope IN (CAST(${scope} AS TEXT), CAST(${scope} AS TEXT) || ${sql.owner(`${of}.repository`)})`

const isPaused = (sql: Dialect, scope: string, now: string, of: string) => `
  EXISTS (SELECT 1 FROM rate_limit_pauses
    WHERE ${isOfScope(sql, scope, of)} AND rate_limit_pauses.paused_until > ${now})`

/** A condition: the repository has no frozen delivery. No delivery may overtake a frozen delivery. */
const IS_FREE = `NOT EXISTS (
  SELECT 1 FROM freezes WHERE (SELECT min(seq) FROM deliveries
    WHERE ${FROZEN} AND frozen_by = freezes.seq AND repository = head.repository) IS NOT NULL)`

const AWAITING = "state = 'queued' AND awaiting_response_since IS NOT NULL"
/** A condition: the repository has no claimed delivery. The claimed delivery isn't always the oldest one, because relays commit inserts in any order. */
const IS_IDLE = `NOT EXISTS (
  SELECT 1 FROM deliveries WHERE ${AWAITING} AND repository = head.repository AND lease_until > ?1)`

const ofClaimed = (sql: Dialect) =>
  selecting<Omit<Claimed, 'isAttempt'>>({ ...DELIVERY, invocation: {}, leaseUntil: {}, freezes: {} }, sql, {
    freezes: `(SELECT string_agg(repositories, '\n') FROM freezes WHERE ending = '')`,
  })

const CLAIM = 'UPDATE deliveries SET version = version + 1, lease_until = ?2'
const CLAIM_ATTEMPT = `${CLAIM}, change_id = ?5,
  attempts = attempts + CASE WHEN awaiting_response_since IS NULL THEN 1 ELSE 0 END,
  attempted_at = CASE WHEN awaiting_response_since IS NULL THEN ?1 ELSE attempted_at END,
  first_attempt_at = coalesce(first_attempt_at, ?1),
  awaiting_response_since = coalesce(awaiting_response_since, ?1)`

/** Counting stops at this number, to limit the cost. */
export const MOST_COUNTED = 10_000
/** The maximum number of queues to search for the next due time. */
const MOST_SEARCHED = 1000
/** The maximum number of deliveries to examine for each cause that Port shows. */
const EXAMINED = 200
/** If this many deliveries have waiting messages, the relay doesn't notify Port of waits. */
const MAX_OUTBOXES = 200
export function claims(db: Backend) {
  const { dialect } = db
  const { among, greatest, skipLocked } = dialect
  const [delivery, claimed, listed] = [
    selecting(DELIVERY, dialect),
    ofClaimed(dialect),
    selecting(LISTED, dialect),
  ]
  const traced = selecting<TracedDelivery>({ ...DELIVERY, traceDueAt: {}, notifiedAt: {} }, dialect)
  const stalled = selecting<Stalled>({ ...DELIVERY, stalledSince: {} }, dialect)
  const claim = async <T>({ names, read }: Selection<T>, update: string, ...params: (string | number)[]) =>
    (await db.claim({ sql: `${update} RETURNING ${names}`, params })).map(read)
  const queued = `
    ${HEADS(dialect, 'head.seq')}
    AND head.${stateIs("'queued'")} AND head.due_at <= ?1 AND ${IS_IDLE}
      AND NOT ${isPaused(dialect, '?4', '?1', 'head')} AND (head.awaiting_response_since IS NOT NULL OR ${IS_FREE})
    ORDER BY (
      SELECT max(attempted_at) FROM deliveries attempted
      WHERE attempted.repository = head.repository AND attempted.attempted_at IS NOT NULL
    ) NULLS FIRST, head.due_at, head.seq LIMIT ?3 ${skipLocked.replace('UPDATE', 'UPDATE OF head')}`
  const claimQueued = `${CLAIM_ATTEMPT} WHERE ${among('seq', queued)} RETURNING ${claimed.names}`
  const claimedBy = `SELECT ${claimed.names} FROM deliveries WHERE ${AWAITING} AND change_id = ?1`
  /** The `change_id` of a claim whose response was lost and whose deliveries couldn't be read yet. */
  let unread: number | null = null
  /** Returns the deliveries of a lost claim. Because this read is a claim too, it waits until the transaction of the lost claim has ended. */
  const readBack = (changeId: number) =>
    db.claim({ sql: claimedBy, params: [changeId] }, true).catch(error => {
      unread = changeId
      throw error
    })
  /** The next search for due work starts after this repository. */
  let searchedTo = ''

  return {
    /**
     * Claims the oldest queued delivery of each repository, if the delivery is due and its credential isn't paused. The
     * repository with the least recent dispatch comes first, so a long queue doesn't delay short queues. The claim
     * records an attempt on disk, because a dispatch isn't idempotent. After a crash, a relay first searches for the
     * workflow run of this attempt.
     * @param scope the scope of rate-limit pauses; with an App, the common prefix of the owners' scopes
     */
    async claimQueued(now: number, leaseMs: number, limit: number, scope: string): Promise<Claimed[]> {
      const [lost, changeId] = [unread, randomInt(2 ** 47)]
      unread = null
      const params = [now, now + leaseMs, limit, scope, changeId]
      const claimNew = () =>
        db.claim({ sql: claimQueued, params }, true).catch(async error => {
          const written = await readBack(changeId)
          if (written.length === 0) throw error
          return written
        })
      const rows = await (lost === null ? claimNew() : readBack(lost))
      const isAttempt = (each: Omit<Claimed, 'isAttempt'>) => each.attemptedAt === each.leaseUntil - leaseMs
      const found = rows.map(claimed.read).map(each => ({ ...each, isAttempt: isAttempt(each) }))
      return found.sort((a, b) => a.seq - b.seq)
    },
    /**
     * Finds waiting deliveries about which Port hasn't been notified. While many messages wait to be sent to Port, finds
     * no delivery, because results are more urgent.
     */
    findWaiting(now: number, before: number, limit: number, scope: string): Promise<Delivery[]> {
      const paused = isPaused(dialect, '?4', '?1', 'waiting')
      const isOver = `NOT ${isPaused(dialect, '?4', `?1 - ${RETRIED_MS}`, 'waiting')}`
      const later = isPaused(dialect, '?4', `waiting.shown_until + ${RENEWED_MS}`, 'waiting')
      const shown = (cause: WaitCause | '', where: string) => `
        SELECT seq FROM (
          SELECT seq, repository, shown_until FROM deliveries
          WHERE ${QUEUED} AND kind <> 'none' AND shown_cause = '${cause}' ${cause === 'limit' ? '' : 'AND shown_until = 0'}
            AND queued_at <= ?2 AND lease_until <= ?1
          ORDER BY shown_until, queued_at LIMIT ${EXAMINED}) AS waiting
        WHERE ${where}`
      const found = [
        `SELECT seq FROM (SELECT seq FROM deliveries WHERE ${FROZEN} AND kind <> 'none' AND shown_cause = ''
            AND EXISTS (SELECT 1 FROM freezes WHERE freezes.seq = frozen_by AND ending = '')
          ORDER BY seq LIMIT ${EXAMINED}) AS frozen`,
        shown('', '1 = 1'),
        ...(['queue', 'error', 'rate'] as const).map(cause => shown(cause, paused)),
        shown('limit', `${isOver} OR ${later}`),
        ...(['credential', 'installation'] as const).map(cause => shown(cause, isOver)),
      ]
      const from = `
        deliveries WHERE (SELECT count(*) FROM (SELECT 1 FROM outboxes LIMIT ${MAX_OUTBOXES}) AS counted) < ${MAX_OUTBOXES}
          AND ${among('seq', `${found.join(' UNION ALL ')} LIMIT ?3`)}`
      return select(db, delivery, from, now, before, limit, scope)
    },
    /** Returns the oldest queued delivery of each repository that has a queued delivery in `given`. */
    async heads(given: readonly Listed[]): Promise<Map<string, Delivery>> {
      const queued = given.flatMap(({ state, repository }) => (state === 'queued' ? [repository] : []))
      if (queued.length === 0) return new Map()
      const repositories = padded([...new Set(queued)])
      const oldest = repositories.map(
        (_, i) => `SELECT min(seq) AS seq FROM deliveries WHERE ${QUEUED} AND repository = ?${i + 1}`,
      )
      const from = `deliveries WHERE ${among('seq', oldest.join(' UNION ALL '))}`
      const heads = await select(db, delivery, from, ...repositories)
      return new Map(heads.map(head => [head.repository, head]))
    },
    /**
     * Finds queues from which nothing was dispatched since the time `before`, and returns the oldest delivery of each
     * queue. The time without a dispatch starts at this delivery's first attempt. Without an attempt, it starts at the
     * latest of these times: the repository's last attempt, and when the delivery was queued or unfrozen. If a
     * rate-limit pause ended later, the time starts at the end of the pause.
     */
    stalled(before: number, limit: number, scope: string): Promise<Stalled[]> {
      const since = `${greatest}(
        coalesce(head.first_attempt_at, ${greatest}(head.queued_at, coalesce(head.unfrozen_at, 0), coalesce((
          SELECT max(attempted_at) FROM deliveries attempted
          WHERE attempted.repository = head.repository AND attempted.attempted_at IS NOT NULL), 0))),
        coalesce((SELECT max(paused_until) FROM rate_limit_pauses WHERE ${isOfScope(dialect, '?3', 'head')}), 0))`
      const from = `(${HEADS(dialect, `head.seq AS head, ${since} AS stalled_since`)}) AS queue
        JOIN deliveries ON deliveries.seq = queue.head
        WHERE stalled_since <= ?1 ORDER BY stalled_since LIMIT ?2`
      return select(db, stalled, from, before, limit, scope)
    },
    /** Finds at most 200 deliveries whose workflow runs have waited too long for a runner. The longest wait is first. */
    withoutRunner(now: number): Promise<Listed[]> {
      const from = `deliveries WHERE state = 'running' AND shown_cause = 'runner' AND shown_at <= ?1 ORDER BY shown_at LIMIT 200`
      return select(db, listed, from, now - NO_RUNNER_MS)
    },
    async claimPolls(now: number, leaseMs: number, limit: number): Promise<Delivery[]> {
      const due = `
        SELECT seq FROM deliveries
        WHERE state IN ('dispatched', 'running') AND due_at <= ?1 AND lease_until <= ?1
        ORDER BY due_at LIMIT ?3 ${skipLocked}`
      const found = await claim(delivery, `${CLAIM} WHERE ${among('seq', due)}`, now, now + leaseMs, limit)
      return found.sort((a, b) => Number(a.dueAt) - Number(b.dueAt))
    },
    /**
     * Returns the version of the schema, and when each kind of work is due next; null for never. Includes claimed and
     * paused work. A queue counts with its oldest delivery. The search stops at a queue that is due, or after 1,000
     * queues. After 1,000 queues without due work, the next call continues the search.
     */
    async nextDue(now: number) {
      const next = (table: string, where = '') =>
        `(SELECT due_at FROM ${table} ${where} ORDER BY due_at LIMIT 1)`
      const sql = `
        ${queues('?2', `queue.due_at > ?1 AND number < ${MOST_SEARCHED}`)}
        SELECT min(due_at) AS dispatch, CASE count(*) WHEN ${MOST_SEARCHED} THEN max(repository) ELSE '' END AS last,
          ${next('deliveries', "WHERE state IN ('dispatched', 'running') AND due_at IS NOT NULL")} AS watch,
          ${next('outboxes')} AS outbox, ${dialect.schemaVersion} AS "schemaVersion"
        FROM queue`
      type Due = Record<'dispatch' | 'watch' | 'outbox', number | null> & { schemaVersion: number }
      const { last, ...due } = (await rowsOf<Due & { last: string }>(db, sql, now, searchedTo))[0]!
      if (due.dispatch === null || due.dispatch > now) searchedTo = last
      return due
    },
    async backlog(now: number): Promise<Backlog> {
      const oldest = (table: string, where: string) =>
        `(SELECT due_at FROM ${table} WHERE ${where} due_at <= ?1 AND lease_until <= ?1 ORDER BY due_at LIMIT 1)`
      const sql = `
        SELECT
          (SELECT min(since) FROM (${HEADS(dialect, `${greatest}(head.queued_at, coalesce(head.unfrozen_at, 0)) AS since`)}) AS waiting) AS dispatch,
          ${oldest('deliveries', `state IN ('dispatched', 'running') AND`)} AS watch,
          ${oldest('outboxes', '')} AS outbox,
          (SELECT count(*) FROM (SELECT 1 FROM outbox LIMIT ${MOST_COUNTED}) AS counted) AS messages,
          (SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE ${FROZEN} LIMIT ${MOST_COUNTED}) AS counted) AS frozen,
          oldest.created_at AS "oldestMessage", oldest.delivery AS "oldestOf",
          (SELECT reason FROM outboxes WHERE outboxes.delivery = oldest.delivery) AS "oldestReason"
        FROM (SELECT 1 AS one) AS row LEFT JOIN outbox oldest ON oldest.seq = (SELECT min(seq) FROM outbox)`
      const [row] = await rowsOf<Backlog['dueSince'] & Omit<Backlog, 'dueSince'>>(db, sql, now)
      const { messages, oldestMessage, oldestOf, oldestReason, frozen, ...dueSince } = row!
      return { dueSince, messages, oldestMessage, oldestOf, oldestReason, frozen }
    },
    /**
     * Claims finished deliveries whose trace is due. Skips deliveries with waiting messages, because the trace shows
     * when Port received the last one. The claim postpones the due time, so that another relay retries if this relay is
     * killed.
     */
    claimTraces(now: number, leaseMs: number, limit: number): Promise<TracedDelivery[]> {
      const due = `
        SELECT seq FROM deliveries
        WHERE trace_due_at <= ?1 AND state IN ('finished', 'failed', 'cancelled')
          AND NOT EXISTS (SELECT 1 FROM outboxes WHERE outboxes.delivery = deliveries.id)
        ORDER BY trace_due_at LIMIT ?3 ${skipLocked}`
      const update = `UPDATE deliveries SET trace_due_at = ?2 WHERE ${among('seq', due)}`
      return claim(traced, update, now, now + leaseMs, limit)
    },
    /** Records that these traces were exported. If a new history entry has made a trace due again, the trace stays due. */
    async settleTraces(claimed: Pick<TracedDelivery, 'id' | 'traceDueAt'>[]): Promise<void> {
      const sql = 'UPDATE deliveries SET trace_due_at = NULL WHERE id = ?1 AND trace_due_at = ?2'
      await db.run(claimed.map(({ id, traceDueAt }) => ({ sql, params: [id, traceDueAt] })))
    },
  }
}
