import type { Context } from 'hono'
import { LIMITS } from '../config/limits.ts'
import type { Transition } from '../delivery/delivery.ts'
import type { Refusals } from '../http/refusals.ts'
import { createTokenBuckets } from '../http/request.ts'
import type { ThrottledLog } from '../log.ts'
import type { RouteDeps } from '../route-deps.ts'
import { whyNotWritable } from '../store/failures.ts'
import { schemaVersion } from '../store/migrations.ts'
import type { SharedReads } from '../store/open.ts'
import type { Hour, Store } from '../store/store.ts'
import type { Timeouts } from '../workers/timeouts.ts'
import { BACKLOG_MS, findProblems, type Health, type Problem } from './problems.ts'
import type { PublicAddress } from './public-address.ts'
import { SIDES, type Side, type Sides } from './sides.ts'

type Check = { ok: boolean; detail?: string }
type DatabaseCheck = Awaited<ReturnType<RouteDeps['checkDatabase']>>

const OUTDATED =
  'A newer relay has upgraded the database (RELAY_DATABASE). This relay still accepts webhooks, but claims no work: stop this relay, or start its newer version.'

/** Checks the database. Beyond the rate limit, returns the last result instead of checking. */
export function createDatabaseCheck(
  store: Pick<Store, 'ping' | 'schemaVersion'>,
  throttled: Pick<ThrottledLog, 'error'>,
) {
  const pace = createTokenBuckets(LIMITS.databaseChecks)
  let lastCheck: Promise<DatabaseCheck> | null = null
  let isChecking = false

  return () => {
    if (lastCheck && (isChecking || pace.take('') > 0)) return lastCheck
    isChecking = true
    lastCheck = store
      .ping()
      .then(() => store.schemaVersion())
      .then(
        version => ({ ok: true, ...(version > schemaVersion() && { outdated: OUTDATED }) }),
        error => {
          throttled.error({ err: error, work: 'readyz' }, 'database unavailable; retrying')
          const why = whyNotWritable(error) ?? "it is unavailable. The relay's log shows the error."
          const detail = `The database (RELAY_DATABASE) doesn't accept writes: ${why}`
          return { ok: false, detail }
        },
      )
      .finally(() => {
        isChecking = false
      })
    return lastCheck
  }
}

type HealthDeps = Pick<RouteDeps, 'store' | 'github' | 'pauses' | 'port' | 'freezes' | 'checkDatabase'> & {
  sides: Pick<Sides, 'problems' | 'isUsed' | 'lastSuccess'>
  timeouts: Pick<Timeouts, 'problem'>
  refusals: Pick<Refusals, 'recent'>
  address: Pick<PublicAddress, 'status'>
  throttled: Pick<ThrottledLog, 'warn'>
}

export type HealthReader = ReturnType<typeof createHealth>

export const FAILED = 'The database (RELAY_DATABASE) failed.'
/** The maximum numbers of stalled queues, and of deliveries that started no workflow. */
const MOST_STALLED = 100
export const MOST_NOT_STARTED = 200

/** Reads what all relays on the database see: queues, messages, waits, and freezes. @throws if the database can't be read */
export async function readStored(store: Pick<Store, SharedReads | 'clock'>, scope: string) {
  const now = store.clock()
  const [counts, { frozen, dueSince, ...backlog }, stalled, waiting, freezes] = await Promise.all([
    store.counts(),
    store.backlog(now),
    store.stalled(now - BACKLOG_MS, MOST_STALLED, scope),
    store.withoutRunner(now),
    store.freezes(),
  ])
  return {
    ...{ now, isRead: true, counts, dueSince, frozen, stalled, waiting, ...backlog },
    ...{ queued: counts.queued - frozen, queuedSince: dueSince.dispatch },
    freezes: freezes.filter(({ ending }) => ending === ''),
  }
}

/** Health without any problem. Commands add the problems that they read from the database, because they can't see a relay's memory. */
export const NO_PROBLEMS: Health = {
  ...{ now: 0, problems: [], sides: [], database: null, outdated: null, limits: [], freezes: [] },
  ...{ isRead: false, queued: 0, frozen: 0, stalled: [], waiting: [], notStarted: [], portPausedUntil: 0 },
  ...{ queuedSince: null, oldestMessage: null, oldestOf: null, oldestReason: null, rateLimitRemaining: null },
  ...{ tokenExpiresAt: null, clock: null, address: null },
  refused: { since: 0, count: 0, statuses: [], reason: '' },
}

