import { duration } from '../../port/text.ts'
import type { Delivery, HistoryEntry, Transition } from './delivery.ts'
import { type Context, type Event, timeoutEnd } from './events.ts'
import { attempted, howToName } from './outcome.ts'
import { fail, giveUpAt, graceEnd, nextPoll } from './retry-policy.ts'
import { showWait, UNRECORDED } from './shown-wait.ts'

const LOOK_MS = 10_000

export function loseResponse(
  delivery: Delivery,
  event: Event<'responseLost'>,
  { now, policy }: Context,
): Transition | null {
  const { reason } = event
  const { change, messages } = showWait(delivery, { cause: 'error', reason, until: null }, now)
  return {
    change: { dueAt: nextPoll(now, now, policy), reason, awaitingResponseSince: now, ...change },
    messages,
    history: { type: 'responseLost', details: { ...attempted(delivery, event, now), reason } },
  }
}

/**
 * Decides what to do after a lost response. The relay dispatches again if a list of workflow runs that it read after
 * the grace period contains no candidate. If the list is inconclusive, the relay waits until a report, Port, or a title
 * identifies the run. If nothing identifies the run before the start timeout, the delivery fails, because a second
 * dispatch could do the work twice.
 */
export function pollAgainOrRetry(
  delivery: Delivery,
  { list, readAt, reason }: Event<'runNotFound'>,
  { now, policy }: Context,
): Transition {
  const since = delivery.awaitingResponseSince
  if (since === null) return { change: { dueAt: now }, messages: [], history: null }
  const decidedFrom = graceEnd(since, policy)
  const wait = (dueAt: number, reason = delivery.reason ?? UNRECORDED): Transition => {
    const { change, messages } = showWait(delivery, { cause: 'error', reason, until: null }, now)
    return { change: { dueAt, ...change }, messages, history: null }
  }
  if (now < decidedFrom) return wait(nextPoll(since, now, policy))
  const isLate = now >= giveUpAt(delivery, now, policy)
  const history: HistoryEntry = { type: 'runNotFound', details: { list, reason } }
  const giveUp = () => {
    const sentence = `The outcome of the dispatch stayed unknown for ${duration(now - (delivery.firstAttemptAt ?? since))}, and no workflow run was found in ${delivery.repository}.`
    return fail(delivery, history, sentence, policy, ['unknown', 'Unknown'])
  }
  // If the read started before the end of the grace period, a workflow run could have appeared since then.
  const isOld = list !== 'forbidden' && readAt < decidedFrom
  switch (isOld ? 'unavailable' : list) {
    case 'empty':
      // A single attempt is repeated even if `isLate` is true, because the relay may have been stopped in the meantime.
      if (isLate && delivery.attempts > 1) return giveUp()
      return {
        change: { awaitingResponseSince: null, dueAt: now },
        messages: [],
        history: { type: 'runNotFound', details: { reason: 'no workflow run appeared' } },
      }
    case 'unavailable':
      return isLate ? giveUp() : wait(now + LOOK_MS)
    case 'ambiguous':
    case 'forbidden': {
      if (isLate) return giveUp()
      const failAt = timeoutEnd(since, policy.startTimeout, policy)
      if (now < failAt) return wait(Math.min(now + LOOK_MS, failAt), reason)
      const [label, cure] =
        list === 'ambiguous'
          ? [
              'Not identified',
              `Redeliver the delivery if none of these runs belongs to it. ${howToName(delivery)}.`,
            ]
          : ['Unknown', 'Redeliver the delivery if no workflow run started.']
      const sentence = `The outcome of the dispatch is unknown, because ${reason}. ${cure}`
      return fail(delivery, history, sentence, policy, ['unknown', label])
    }
  }
}
