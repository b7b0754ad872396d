import type { Backend, Row } from './database.ts'
import type { NewDelivery, Report, State, Telling } from './delivery.ts'
import { inSteps } from './in-steps.ts'
import * as claims from './sql/claims.ts'
import { findSame } from './sql/intake.ts'
import * as lookups from './sql/lookups.ts'
import * as pauses from './sql/pauses.ts'
import * as steps from './sql/steps.ts'
import * as telling from './sql/telling.ts'
import { type Accepted, type Held, type Queued, type Store, StoreBusy } from './store.ts'
import { toDelivery, toSent } from './to-delivery.ts'

/** Deliveries, and characters of them, that may wait to be written; more are refused rather than kept in memory without end. */
const MAX_WAITING = 10_000
const MAX_WAITING_SIZE = 128 * 1024 * 1024
const BURST = 20
const MAX_UNMATCHED = 100

/**
 * The one store, whatever database it lives in.
 *
 * @param dispatchRate dispatches a minute, 0 for no limit
 */
export function createStore(db: Backend, dispatchRate: number): Store {
  const pace = dispatchRate > 0 ? { perMinute: dispatchRate, burst: BURST } : null
  const { dialect } = db
  const listeners: (() => void)[] = []
  const work = () => {
    for (const listener of listeners) listener()
  }
  db.onWork(work)
  let waiting = 0
  let waitingSize = 0

  async function write(delivery: NewDelivery): Promise<Accepted> {
    while (true) {
      if (await db.insert(delivery)) {
        work()
        return accepted({ ...delivery, state: 'queued' }, false)
      }
      const [same] = await db.run([findSame(delivery)])
      if (same?.[0]) return accepted(fromRow(same[0]), same[0].id !== delivery.id)
      // The other was deleted in between: try once more.
    }
  }

  return {
    async accept(delivery) {
      if (delivery.eventType === null) throw new Error('Workflows are no targets yet')
      const size = delivery.invocation.length
      if (waiting >= MAX_WAITING || waitingSize + size > MAX_WAITING_SIZE) throw new StoreBusy()
      waiting++
      waitingSize += size
      try {
        return await write(delivery)
      } finally {
        waiting--
        waitingSize -= size
      }
    },
    onWork(listener) {
      listeners.push(listener)
    },

    async claimQueued(now, leaseMs, limit, scope = null) {
      const [rows = []] = await db.run(
        claims.claimQueued(dialect, { now, until: now + leaseMs, limit, scope }, pace),
      )
      return rows.map(toQueued).sort((a, b) => a.seq - b.seq)
    },
    async claimWaiting(now, leaseMs, limit, { scope, after }) {
      const given = { now, until: now + leaseMs, limit, scope, after }
      const [rows = []] = await db.run([claims.claimWaiting(dialect, given)])
      return rows.map(toQueued).sort((a, b) => a.seq - b.seq)
    },
    async claimWatched(now, leaseMs, limit) {
      const [rows = []] = await db.run([claims.claimWatched(dialect, { now, until: now + leaseMs, limit })])
      return rows.map(toDelivery).sort((a, b) => Number(a.dueAt) - Number(b.dueAt))
    },
    async record(claimed, change, now, reports = [], { pause, unsent } = {}) {
      const { lease } = claimed
      const results = await db.run([
        ...(pause ? [pauses.raise(dialect, pause)] : []),
        ...(pace && unsent ? [claims.giveBack(claimed)] : []),
        ...steps.record(dialect, claimed, change, { now, reports: reports.flatMap(inSteps) }),
      ])
      if (reports.length > 0) work()
      return isHeld(claimed, lease, results)
    },
    async markSent(claimed, now) {
      const [updated] = await db.run([steps.markSent(claimed, now)])
      return updated?.length === 1
    },
    async pause(pause) {
      await db.run([pauses.raise(dialect, pause)])
    },
    async pauses(now) {
      const [rows = []] = await db.run([pauses.active(now)])
      return rows.map(({ scope, until }) => ({ scope: String(scope), until: Number(until) }))
    },

    async claimTelling(now, leaseMs, limit) {
      const [claimed = []] = await db.run([
        claims.claimTelling(dialect, { now, until: now + leaseMs, limit }),
      ])
      if (claimed.length === 0) return []
      const [reports = []] = await db.run([telling.reportsOf(claimed.map(row => String(row.id)))])
      return claimed.map(row => toTelling(row, reports))
    },
    async told(claimed, said, retryAt) {
      const { lease } = claimed
      return isHeld(claimed, lease, await db.run(telling.told(dialect, claimed, said, retryAt)))
    },
    async report(id, reports, now, message) {
      const given = { reports: reports.flatMap(inSteps), now }
      const results = await db.run(
        message ? telling.takeMessage(dialect, id, given, message) : telling.addReports(dialect, id, given),
      )
      if (reports.length > 0) work()
      return results.at(message ? 0 : -1)?.length === 1
    },

    async wakeDelivery(id, now) {
      const [woken] = await db.run([steps.wake(id, now)])
      if (woken?.length) work()
    },
    async bindRun(id, runId, attempt, now) {
      const results = await db.run(steps.bindRun(dialect, { id, runId, attempt, now }))
      const [bound, same, known] = results.slice(-3)
      if (bound?.length) return 'bound'
      if (same?.length) return 'same'
      return known?.length ? 'other' : 'unknown'
    },
    async findByGithubRun(repository, runId) {
      const [rows] = await db.run([lookups.findByGithubRun(repository, runId)])
      return rows?.[0] ? toDelivery(rows[0]) : null
    },
    async findBound(repository, runIds) {
      if (runIds.length === 0) return []
      const [rows = []] = await db.run([lookups.findBound(repository, runIds)])
      return rows.map(row => ({ id: String(row.id), githubRunId: Number(row.github_run_id) }))
    },
    async findNamed(repository, words) {
      if (words.length === 0) return []
      const [rows = []] = await db.run([lookups.findNamed(repository, words)])
      return rows.map(toDelivery)
    },
    async sentBetween(repository, eventTypes, time) {
      if (eventTypes.length === 0) return []
      const [rows = []] = await db.run([lookups.sentBetween(repository, eventTypes, time)])
      return rows.map(toSent)
    },
    async unmatched(repository) {
      const [rows = []] = await db.run([lookups.unmatched(repository, MAX_UNMATCHED)])
      return rows.map(toDelivery)
    },

    async redeliver(id, now) {
      const [, , queued, known] = await db.run(steps.redeliver(dialect, id, now))
      if (queued?.length) {
        work()
        return 'queued'
      }
      return known?.length ? 'not_failed' : 'unknown'
    },
    async purge(before, limit) {
      const [deleted = []] = await db.run([lookups.purge(dialect, before, limit), pauses.forget(before)])
      return deleted.length
    },

    async get(id) {
      const [rows] = await db.run([lookups.get(id)])
      return rows?.[0] ? toDelivery(rows[0]) : null
    },
    async list(options) {
      const [rows = []] = await db.run([lookups.list(options)])
      return rows.map(toDelivery)
    },
    async counts() {
      const [rows = []] = await db.run([lookups.counts()])
      const amount = (state: State) => Number(rows.find(row => row.state === state)?.amount)
      return {
        queued: amount('queued'),
        dispatched: amount('dispatched'),
        running: amount('running'),
        failed: amount('failed'),
      }
    },
    async ping() {
      await db.run([{ sql: 'SELECT 1 AS one', params: [] }])
    },
    close: () => db.close(),
  }
}

