import { backOff } from '../../port/retry.ts'
import { duration } from '../../port/text.ts'
import type { Delivery, HistoryEntry, Outcome, Transition } from './delivery.ts'
import { type Context, type Event, type Policy, timeoutEnd } from './events.ts'
import { attempted, failed, finish } from './outcome.ts'
import { showWait } from './shown-wait.ts'

const LONGEST_WAIT_MS = 60_000
/**
 * How long the relay waits after a lost response before it dispatches again. During incidents in which GitHub loses
 * responses, its lists of runs are late, too. A shorter RELAY_START_TIMEOUT shortens this period.
 */
export const LOST_RESPONSE_GRACE_MS = 120_000
/** The relay searches for the workflow run at these times after a lost response, and at the end of the grace period. */
const POLLS_MS = [2_000, 5_000, 10_000, 20_000, 40_000, 80_000]
const LATEST_POLL_MS = 40_000

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

/** Returns the time after which a failed attempt isn't retried. The first attempt can be retried even after a long wait in the queue. */
export function giveUpAt({ queuedAt, unfrozenAt, firstAttemptAt }: Delivery, now: number, policy: Policy) {
  const { runTimeout, startTimeout } = policy
  return Math.max(
    timeoutEnd(unfrozenAt ?? queuedAt, runTimeout, policy),
    timeoutEnd(firstAttemptAt ?? now, Math.min(startTimeout, runTimeout), policy),
  )
}

/** Returns the end of the grace period or of the start timeout, whichever is earlier. */
export const graceEnd = (since: number, policy: Policy) =>
  timeoutEnd(since, Math.min(LOST_RESPONSE_GRACE_MS, policy.startTimeout), policy)

/** Returns when the relay next searches for the workflow run after a lost response. */
export const nextPoll = (since: number, now: number, policy: Policy) =>
  Math.min(
    since + (POLLS_MS.find(poll => since + poll > now) ?? Infinity),
    now + LATEST_POLL_MS,
    graceEnd(since, policy),
  )
