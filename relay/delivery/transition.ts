import * as cancelling from './cancellation.ts'
import { type Delivery, OPEN_STATES, type State, type Transition } from './delivery.ts'
import * as dispatching from './dispatching.ts'
import type { DeliveryEvent, Event, EventType, Policy } from './events.ts'
import * as following from './following.ts'
import { actionsPage } from './outcome.ts'
import * as retrying from './retry-policy.ts'
import * as waiting from './waiting.ts'

type Handler<T extends EventType> = (
  delivery: Delivery,
  event: Event<T>,
  now: number,
  policy: Policy,
) => Transition | null

type Row<T extends EventType> = Record<State, Handler<T> | null>

const only = <T extends EventType>(states: NoInfer<Partial<Row<T>>>): Row<T> => ({
  queued: null,
  dispatched: null,
  running: null,
  finished: null,
  failed: null,
  cancelled: null,
  ...states,
})

/** The handler of each event in each state; null if the event is ignored. */
const TABLE: { [T in EventType]: Row<T> } = {
  attemptStarted: only({ queued: dispatching.start }),
  dispatchAccepted: {
    queued: dispatching.accept,
    dispatched: dispatching.noteAccepted,
    running: dispatching.noteAccepted,
    finished: dispatching.noteAccepted,
    failed: dispatching.noteAccepted,
    cancelled: dispatching.noteAccepted,
  },
  dispatchRejected: only({ queued: retrying.reject, dispatched: cancelling.noteUnsent }),
  dispatchDeferred: only({ queued: retrying.defer, dispatched: cancelling.noteUnsent }),
  responseLost: only({ queued: retrying.loseResponse }),
  runNotFound: only({ queued: retrying.pollAgainOrRetry }),
  waitingNotified: only({ queued: waiting.notify }),
  runsSeen: only({ queued: following.see, dispatched: following.see, running: following.see }),
  runReported: only({ queued: following.start, dispatched: following.start, running: following.start }),
  jobFinished: only({
    running: following.noteJob,
    finished: following.noteJob,
    failed: following.noteJob,
    cancelled: following.noteJob,
  }),
  reportReceived: only({
    running: following.report,
    finished: following.forward,
    failed: following.forward,
    cancelled: following.forward,
  }),
  runFinished: only({ running: following.end }),
  finishedInPort: only({
    queued: following.finishInPort,
    dispatched: following.finishInPort,
    running: following.finishInPort,
  }),
  listenerMissing: only({ dispatched: following.warn }),
  startTimedOut: only({ dispatched: following.giveUp }),
  runTimedOut: only({ dispatched: following.giveUp, running: following.giveUp }),
  runUnidentified: only({ dispatched: following.giveUp }),
  runDeleted: only({ running: following.giveUp }),
  runHidden: only({ running: following.giveUp }),
  redelivered: only({ failed: dispatching.redeliver, cancelled: dispatching.redeliver }),
  cancelRequested: only({
    queued: cancelling.requestWhileQueued,
    dispatched: cancelling.request,
    running: cancelling.request,
  }),
  cancelSent: only({ running: cancelling.noteSent }),
  cancelRejected: only({ running: cancelling.noteRejected }),
  approvalSeen: only({ running: cancelling.seeApproval }),
}

/**
 * Decides every change of a delivery's state, using only typed values. Pure.
 *
 * @param now milliseconds since 1970, by the store's clock
 * @returns null if the event changes nothing in this state
 */
export function transition(
  delivery: Delivery,
  event: DeliveryEvent,
  now: number,
  policy: Policy,
): Transition | null {
  // Another attempt was sent in the meantime, for example because a user redelivered the delivery.
  if ('attemptedAt' in event && event.attemptedAt !== delivery.attemptedAt) return null
  const handler = TABLE[event.type][delivery.state] as Handler<EventType> | null
  const next = handler?.(delivery, withOwnLinks(event, delivery, policy), now, policy) ?? null
  const isOpen = next === null || OPEN_STATES.includes(next.change.state ?? delivery.state)
  // The final update contains the texts.
  return isOpen || !delivery.reported ? next : { ...next, change: { ...next.change, reported: null } }
}

/** Replaces links of runs that don't lead to the GitHub server. GitHub's responses contain them. */
function withOwnLinks(event: DeliveryEvent, { repository }: Delivery, { serverUrl }: Policy): DeliveryEvent {
  const own = <T extends { id: number; url: string }>(run: T): T =>
    URL.parse(run.url)?.origin === new URL(serverUrl).origin
      ? run
      : { ...run, url: `${actionsPage(serverUrl, repository)}/runs/${run.id}` }
  return {
    ...event,
    ...('run' in event && { run: event.run && own(event.run) }),
    ...('runs' in event && { runs: event.runs.map(own) }),
  } as DeliveryEvent
}
