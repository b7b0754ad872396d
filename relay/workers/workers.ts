import type { Logger } from 'pino'
import type { Config } from '../config/config.ts'
import type { GitHub } from '../github/client.ts'
import { createRequestBudget, type RateLimitPauses, type RequestBudget } from '../github/rate-limit-pause.ts'
import { createRunCache } from '../github/run-cache.ts'
import { createFindListeners } from '../github/workflow-files.ts'
import type { ThrottledLog } from '../log.ts'
import { schemaVersion } from '../store/migrations.ts'
import { type OutboxPage, type Store, WORK, type Work } from '../store/store.ts'
import { type ApplyDeps, createApplyEvent } from './apply.ts'
import {
  createDispatch,
  createNotifyWaiting,
  DISPATCH_LEASE_MS,
  type DispatchDeps,
  type DispatchRate,
} from './dispatch.ts'
import { createFindRuns, type FindOwners } from './find-runs.ts'
import { createFreezes } from './freezes.ts'
import { createReminders, purge } from './maintenance.ts'
import { createPortAccess, OUTBOX_LEASE_MS, type OutboxDeps, SETTLE_MS, sendPage } from './outbox.ts'
import { createPoll } from './poll.ts'
import type { Timeouts } from './timeouts.ts'
import { createTraces } from './traces.ts'
import { repeat, startWorker, type Worker, type WorkerDefinition } from './worker.ts'

/** The minimum number of list requests per minute. With up to twenty repositories, the relay notices a finished run within a minute. */
const LISTS = 36
/**
 * LISTS_SHARE: the share of GitHub's rate limit that list requests may use. MOST_LISTS: the maximum number per minute,
 * including requests that GitHub doesn't count. LEFT_BY_POLLS: how many list requests polls leave for lost responses
 * and cancellations. All three apply to all relays on the database together.
 */
const LISTS_SHARE = 0.5
const MOST_LISTS = 300
const LEFT_BY_POLLS = 60
const BY_ID = 8
/** The budgets for reading runs by ID while one of their jobs finishes: one budget for all runs, and one for each run. */
const QUICK = 60
const QUICK_OF_RUN = 10
/** The budget for reading jobs, job logs, annotations, and workflow files. Reading workflow files leaves LEFT_BY_FILES requests for failed runs. */
const DETAILS = 16
const LEFT_BY_FILES = 4
/** The budget for reading pending approvals. With GitHub's webhooks, few of these requests are needed. */
const APPROVALS = 6
/** The budget for ten minutes for confirming that failed runs have finished. If it is used up, the relay waits for a list, which confirms many runs with one request. */
const CONFIRMS = 600
const MINUTE_MS = 60_000
/**
 * Additional list requests per minute after lost responses, which block a queue, and after cancellations, which a user
 * waits for. The number is large, because many repositories wait after a crash or during an outage of GitHub.
 */
const URGENT = 120

type EngineDeps = Omit<ApplyDeps, 'canReport'> &
  Omit<OutboxDeps, 'reject'> &
  Omit<DispatchDeps, 'port' | 'apply' | 'findRuns' | 'freezes'> & {
    store: Store
    github: GitHub
    findOwners: FindOwners
  }

/** Creates the steps that process deliveries. Each relay on a database has its own request budgets. */
export function createEngine(deps: EngineDeps) {
  const { store, github, client, findOwners, policy } = deps
  const { clock } = store
  const port = createPortAccess(client, store)
  const applying = { ...deps, canReport: port.canReport }
  const apply = createApplyEvent(applying)
  const freezes = createFreezes(applying)
  const clockOffset = () => github.clockOffset() ?? 0
  const budget = (requests: number | (() => number)) => createRequestBudget(requests, MINUTE_MS, clock)
  const quick = { all: budget(QUICK), ofRun: () => budget(QUICK_OF_RUN) }
  let relays = 1
  const shareOf = (requests: number) => Math.max(1, Math.floor(requests / relays))
  const total = budget(() => shareOf(MOST_LISTS))
  const { limitOf, perMinute } = github.facts
  const allowed = (limit: string) =>
    Math.min(shareOf(MOST_LISTS - LEFT_BY_POLLS), Math.max(LISTS, shareOf(perMinute(limit) * LISTS_SHARE)))
  const finder = (perMinute: (limit: string) => number, all: Pick<RequestBudget, 'take' | 'freeAt'>) => {
    const cache = createRunCache({
      ...{ github, limitOf, perMinute, total: all, budgetById: budget(BY_ID), quick, clock },
    })
    return createFindRuns({ store, cache, findOwners, clockOffset, startTimeout: policy().startTimeout })
  }
  const details = budget(DETAILS)
  const findUrgently = finder(() => URGENT, total)
  const left = () => Math.min(shareOf(LEFT_BY_POLLS), shareOf(MOST_LISTS) - 1)
  const find = finder(allowed, {
    take: () => total.take(1, left()),
    freeAt: () => total.freeAt(left()),
  })
  const reject: OutboxDeps['reject'] = async ({ delivery: id, version: lease }, rejected) => {
    const delivery = await store.get(id)
    if (delivery)
      await apply(delivery, { type: 'entityRejected', ...rejected }, { lease, patienceMs: SETTLE_MS })
  }
  return {
    apply,
    port,
    freezes,
    dispatch: createDispatch({ ...deps, port, apply, freezes, findRuns: findUrgently }),
    poll: createPoll({
      ...{ store, github, apply, freezes, port, policy, clockOffset },
      findRuns: (delivery, options) =>
        (delivery.cancelRequestedAt === null ? find : findUrgently)(delivery, options),
      details,
      findListeners: createFindListeners(github, details, clock, LEFT_BY_FILES),
      ...{ approvals: budget(APPROVALS), confirms: createRequestBudget(CONFIRMS, 10 * MINUTE_MS, clock) },
    }),
    outbox: (page: OutboxPage, stopping: AbortSignal) => sendPage(page, { ...deps, reject }, stopping),
    /** Counts the relays on the database, which share GitHub's limit. */
    async countRelays(): Promise<void> {
      relays = await store.relays()
    },
  }
}

