import type { Delivery, Transition } from '../../store/delivery.ts'
import type { DeliveryEvent } from './events.ts'

/**
 * Queues the delivery again, due now, behind all others of its repository. Its workflow runs become past ones, and
 * messages that wait are dropped, since they could end the run in Port that the new workflow run belongs to.
 */
export function redeliver(
  delivery: Delivery,
  _event: Extract<DeliveryEvent, { type: 'redelivered' }>,
  now: number,
): Transition {
  return {
    change: {
      state: 'queued',
      reason: null,
      queuedAt: now,
      dueAt: now,
      attempts: 0,
      firstAttemptAt: null,
      attemptedAt: null,
      unansweredSince: null,
      waitingAnnounced: false,
      dispatchedAt: null,
      cancelRequestedAt: null,
      cancelSentAt: null,
      cancelForced: false,
      waitingFor: null,
      decisions: '',
      runs: delivery.runs.map(run => ({ ...run, past: true })),
    },
    messages: [],
    history: { type: 'redelivered', details: {} },
    requeue: true,
  }
}
