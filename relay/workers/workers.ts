import type { Logger } from 'pino'
import type { PortClient } from '../../port/client/client.ts'
import type { Config } from '../config/config.ts'
import type { Delivery } from '../delivery/delivery.ts'
import type { Policy } from '../delivery/events.ts'
import type { GitHub } from '../github/client.ts'
import type { RateLimitPauses } from '../github/rate-limit-pause.ts'
import { createRequestBudget } from '../github/request-budget.ts'
import { createRunCache } from '../github/run-cache.ts'
import type { ThrottledLog } from '../log.ts'
import type { Store, Work } from '../store/store.ts'
import { type ApplyDeps, type ApplyEvent, createApplyEvent } from './apply.ts'
import { createNotifyWaiting, DISPATCH_LEASE_MS, type DispatchDeps, dispatch } from './dispatch.ts'
import { createFindRuns, type FindOwners } from './find-runs.ts'
import { createReminders, forgetSignatures, purge } from './maintenance.ts'
import { OUTBOX_LEASE_MS, sendOutbox } from './outbox.ts'
import { createPoll } from './poll.ts'
import { createPortAccess, type PortAccess } from './port-access.ts'
import { repeat, startWorker, type Worker } from './worker.ts'

/**
 * The request budgets of the watch, a minute and for all deliveries together: 60 requests. Lists have the most, so
 * that an ended run is known within a minute in up to twenty repositories; with more, all take longer alike.
 */
const LISTS = 36
const BY_ID = 8
const DETAILS = 10
/** Whom runs wait for. With GitHub's webhooks it shows at once. */
const APPROVALS = 6
const MINUTE_MS = 60_000
/** What the intervals of lists are planned for: below the budget, so that an unplanned request finds some left. */
const PLANNED = 34
/**
 * Lists a minute to find the runs of dispatches whose answers were lost, apart from the watch's: the queue of a
 * repository waits for them, in many repositories at once after a relay was killed or while GitHub fails.
 */
const LOST_RESPONSES = 120
const LOST_RESPONSES_PLANNED = 110

/** What advances the deliveries of one relay. Another relay on the same database has its own request budgets. */
export interface Engine {
  apply: ApplyEvent
  port: PortAccess
  dispatchDeps: DispatchDeps
  /** One step of one dispatched or running delivery. */
  watch: (delivery: Delivery) => Promise<void>
}

export function createEngine(deps: {
  store: Store
  github: GitHub
  pauses: RateLimitPauses
  /** By organization, those with credentials. */
  clients: ReadonlyMap<string, PortClient>
  findOwners: FindOwners
  policy: Policy
  publicUrl: string | null
  log: ApplyDeps['log']
  onTransition?: ApplyDeps['onTransition']
  onAttempt?: DispatchDeps['onAttempt']
}): Engine {
  const {
    store,
    github,
    pauses: gate,
    clients,
    findOwners,
    policy,
    publicUrl,
    log,
    onTransition,
    onAttempt,
  } = deps
  const { clock } = store
  const port = createPortAccess(clients)
  const apply = createApplyEvent({ store, policy, canReport: port.canReport, log, onTransition })
  const clockOffset = () => github.clockOffset() ?? 0
  const finder = (lists: number, perMinute: number) => {
    const cache = createRunCache({
      github,
      budget: createRequestBudget(lists, MINUTE_MS, clock),
      budgetById: createRequestBudget(BY_ID, MINUTE_MS, clock),
      perMinute,
      clock,
    })
    return createFindRuns({ store, cache, findOwners, clockOffset, startTimeout: policy.startTimeout })
  }
  return {
    apply,
    port,
    dispatchDeps: {
      ...{ store, github, pauses: gate, port, apply, publicUrl, onAttempt },
      findRuns: finder(LOST_RESPONSES, LOST_RESPONSES_PLANNED),
    },
    watch: createPoll({
      ...{ store, github, apply, port, policy, clockOffset },
      findRuns: finder(LISTS, PLANNED),
      details: createRequestBudget(DETAILS, MINUTE_MS, clock),
      approvals: createRequestBudget(APPROVALS, MINUTE_MS, clock),
    }),
  }
}

