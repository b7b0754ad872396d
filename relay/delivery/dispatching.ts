import { RESET } from './columns.ts'
import type { Change, Delivery, DeliveryRun, Transition } from './delivery.ts'
import type { Context, Event } from './events.ts'
import { FIRST_POLL_MS } from './match.ts'
import { actionsPage, attempted, describeDispatch } from './outcome.ts'

export function accept(
  delivery: Delivery,
  event: Event<'dispatchAccepted'>,
  { now, policy: { serverUrl, startTimeout } }: Context,
): Transition {
  const { run } = event
  const link = run?.url || actionsPage(serverUrl, delivery.repository)
  const bound = run && runOfResponse(run)
  const message = `Dispatched ${describeDispatch(delivery)} (delivery ${delivery.id}); waiting for its workflow to start.`
  return {
    change: {
      state: bound ? 'running' : 'dispatched',
      ...(delivery.reason !== null && { reason: null }),
      dispatchedAt: now,
      awaitingResponseSince: null,
      dueAt: now + Math.min(FIRST_POLL_MS, startTimeout),
      ...(bound && { runs: [...delivery.runs, bound] }),
    },
    messages: [
      { update: { statusLabel: 'Waiting for GitHub', link: [link] }, unlessStarted: true },
      { log: [{ level: 'INFO', message }] },
    ],
    history: {
      type: 'dispatchAccepted',
      details: {
        ...attempted(delivery, event, now),
        ...(run && { github_run_id: run.id, evidence: 'response' }),
      },
    },
  }
}

/** Records a response that arrives after the workflow run has reported, or after the delivery has finished. */
export function noteAccepted(
  delivery: Delivery,
  event: Event<'dispatchAccepted'>,
  { now }: Context,
): Transition {
  const { run } = event
  const isNew = run !== null && !delivery.runs.some(each => each.id === run.id)
  return {
    change: {
      ...(isNew && delivery.state === 'dispatched' && { state: 'running' as const }),
      dispatchedAt: delivery.dispatchedAt ?? now,
      awaitingResponseSince: null,
      ...(isNew && { runs: [...delivery.runs, runOfResponse(run)] }),
    },
    messages: [],
    history: {
      type: 'dispatchAccepted',
      details: { ...attempted(delivery, event, now), ...(run && { github_run_id: run.id }) },
    },
  }
}

const runOfResponse = ({ id, url }: { id: number; url: string }): DeliveryRun => ({
  ...{ id, attempt: 1, evidence: 'response', past: false },
  ...{ status: 'queued', conclusion: null, url },
})

const held = (type: 'frozen' | 'unfrozen', reason: string, change: Change): Transition => ({
  change: { ...change, shownCause: '', shownUntil: 0 },
  ...{ messages: [], history: { type, details: { reason } } },
})

/** Holds a delivery back, unless a dispatch without a response may have started a workflow run. */
export function freeze(delivery: Delivery, { freeze: { id, reason } }: Event<'frozen'>): Transition | null {
  if (delivery.frozenBy > 0 || delivery.awaitingResponseSince !== null) return null
  return held('frozen', reason, { frozenBy: id, reason: `Frozen: ${reason}`, dueAt: null })
}

export function unfreeze(delivery: Delivery, { freeze }: Event<'unfrozen'>, { now }: Context) {
  if (delivery.frozenBy !== freeze.id) return null
  const times = { unfrozenAt: now, dueAt: now, firstAttemptAt: null }
  return held('unfrozen', freeze.reason, { frozenBy: 0, reason: null, ...times })
}

/** Moves the delivery to the end of its queue. Drops its waiting messages, because they could finish the Port run too early. */
export function redeliver(delivery: Delivery, _: Event<'redelivered'>, { now }: Context): Transition {
  return {
    change: {
      ...RESET,
      ...{ state: 'queued', queuedAt: now, dueAt: now },
      rerunAt: delivery.rerunAt && 0,
      runs: delivery.runs.map(run => ({ ...run, past: true })),
    },
    messages: [],
    history: { type: 'redelivered', details: {} },
    requeue: true,
  }
}
