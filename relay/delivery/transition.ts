import * as cancelling from './cancellation.ts'
import { type Delivery, OPEN_STATES, type State, type Transition } from './delivery.ts'
import * as dispatching from './dispatching.ts'
import type { Context, DeliveryEvent, Event, EventType, Policy } from './events.ts'
import * as following from './following.ts'
import * as lost from './lost-response.ts'
import { actionsPage } from './outcome.ts'
import { rejectEntity } from './rejected.ts'
import { rerun } from './rerun.ts'
import * as retrying from './retry-policy.ts'
import * as waiting from './shown-wait.ts'

type Handler<T extends EventType> = (delivery: Delivery, event: Event<T>, at: Context) => Transition | null

const inAll = <H>(states: readonly State[], handler: H): Partial<Record<State, H>> =>
  Object.fromEntries(states.map(state => [state, handler]))
const BOUND: readonly State[] = ['running', 'finished', 'failed', 'cancelled']

/** The handler of each event in each state. An event without a handler is ignored. */
const TABLE: { [T in EventType]: Partial<Record<State, Handler<T>>> } = {
  dispatchAccepted: {
    ...inAll(['dispatched', ...BOUND], dispatching.noteAccepted),
    queued: dispatching.accept,
  },
  dispatchRejected: { queued: retrying.reject, dispatched: cancelling.noteUnsent },
  dispatchDeferred: { queued: retrying.defer, dispatched: cancelling.noteUnsent },
  responseLost: { queued: lost.loseResponse },
  runNotFound: { queued: lost.pollAgainOrRetry },
  waitingNotified: { queued: waiting.notify },
  runsSeen: inAll(OPEN_STATES, following.see),
  runReported: inAll(OPEN_STATES, following.start),
  jobFinished: inAll(BOUND, following.noteJob),
  reportReceived: { ...inAll(BOUND, following.forward), running: following.report },
  entityRejected: { running: rejectEntity, finished: rejectEntity },
  rerunRequested: { running: rerun },
  runFinished: { running: following.end },
  finishedInPort: inAll(OPEN_STATES, following.finishInPort),
  listenerMissing: { dispatched: following.warn },
  startTimedOut: { dispatched: following.giveUp },
  runTimedOut: { dispatched: following.giveUp, running: following.giveUp },
  runUnidentified: { dispatched: following.giveUp },
  runDeleted: { running: following.giveUp },
  runHidden: { running: following.giveUp },
  frozen: { queued: dispatching.freeze },
  unfrozen: { queued: dispatching.unfreeze },
  redelivered: { failed: dispatching.redeliver, cancelled: dispatching.redeliver },
  cancelRequested: {
    queued: cancelling.requestWhileQueued,
    dispatched: cancelling.request,
    running: cancelling.request,
  },
  cancelSent: { running: cancelling.noteSent },
  cancelRejected: { running: cancelling.noteRejected },
  approvalSeen: { running: cancelling.seeApproval },
}

/**
 * Decides every change of a delivery. Pure.
 * @param now milliseconds since 1970, by the store's clock
 * @returns null if the event changes nothing in this state
 */
export function transition(
  delivery: Delivery,
  event: DeliveryEvent,
  now: number,
  policy: Policy,
): Transition | null {
  // Ignores an event about an earlier attempt, for example if a user has redelivered the delivery in the meantime.
  if ('attemptedAt' in event && event.attemptedAt !== delivery.attemptedAt) return null
  const handler = TABLE[event.type][delivery.state] as Handler<EventType> | undefined
  const next = handler?.(delivery, withOwnLinks(event, delivery, policy), { now, policy }) ?? null
  const isOpen = next === null || OPEN_STATES.includes(next.change.state ?? delivery.state)
  return isOpen || !delivery.reported ? next : { ...next, change: { ...next.change, reported: null } }
}

/** Replaces the link of a workflow run if the link leads to a server other than GitHub's. */
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