const DISPATCHES_AT_ONCE = 20
/** The maximum number of concurrent polls. It can be high, because all polls of a repository wait for the same response. */
const POLLS_AT_ONCE = 100
/** The lease of a poll. It outlasts all requests of the poll together. */
export const POLL_LEASE_MS = 60_000
const OUTBOXES_AT_ONCE = 10
const MAINTENANCE_MS = 60_000
/** The shortest time between two rounds of the workers `freeze` and `notify`. */
const WAITING_MS = 1_000
/** The relay reads due times, rate-limit pauses, and freezes every SOONEST_MS while work is due, otherwise every LATEST_MS. */
const SOONEST_MS = 500
const LATEST_MS = 2_000
const TRACES_MS = 2_000

const OUTDATED = 'a newer relay has upgraded the database, so this relay claims no work: stop this relay'

/** Starts the workers for dispatches, polls, and the outbox, and the periodic work. */
export function startWorkers(deps: {
  config: Config
  store: Store
  github: Pick<GitHub, 'facts'>
  timeouts: Timeouts
  engine: ReturnType<typeof createEngine>
  pauses: RateLimitPauses
  rate: DispatchRate
  log: Pick<Logger, 'info' | 'warn'>
  throttled: ThrottledLog
}): Worker[] {
  const { config, store, github, timeouts, engine, pauses, rate, log, throttled } = deps
  const { tracing } = config
  const { freezes } = engine
  const notifyWaiting = createNotifyWaiting({ ...engine, store, pauses })
  let isOutdated = false
  const repeatWork: typeof repeat = (name, everyMs, log, work, soonestMs) =>
    repeat(name, everyMs, log, async stopped => (isOutdated ? undefined : work(stopped)), soonestMs)
  const notify = repeatWork('notify waiting', MAINTENANCE_MS, throttled, notifyWaiting, WAITING_MS)
  const freeze = repeatWork('freezes', MAINTENANCE_MS, throttled, freezes.check, WAITING_MS)
  const findDue = async () => {
    const now = store.clock()
    const [due, active] = await Promise.all([store.nextDue(now), store.activePauses(now), freezes.read()])
    pauses.add(active)
    isOutdated = due.schemaVersion > schemaVersion()
    if (isOutdated) throttled.error({ schema: due.schemaVersion }, OUTDATED)
    const waits = WORK.map(kind => (due[kind] ?? Number.POSITIVE_INFINITY) - now)
    for (const [i, kind] of WORK.entries()) if ((waits[i] ?? 0) <= 0) byWork[kind].wake()
    // Frozen deliveries have no due time.
    if (due.dispatch !== null || freezes.isKnown()) notify.wake()
    if (freezes.isKnown()) freeze.wake()
    return Math.min(...waits)
  }
  const schedule = repeat('due work', LATEST_MS, throttled, findDue, SOONEST_MS)
  const start = <Claim>(work: WorkerDefinition<Claim>) => {
    const claim = async (limit: number) => (isOutdated ? [] : work.claim(limit))
    return startWorker({ ...work, claim, onEmpty: schedule.wake }, throttled)
  }
  const byWork: Record<Work, Worker> = {
    dispatch: start({
      name: 'dispatch',
      async claim(limit) {
        const allowed = rate.available(limit)
        if (allowed === 0) return []
        return store.claimQueued(store.clock(), DISPATCH_LEASE_MS, allowed, pauses.scope)
      },
      key: delivery => delivery.id,
      step: engine.dispatch,
      concurrency: DISPATCHES_AT_ONCE,
    }),
    watch: start({
      name: 'watch',
      claim: limit => store.claimPolls(store.clock(), POLL_LEASE_MS, limit),
      key: delivery => delivery.id,
      step: engine.poll,
      concurrency: POLLS_AT_ONCE,
    }),
    outbox: start({
      name: 'outbox',
      claim: limit => store.claimOutboxes(store.clock(), OUTBOX_LEASE_MS, limit),
      key: page => page.delivery,
      step: engine.outbox,
      concurrency: OUTBOXES_AT_ONCE,
    }),
  }
  const forget = store.onWork(work => {
    for (const kind of work) byWork[kind].wake()
  })
  const remind = createReminders(github, timeouts, { clock: Date.now, log })
  const stop = () => {
    forget()
    return byWork.dispatch.stop()
  }
  return [
    { ...byWork.dispatch, stop },
    byWork.watch,
    byWork.outbox,
    schedule,
    // Only `findDue` wakes these workers.
    ...[notify, freeze].map(worker => ({ ...worker, wake() {} })),
    ...(tracing
      ? [repeatWork('traces', TRACES_MS, throttled, createTraces({ ...deps, ...config, tracing }))]
      : []),
    repeatWork('maintenance', MAINTENANCE_MS, throttled, async stopped => {
      remind()
      const now = store.clock()
      await store.repairDueTimes(now)
      await engine.countRelays()
      const { tolerance } = config.webhook
      const removed = await purge(store, { now, retention: config.retention, tolerance }, stopped)
      if (removed > 0) log.info({ removed }, 'deliveries older than RELAY_RETENTION were deleted')
    }),
  ]
}