const DISPATCHES_AT_ONCE = 20
/** All deliveries of a few repositories, since those of one wait for the same answer of GitHub. */
const WATCHED_AT_ONCE = 100
/** A look at the list and at one run, at Port's run, and at jobs and their logs; each has its own time-out. */
const WATCH_LEASE_MS = 60_000
const OUTBOXES_AT_ONCE = 10
const MAINTENANCE_MS = 60_000
/** How soon a relay learns of a gate that another relay closed. */
const PAUSES_MS = 2_000
const ANNOUNCE_MS = 500

export interface WorkersDeps {
  config: Config
  store: Store
  github: Pick<GitHub, 'facts' | 'clockOffset'>
  engine: Engine
  pauses: RateLimitPauses
  log: Pick<Logger, 'info' | 'warn'>
  failure: ThrottledLog
}

/** Starts everything that advances deliveries: dispatch, watch, outbox, and periodic work. */
export function startWorkers({
  config,
  store,
  github,
  engine,
  pauses: gate,
  log,
  failure: trouble,
}: WorkersDeps): Worker[] {
  const { port } = engine
  const retention = Math.max(config.retention, config.runTimeout)
  const woken: Record<Work, Worker> = {
    dispatch: startWorker(
      {
        name: 'dispatch',
        async claim(limit) {
          const permits = await store.takePermits(store.clock(), limit)
          if (permits === 0) return []
          const claimed = await store.claimQueued(store.clock(), DISPATCH_LEASE_MS, permits, gate.shared)
          await store.returnPermits(permits - claimed.length)
          return claimed
        },
        key: delivery => delivery.id,
        step: (delivery, stopping) => dispatch(delivery, engine.dispatchDeps, stopping),
        concurrency: DISPATCHES_AT_ONCE,
      },
      trouble,
    ),
    watch: startWorker(
      {
        name: 'watch',
        claim: limit => store.claimPolls(store.clock(), WATCH_LEASE_MS, limit),
        key: delivery => delivery.id,
        step: engine.watch,
        concurrency: WATCHED_AT_ONCE,
      },
      trouble,
    ),
    outbox: startWorker(
      {
        name: 'outbox',
        claim: limit => store.claimOutboxes(store.clock(), OUTBOX_LEASE_MS, limit),
        key: page => page.delivery,
        step: (page, stopping) =>
          sendOutbox(page, { store, client: port.client, log, failure: trouble, retention }, stopping),
        concurrency: OUTBOXES_AT_ONCE,
      },
      trouble,
    ),
  }
  const forget = store.onWork(work => {
    for (const kind of work) woken[kind].wake()
  })
  const remind = createReminders(github, { clock: Date.now, log })
  const notifyWaiting = createNotifyWaiting({ store, pauses: gate, apply: engine.apply })
  const stop = () => {
    forget()
    return woken.dispatch.stop()
  }
  return [
    { ...woken.dispatch, stop },
    woken.watch,
    woken.outbox,
    // Not woken by new work: it runs at an interval, however many deliveries arrive.
    repeat('announce', ANNOUNCE_MS, trouble, notifyWaiting),
    repeat('gates', PAUSES_MS, trouble, async () => gate.add(await store.activePauses(store.clock()))),
    repeat('maintenance', MAINTENANCE_MS, trouble, async stopped => {
      remind()
      const now = store.clock()
      await store.repairDueTimes(now)
      await forgetSignatures(store, stopped)
      const { tolerance } = config.webhook
      const removed = await purge(store, { now, retention: config.retention, tolerance }, stopped)
      if (removed > 0) log.info({ removed }, 'deliveries past RELAY_RETENTION were removed')
    }),
  ]
}
