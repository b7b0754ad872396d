import { backOff } from '../../port/retry.ts'
import { duration } from '../../port/text.ts'
import type { Delivery, HistoryEntry, Outcome, Transition } from './delivery.ts'
import { type Context, type Event, type Policy, timeoutEnd } from './events.ts'
import { attempted, failed, finish } from './outcome.ts'
import { showWait } from './waiting.ts'

const LONGEST_WAIT_MS = 60_000

export function reject(
  delivery: Delivery,
  event: Event<'dispatchRejected'>,
  { now, policy }: Context,
): Transition | null {
  const { reason } = event
  const details = { ...attempted(delivery, event, now), reason }
  return fail(delivery, { type: 'dispatchRejected', details }, reason, policy)
}

export function defer(
  delivery: Delivery,
  event: Event<'dispatchDeferred'>,
  { now, policy }: Context,
): Transition | null {
  const { cause, reason, until } = event
  if (cause === 'unsent') {
    const unsent = { attempts: delivery.attempts - 1, attemptedAt: null }
    return { change: { ...unsent, awaitingResponseSince: null, dueAt: until }, messages: [], history: null }
  }
  const details = { ...attempted(delivery, event, now), reason }
  const last = giveUpAt(delivery, now, policy)
  if (now >= last) {
    const sentence = `The delivery wasn't dispatched within ${duration(now - delivery.queuedAt)}: ${reason}.`
    return fail(delivery, { type: 'dispatchDeferred', details }, sentence, policy)
  }
  const dueAt = Math.min(until ?? now + backOff(delivery.attempts - 1, 1_000, LONGEST_WAIT_MS), last)
  const next = cause === 'error' || until ? dueAt : null
  const { change, messages } = showWait(delivery, { cause, reason, until: dueAt }, now)
  return {
    change: { dueAt, reason, awaitingResponseSince: null, ...change },
    messages,
    history: { type: 'dispatchDeferred', details: { ...details, until: next } },
  }
}

export function fail(
  delivery: Delivery,
  history: HistoryEntry,
  sentence: string,
  policy: Policy,
  [outcome, label]: [Outcome, label: string] = ['not_started', 'Not started'],
): Transition {
  const message = delivery.shownCause ? sentence : `${sentence} (Delivery ${delivery.id}.)`
  return finish(delivery, failed(outcome, label, sentence), history, policy, {
    lines: [{ level: 'ERROR', message }],
  })
}

/** Returns the time after which a failed attempt isn't retried. Even after a long wait in the queue, the first attempt can be retried. */
export function giveUpAt({ queuedAt, unfrozenAt, firstAttemptAt }: Delivery, now: number, policy: Policy) {
  const { runTimeout, startTimeout } = policy
  return Math.max(
    timeoutEnd(unfrozenAt ?? queuedAt, runTimeout, policy),
    timeoutEnd(firstAttemptAt ?? now, Math.min(startTimeout, runTimeout), policy),
  )
}
