import { randomBytes, randomInt } from 'node:crypto'
import { LIMITS } from '../config/limits.ts'
import type { HistoryType, NewDelivery, Outcome, Stalled, Transition } from '../delivery/delivery.ts'
import { type Backend, type Row, type Statement, toDelivery, toRun } from './database.ts'
import { apply, wake } from './sql/apply.ts'
import * as claims from './sql/claims.ts'
import * as intake from './sql/intake.ts'
import * as lookups from './sql/lookups.ts'
import * as maintenance from './sql/maintenance.ts'
import * as outbox from './sql/outbox.ts'
import {
  type Accepted,
  type Cancellation,
  type Claimed,
  type ClockDifference,
  MAX_OTHERS,
  type OutboxPage,
  type ReportUsage,
  SignatureUsed,
  type Store,
  StoreBusy,
  type TracedDelivery,
  type WaitingMessages,
  type Work,
} from './store.ts'

const MAX_UNBOUND = 100
/** Typical size of a webhook body. */
const PROBE_BYTES = 3_000
/** If several relays accept deliveries, one with a higher `seq` could have been queued up to this much earlier. */
const QUEUED_MARGIN_MS = 60_000

/** Creates the store for either database. */
export function createStore(db: Backend): Store {
  const { dialect } = db
  const listeners = new Set<(work: readonly Work[]) => void>()
  const notify = (...work: Work[]) => {
    for (const listener of listeners) listener(work)
  }
  db.onWork(() => notify('dispatch', 'watch', 'outbox'))
  let waiting = 0
  let waitingSize = 0

  /** Runs a statement and returns its rows. The columns have the names of `T`'s fields. */
  const one = async <T = Row>(statement: Statement): Promise<T[]> =>
    ((await db.run([statement]))[0] ?? []) as T[]
  const deliveries = async (statement: Statement) => (await one(statement)).map(row => toDelivery(row))

  /**
   * Returns a `seq` below which all deliveries were received before the given time. There is no index on times, but
   * deliveries are queued in `seq` order, after their receipt.
   */
  async function floorOf(since: number): Promise<number> {
    const [last] = await one(lookups.lastSeq)
    let [low, high] = [0, Number(last?.seq ?? 0)]
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      const [row] = await one(lookups.firstFrom(middle))
      if (Number(row?.queued_at) < since - QUEUED_MARGIN_MS) low = Math.min(Number(row?.seq) + 1, high)
      else high = middle
    }
    return low
  }

  /** Refuses webhooks that exceed the limits, to restrict memory use. */
  async function admit<T>(size: number, persist: () => Promise<T>): Promise<T> {
    const { waitingWebhooks, waitingBytes } = LIMITS
    if (waiting >= waitingWebhooks || waitingSize + size > waitingBytes) throw new StoreBusy()
    waiting++
    waitingSize += size
    try {
      return await persist()
    } finally {
      waiting--
      waitingSize -= size
    }
  }

  /** Finds an earlier cancellation, and an earlier delivery. Prefers the delivery with the same signature. */
  async function findEarlier({ dedupeKey, sentAs }: Pick<NewDelivery, 'dedupeKey' | 'sentAs'>) {
    const digest = intake.digestOf(sentAs)
    const [cancellations, rows] = (await db.run([
      intake.findCancellation(digest),
      intake.findSame(dedupeKey, digest),
    ])) as [Cancellation[], Same[]]
    const signed = rows.find(row => intake.digestOf(row.sentAs) === digest)
    return { cancellation: cancellations[0] ?? null, signed, delivery: signed ?? rows[0] }
  }

  return {
    async organization(clientId) {
      const rows = await db.run([
        ...(clientId === null ? [] : [maintenance.storeOrganization(clientId)]),
        maintenance.organization,
      ])
      return (rows.at(-1)?.[0]?.client_id as string | null | undefined) ?? null
    },
    clock: () => db.clock.now(),
    accept: delivery =>
      admit(delivery.invocation.length, async () => {
        while (true) {
          if (await db.insert(delivery)) {
            notify('dispatch')
            return accepted({ ...delivery, state: 'queued' }, false)
          }
          const { cancellation, signed, delivery: earlier } = await findEarlier(delivery)
          if (cancellation || (signed && signed.sentAs !== delivery.sentAs)) throw new SignatureUsed()
          if (earlier) return accepted(earlier, earlier.id !== delivery.id)
          // The conflicting delivery was deleted in the meantime, so insert again.
        }
      }),
    async findCancellation(identity) {
      const { cancellation, signed } = await findEarlier(identity)
      if (signed) throw new SignatureUsed()
      return cancellation
    },
    async saveCancellation(signed, response) {
      await db.run([intake.saveCancellation(signed, response)])
    },
    onWork(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    async nextDue() {
      const [due] = await one<Record<Work, number | null>>(claims.nextDue())
      return due ?? { dispatch: null, watch: null, outbox: null }
    },

    async claimQueued(now, leaseMs, limit, scope) {
      const rows = await db.claim(claims.claimQueued(dialect, { now, until: now + leaseMs, limit, scope }))
      return rows.map(row => toDelivery<Claimed>(row)).sort((a, b) => a.seq - b.seq)
    },
    findWaiting: (now, before, limit, scope) =>
      deliveries(claims.findWaiting(dialect, { now, before, limit, scope })),
    async heads(given) {
      const queued = given.flatMap(({ state, repository }) => (state === 'queued' ? [repository] : []))
      if (queued.length === 0) return new Map()
      const heads = await deliveries(lookups.heads(dialect, [...new Set(queued)]))
      return new Map(heads.map(head => [head.repository, head]))
    },
    async stalled(before, limit, scope) {
      const rows = await one(claims.stalled(dialect, { before, limit, scope }))
      return rows.map(row => toDelivery<Stalled>(row))
    },
    async claimPolls(now, leaseMs, limit) {
      const rows = await db.claim(claims.claimPolls(dialect, { now, until: now + leaseMs, limit }))
      return rows.map(row => toDelivery(row)).sort((a, b) => Number(a.dueAt) - Number(b.dueAt))
    },

    async apply(delivery, transition, now, receipt) {
      const changeId = randomInt(2 ** 47)
      const { statements, decisive } = apply(dialect, { delivery, changeId, transition, now, receipt })
      let applied: boolean
      try {
        applied = (await db.run(statements))[decisive]?.length === 1
      } catch (error) {
        // The transaction could have been committed even if its response was lost.
        const [row] = await one(lookups.get(dialect, delivery.id)).catch(() => {
          throw error
        })
        if (row?.changeId !== changeId) throw error
        applied = true
      }
      if (applied) notify(...workOf(transition))
      return applied
    },
    async wake(id, now) {
      if ((await one(wake(id, now))).length > 0) notify('watch')
    },

    async findRuns(repository, runIds) {
      if (runIds.length === 0) return []
      return (await one(lookups.findRuns(repository, runIds))).map(row => toRun(row))
    },
    async findByTitle(repository, ids) {
      return ids.length === 0 ? [] : deliveries(lookups.findByTitle(dialect, repository, ids))
    },
    attemptedBetween: (repository, from, to, except) =>
      one(lookups.attemptedBetween(repository, { from, to, except, limit: MAX_OTHERS })),
    findUnbound: repository => deliveries(lookups.findUnbound(dialect, repository, MAX_UNBOUND)),
    async reportUsage(id, sender) {
      const [usage] = await one<ReportUsage>(lookups.reportUsage(id, sender))
      return usage ?? { lines: 0, bytes: 0, lastNumber: 0 }
    },

    async claimOutboxes(now, leaseMs, limit) {
      const rows = await db.claim(outbox.claim(dialect, { now, until: now + leaseMs, limit }))
      if (rows.length === 0) return []
      const pages = await db.run(rows.map(row => outbox.page(String(row.delivery))))
      return rows.map((row, i) => ({
        ...(row as unknown as OutboxPage),
        outputs: String(pages[i]?.[0]?.outputs ?? ''),
        reported: Boolean(pages[i]?.[0]?.reported),
        messages: (pages[i] ?? []).map(({ seq, body, createdAt }) => ({
          ...{ seq: Number(seq), createdAt: Number(createdAt), message: JSON.parse(String(body)) },
        })),
      }))
    },
    async settleOutbox(page, sent, retryAt, now) {
      const noted = sent.traced ? [claims.noteNotified(page.delivery, now)] : []
      const rows = await db.run([...noted, ...outbox.settle(page, sent, retryAt, now)])
      return rows[noted.length]?.length === 1
    },

    async claimTraces(now, leaseMs, limit) {
      const rows = await db.claim(claims.claimTraces(dialect, { now, until: now + leaseMs, limit }))
      return rows.map(row => toDelivery<TracedDelivery>(row))
    },
    async settleTraces(claimed) {
      await db.run(claimed.map(claims.settleTrace))
    },

    async savePause(pauses) {
      await db.run([maintenance.savePause(pauses)])
    },
    activePauses: now => one(maintenance.activePauses(now)),
    clockDifference: async () =>
      (await one<ClockDifference>(maintenance.clockDifference))[0] as ClockDifference,
    async saveClockDifference(difference) {
      await db.run([maintenance.saveClockDifference(difference)])
    },

    async purge(before, limit) {
      const [deleted = []] = await db.run([
        maintenance.purge(dialect, before, limit),
        maintenance.forgetPauses(before),
        ...maintenance.forgetExpired(db.clock.now()),
      ])
      return deleted.length
    },
    async repairDueTimes(now) {
      await db.run(maintenance.repairDueTimes(now))
    },

    get: async id => (await deliveries(lookups.get(dialect, id)))[0] ?? null,
    async invocation(id) {
      const [row] = await one(lookups.invocation(id))
      return row ? String(row.invocation) : null
    },
    async invocations(ids, maxBytes) {
      if (ids.length === 0) return new Map()
      const rows = await one(lookups.invocations(ids, maxBytes))
      return new Map(rows.map(row => [String(row.id), String(row.invocation)]))
    },
    async history(id) {
      const rows = await one<{ at: number; type: HistoryType; details: string }>(lookups.history(id))
      return rows.map(row => ({ ...row, details: JSON.parse(row.details) }))
    },
    async list(filter, options) {
      const floor = filter.since === undefined || filter.runId ? 0 : await floorOf(filter.since)
      return deliveries(lookups.list(dialect, filter, { ...options, floor }))
    },
    async listedTo({ action, runId, since }, before) {
      if (action === undefined || runId) return null
      const [row] = await one(lookups.edge(dialect, before))
      // Check `first`, because PostgreSQL's LEAST skips nulls and returns an edge even for an empty table.
      if (row?.first == null) return null
      const lowest = Math.max(Number(row?.first), since === undefined ? 0 : await floorOf(since))
      return Number(row?.edge) > lowest ? Number(row?.edge) : null
    },
    async counts() {
      const rows = await one<{ state: string; amount: number }>(lookups.counts())
      return Object.fromEntries(rows.map(({ state, amount }) => [state, amount])) as Awaited<
        ReturnType<Store['counts']>
      >
    },
    async outcomes() {
      const rows = await one<{ outcome: Outcome; amount: number }>(lookups.outcomes())
      return Object.fromEntries(rows.map(({ outcome, amount }) => [outcome, amount])) as Record<
        Outcome,
        number
      >
    },
    async backlog(now) {
      const [row = {}] = await one(claims.backlog(now))
      const time = (value: unknown) => (value === null ? null : Number(value))
      return {
        dueSince: { dispatch: time(row.dispatch), watch: time(row.watch), outbox: time(row.outbox) },
        messages: Number(row.messages),
        oldestMessage: time(row.oldest_message),
      }
    },
    waitingMessages: async id => (await one<WaitingMessages>(outbox.waiting(id)))[0] ?? null,
    async countHours(counted, forget) {
      await db.run([...counted.map(maintenance.addHour), maintenance.forgetHours(forget)])
    },
    hours: from => one(maintenance.readHours(from)),
    async claimAlerts(holder, now, leaseMs) {
      const [row] = await one<{ state: string }>(maintenance.claimAlerts(holder, now, leaseMs))
      return row ? JSON.parse(row.state) : null
    },
    saveAlerts: async (holder, state) =>
      (await one(maintenance.saveAlerts(holder, JSON.stringify(state)))).length > 0,
    async revokeSession(id, expiresAt) {
      await db.run([maintenance.revokeSession(id, expiresAt)])
    },
    isSessionRevoked: async id => (await one(maintenance.isSessionRevoked(id))).length > 0,
    async ping() {
      await db.run(maintenance.probe(db.clock.now(), randomBytes(PROBE_BYTES).toString('base64')))
    },
    close: () => db.close(),
  }
}

/** Returns the kinds of work that a transition can make due. Recording an attempt makes no work due. */
function workOf({ change, messages, requeue }: Transition): Work[] {
  const steps = change.state !== undefined || change.dueAt !== undefined || requeue
  return [
    ...(steps ? (['dispatch', 'watch'] as const) : []),
    ...(messages.length > 0 ? (['outbox'] as const) : []),
  ]
}

type Same = Omit<Accepted, 'duplicate'> & { sentAs: string }

const accepted = (
  { id, state, runId, repository, eventType, workflow, ref }: Omit<Same, 'sentAs'>,
  duplicate: boolean,
): Accepted => ({
  ...{ id, state, runId, repository, eventType, workflow, ref },
  duplicate,
})
