import type { Delivery, Transition } from '../../store/delivery.ts'
import type { Event, Policy } from './events.ts'
import { endCancelled } from './finish.ts'

/** A queued delivery is not dispatched. The outcome of a dispatch that is under way, or whose answer was lost, is awaited. */
export function requestWhileQueued(
  delivery: Delivery,
  event: Event<'cancelRequested'>,
  now: number,
  policy: Policy,
): Transition | null {
  if (delivery.unansweredSince === null) return endCancelled(delivery, policy, event.by)
  if (delivery.cancelRequestedAt !== null) return null
  return {
    change: { cancelRequestedAt: now },
    messages: [],
    history: { type: 'cancelRequested', details: { by: event.by } },
    // The dispatch that is under way continues.
    keepLease: true,
  }
}

/** The watch cancels the workflow runs on GitHub, at once or when they are known. */
export function request(
  delivery: Delivery,
  { by }: Event<'cancelRequested'>,
  now: number,
): Transition | null {
  if (delivery.cancelRequestedAt !== null) return null
  return {
    change: { cancelRequestedAt: now, cancelSentAt: null, cancelForced: false, dueAt: now },
    messages: [],
    history: { type: 'cancelRequested', details: { by } },
  }
}

export function noteSent(
  _delivery: Delivery,
  { forced, lookAt }: Event<'cancelSent'>,
  now: number,
): Transition {
  const sentence = forced
    ? 'The workflow run did not end within two minutes; GitHub was asked to cancel it at once.'
    : 'GitHub was asked to cancel the workflow run.'
  return {
    change: { cancelSentAt: now, cancelForced: forced, dueAt: lookAt },
    messages: [{ log: [{ level: 'INFO', message: sentence }] }],
    history: { type: 'cancelSent', details: { forced } },
  }
}

/** It is followed to its end as before. A person may cancel it again; the watch, which sees the same end in Port, does not. */
export function noteRejected(
  _delivery: Delivery,
  { reason, lookAt }: Event<'cancelRejected'>,
  now: number,
): Transition {
  const sentence = `The workflow run cannot be cancelled: ${reason}.`
  return {
    change: { cancelRequestedAt: null, cancelSentAt: now, dueAt: lookAt },
    messages: [{ log: [{ level: 'WARN', message: sentence }] }],
    history: { type: 'cancelRejected', details: { reason } },
  }
}