export function createHealth(deps: HealthDeps) {
  const { store, github, pauses, port, freezes, sides, timeouts, refusals, checkDatabase, throttled } = deps
  const { address } = deps
  /** Returns what this process knows, without reading the database. */
  const inMemory = (): Health => ({
    ...{ ...NO_PROBLEMS, now: store.clock(), freezes: freezes.active() },
    problems: sides.problems(),
    sides: SIDES.filter(sides.isUsed).map(side => ({ side, lastSuccess: sides.lastSuccess(side) })),
    limits: pauses.allPaused().filter(({ cause }) => cause === 'limit'),
    rateLimitRemaining: github.facts.rateLimitRemaining(),
    portPausedUntil: port.pausedUntil(),
    tokenExpiresAt: github.facts.tokenExpiresAt(),
    clock: timeouts.problem(),
    refused: refusals.recent(),
    address: address.status(),
  })
  return {
    inMemory,
    async read(readNotStarted = false): Promise<Health> {
      const filter = { outcome: 'not_started' } as const
      const reads = Promise.all([
        readStored(store, pauses.scope),
        readNotStarted ? store.list(filter, { limit: MOST_NOT_STARTED }) : [],
      ]).catch(err => void throttled.warn({ err, work: 'health' }, 'database unavailable; retrying'))
      const [read, database] = await Promise.all([reads, checkDatabase()])
      return {
        ...inMemory(),
        ...(read && { ...read[0], notStarted: read[1] }),
        database: database.ok && read ? null : (database.detail ?? FAILED),
        outdated: database.outdated ?? null,
      }
    },
  }
}

/**
 * `GET /readyz`: whether a load balancer should send webhooks to this relay. Only the database affects the status, because
 * Port doesn't send a refused webhook again. The body also reports problems with GitHub and Port.
 */
export function createReadiness(deps: {
  checkDatabase: RouteDeps['checkDatabase']
  sides: Pick<Sides, 'isUsed' | 'lastSuccess' | 'isKnown'>
  health: Pick<HealthReader, 'inMemory'>
}) {
  const { checkDatabase, sides, health } = deps
  function ofSide(side: Side, problems: readonly Problem[]): Check & { last_success: string | null } {
    const found = problems.flatMap(each => (each.side === side ? each.text : []))
    const last = sides.lastSuccess(side)
    const detail =
      found.join(' ') ||
      (!sides.isUsed(side) && "PORT_CLIENT_ID isn't set: the relay sends nothing to Port.") ||
      (!sides.isKnown(side) && 'not checked yet')
    return {
      ok: found.length === 0,
      ...(detail && { detail }),
      last_success: last === null ? null : new Date(last).toISOString(),
    }
  }

  return async (c: Context): Promise<Response> => {
    const { outdated, ...database } = await checkDatabase()
    const schema = outdated !== undefined && { schema: { ok: false, detail: outdated } }
    const ok = database.ok && !schema
    const known = health.inMemory()
    const problems = findProblems(known, 'readyz')
    const { length } = known.freezes
    const frozen = length > 0 && { freezes: { ok: true, detail: `Active deploy freezes: ${length}.` } }
    const [github, port] = [ofSide('github', problems), ofSide('port', problems)]
    if (!ok) c.header('retry-after', '5')
    return c.json({ ok, checks: { database, ...schema, github, port, ...frozen } }, ok ? 200 : 503)
  }
}

const HOUR_MS = 3_600_000
const KEPT_MS = 48 * HOUR_MS
const FLUSH_MS = 15_000
const NONE = { succeeded: 0, failed: 0, cancelled: 0, not_started: 0, unknown: 0 }

/** Counts deliveries per hour for the dashboard's chart. If the relay is killed, the counts since the last flush are lost. */
export function createTally(store: Store, log: Pick<ThrottledLog, 'error'>) {
  let counted = new Map<number, Hour>()

  function count(what: Exclude<keyof Hour, 'hour'>): void {
    const hour = Math.floor(store.clock() / HOUR_MS) * HOUR_MS
    const row = counted.get(hour) ?? { hour, accepted: 0, ...NONE }
    row[what]++
    counted.set(hour, row)
  }
  async function flush(): Promise<void> {
    if (counted.size === 0) return
    const rows = counted
    counted = new Map()
    await store.countHours([...rows.values()], store.clock() - KEPT_MS)
  }
  const flushAndLog = () =>
    flush().catch(error => log.error({ err: error }, "the counts of this hour couldn't be persisted"))
  const timer = setInterval(flushAndLog, FLUSH_MS).unref()
  const counting: Store = {
    ...store,
    async accept(delivery) {
      const accepted = await store.accept(delivery)
      if (!accepted.duplicate) count('accepted')
      return accepted
    },
    async hours(since) {
      const hours = new Map((await store.hours(since)).map(each => [each.hour, each]))
      for (const [hour, more] of counted) {
        const known = hours.get(hour) ?? { hour, accepted: 0, ...NONE }
        for (const [name, count] of Object.entries(more))
          if (name !== 'hour') known[name as keyof Hour] += count
        hours.set(hour, known)
      }
      return [...hours.values()]
    },
  }
  return {
    store: counting,
    transition({ change }: Transition): void {
      if (change.outcome) count(change.outcome)
    },
    flush,
    async stop() {
      clearInterval(timer)
      await flushAndLog()
    },
  }
}
