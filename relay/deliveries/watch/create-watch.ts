import type { PortClient } from '../../port/client/port-client.ts'
import { createBudget } from '../github/budget.ts'
import type { GitHub } from '../github/client.ts'
import { createRunLister, type RunLister } from '../github/run-lister.ts'
import type { Delivery } from '../store/delivery.ts'
import { createWatch, type WatchParts } from './watch.ts'

/**
 * What the watch may ask of GitHub in a minute, all deliveries together: 60 requests. Lists come first, so that
 * an ended run is known within a minute in up to twenty repositories; beyond, all take longer alike.
 */
const LISTS = 36
const BY_ID = 10
const DETAILS = 14
const MINUTE_MS = 60_000
/** What lists are planned for: a little is left for those that come at the wrong moment. */
const PLANNED = 34

/** The post step has ended before its run has: what it said is with Port already, or will never be. */
const GRACE_MS = 1_000

export interface Watching {
  /** One step of one delivery. */
  watch: (delivery: Delivery) => Promise<void>
  /** Takes what webhooks bring. */
  lister: RunLister
}

/** The watch of one relay with its budget. Another relay on the same database has its own. */
export function createWatching(parts: {
  store: WatchParts['store']
  github: GitHub
  port: Pick<PortClient, 'run'> | null
  startTimeout: number
  runTimeout: number
  clock: () => number
  grace?: number
}): Watching {
  const { store, github, port, startTimeout, runTimeout, clock, grace = GRACE_MS } = parts
  const lister = createRunLister({
    github,
    budget: createBudget(LISTS, MINUTE_MS, clock),
    budgetById: createBudget(BY_ID, MINUTE_MS, clock),
    perMinute: PLANNED,
    clock,
  })
  const watch = createWatch({
    store,
    github,
    lister,
    details: createBudget(DETAILS, MINUTE_MS, clock),
    readPort: port && (runId => port.run(runId).read()),
    startTimeout,
    runTimeout,
    grace,
    clock,
  })
  return { watch, lister }
}