type Told = Pick<NewDelivery, 'id' | 'runId' | 'repository' | 'eventType'> & { state: State }

function accepted({ id, state, runId, repository, eventType }: Told, duplicate: boolean): Accepted {
  return { id, state, runId, repository, eventType, workflow: null, ref: null, duplicate }
}

/** Whether the last statement wrote, under this lease; then the lease is spent. */
function isHeld(claimed: Held, lease: number, results: Row[][]): boolean {
  const held = results.at(-1)?.length === 1
  if (held) claimed.spent = lease
  return held
}

const fromRow = (row: Row): Told => ({
  id: String(row.id),
  state: row.state as State,
  runId: row.run_id as string | null,
  repository: String(row.repository),
  eventType: String(row.event_type),
})

const toQueued = (row: Row): Queued => ({
  ...toDelivery(row),
  leaseUntil: Number(row.lease_until),
  pausedUntil: Number(row.paused_until),
})

const toTelling = (row: Row, reports: Row[]): Telling => ({
  id: String(row.id),
  runId: String(row.run_id),
  repository: String(row.repository),
  lease: Number(row.tell_lease),
  tries: Number(row.tell_tries),
  reports: reports
    .filter(report => report.delivery === row.id)
    .map(report => ({
      seq: Number(report.seq),
      report: JSON.parse(String(report.body)) as Report,
      createdAt: Number(report.created_at),
    })),
})
