import type { PortClient } from '../../port/client/port-client.ts'
import type { GitHub } from '../github/client.ts'
import type { RateLimitGate } from '../github/rate-limit-gate.ts'
import { createRequestBudget } from '../github/request-budget.ts'
import { createRunCache } from '../github/run-cache.ts'
import type { Delivery } from '../store/delivery.ts'
import type { Store } from '../store/store.ts'
import { type ApplyDeps, type ApplyEvent, createApplyEvent } from './apply-event.ts'
import type { FindOwners } from './binding/find-owners.ts'
import { createFindRuns } from './binding/find-runs.ts'
import type { DispatchDeps } from './dispatch/dispatch.ts'
import { createPortAccess, type PortAccess } from './port-access.ts'
import type { Policy } from './transition/events.ts'
import { createWatch } from './watch/watch.ts'

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
const LOST_ANSWERS = 120
const LOST_ANSWERS_PLANNED = 110

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
  gate: RateLimitGate
  /** By organisation, those with credentials. */
  clients: ReadonlyMap<string, PortClient>
  findOwners: FindOwners
  policy: Policy
  publicUrl: string | null
  log: ApplyDeps['log']
  onTransition?: ApplyDeps['onTransition']
  onAttempt?: DispatchDeps['onAttempt']
}): Engine {
  const { store, github, gate, clients, findOwners, policy, publicUrl, log, onTransition, onAttempt } = deps
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
      ...{ store, github, gate, port, apply, publicUrl, onAttempt },
      findRuns: finder(LOST_ANSWERS, LOST_ANSWERS_PLANNED),
    },
    watch: createWatch({
      ...{ store, github, apply, port, policy, clockOffset },
      findRuns: finder(LISTS, PLANNED),
      details: createRequestBudget(DETAILS, MINUTE_MS, clock),
      approvals: createRequestBudget(APPROVALS, MINUTE_MS, clock),
    }),
  }
}
