import { setTimeout as sleep } from 'node:timers/promises'
import { backOff } from '../../port/retry.ts'
import type { Delivery, HistoryEntry, Transition } from '../delivery/delivery.ts'
import { OPEN_STATES } from '../delivery/delivery.ts'
import type { DeliveryEvent, Policy } from '../delivery/events.ts'
import { HISTORY } from '../delivery/history.ts'
import { joinLogs } from '../delivery/outbox-policy.ts'
import { transition } from '../delivery/transition.ts'
import type { ReportReceipt, Store } from '../store/store.ts'

export interface ApplyDeps {
  store: Pick<Store, 'apply' | 'get' | 'clock' | 'reportUsage'>
  /** Returns the current policy. */
  policy: () => Policy
  traced?: boolean
  canReport: (delivery: Delivery) => boolean
  log: Record<'info' | 'debug', (fields: object, message: string) => void>
  onTransition: (before: Delivery, applied: Transition, now: number) => void
}

export type ApplyEvent = ReturnType<typeof createApplyEvent>

type Options = { receipt?: ReportReceipt; lease?: number; patienceMs?: number; stopping?: AbortSignal }

/**
 * Creates the function that applies an event to a delivery and logs the change. If the delivery has changed in the
 * meantime, the function decides again for the new version. With `strict`, it returns `conflict` instead. It also
 * returns `conflict` if the run belongs to another delivery, and `gone` if the delivery was deleted. `patienceMs`: how
 * long to retry while the database is unavailable. `lease`: see `Decided`.
 */
export const createApplyEvent =
  (deps: ApplyDeps) =>
  async (
    delivery: Delivery,
    event: DeliveryEvent,
    options: Options & { strict?: boolean } = {},
  ): Promise<{ outcome: 'applied' | 'ignored' | 'conflict' | 'gone'; delivery: Delivery }> => {
    const { receipt, strict, patienceMs = 0, stopping } = options
    let current = delivery
    for (;;) {
      const { decided, changed } = await applyOnce([current], event, deps, options)
      if (decided === 0) return { outcome: 'ignored', delivery: current }
      if (changed[0]) return { outcome: 'applied', delivery: changed[0] }
      if (strict) return { outcome: 'conflict', delivery: current }
      const fresh = await keepTrying(() => deps.store.get(current.id), patienceMs, stopping)
      if (!fresh) return { outcome: 'gone', delivery: current }
      if (receipt && (await deps.store.reportUsage(fresh.id, receipt.sender)).lastNumber >= receipt.number)
        return { outcome: 'applied', delivery: fresh }
      if (fresh.version === current.version) return { outcome: 'conflict', delivery: fresh }
      current = fresh
    }
  }

/** Applies an event to deliveries in one transaction. `decided`: the number of deliveries on which the event has an effect. */
export async function applyOnce(
  deliveries: readonly Delivery[],
  event: DeliveryEvent,
  { store, policy, traced, canReport, log, onTransition }: ApplyDeps,
  { receipt, lease, patienceMs = 0, stopping }: Options = {},
): Promise<{ decided: number; changed: Delivery[] }> {
  const [now, current] = [store.clock(), policy()]
  const decided = deliveries.flatMap(delivery => {
    const next = transition(delivery, event, now, current)
    if (!next) return []
    const messages = canReport(delivery) ? joinLogs(next.messages) : []
    const isOpen = OPEN_STATES.includes(next.change.state ?? delivery.state)
    const traceAt = traced && next.history && !isOpen ? { traceAt: now + TRACE_DELAY_MS } : {}
    return { delivery, transition: { ...next, messages, ...traceAt }, receipt, lease }
  })
  const isApplied = await keepTrying(() => store.apply(decided, now), patienceMs, stopping)
  const changed = decided.flatMap(({ delivery, transition: next }, i) => {
    if (!isApplied[i]) return []
    onTransition(delivery, next, now)
    if (next.history) record(log, { ...delivery, ...next.change }, next.history)
    const version = delivery.version + (Object.keys(next.change).length > 0 ? 1 : 0)
    return { ...delivery, ...next.change, version }
  })
  return { decided: decided.length, changed }
}

/** How long the relay waits before it exports a trace, because GitHub's webhook about a job can arrive after the report that finishes the delivery. */
const TRACE_DELAY_MS = 5_000

function record(log: ApplyDeps['log'], delivery: Delivery, { type, details }: HistoryEntry): void {
  const { id, runId, repository, eventType, workflow } = delivery
  const target = workflow === null ? { event_type: eventType } : { workflow }
  const { reason, jobs: _, ...others } = details
  const fields = {
    ...{ delivery: id, run: runId, repository, ...target, ...others },
    // The reason can contain the names of jobs and steps, which can contain inputs.
    ...(reason !== undefined && type !== 'runFinished' && { reason }),
  }
  // During an outage, every delivery waits, so waits are logged at level debug.
  log[type === 'waitingNotified' ? 'debug' : 'info'](fields, HISTORY[type][0])
}

/** How long a stopping relay retries while the database is unavailable. */
const STOPPING_MS = 15_000

/** Repeats work for up to `patienceMs` while the database is unavailable. @throws the last error */
export async function keepTrying<T>(
  work: () => Promise<T>,
  patienceMs: number,
  stopping?: AbortSignal,
): Promise<T> {
  const until = performance.now() + patienceMs
  let stopBy = Number.POSITIVE_INFINITY
  for (let failures = 0; ; failures++) {
    try {
      return await work()
    } catch (error) {
      const wait = backOff(failures, 100, 1_000)
      if (stopping?.aborted) stopBy = Math.min(stopBy, performance.now() + STOPPING_MS)
      if (performance.now() + wait > Math.min(until, stopBy)) throw error
      await sleep(wait)
    }
  }
}
