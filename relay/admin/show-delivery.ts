import { boundRun } from '../deliveries/transition/runs.ts'
import type { Delivery, HistoryEntry } from '../store/delivery.ts'
import type { Refusal } from './refusals.ts'

/** A delivery as the API shows it: no inputs, no people. */
export function showDelivery(d: Delivery) {
  const run = boundRun(d)
  return {
    delivery: d.id,
    seq: d.seq,
    state: d.state,
    reason: d.reason,
    run_id: d.runId,
    action: d.action,
    repository: d.repository,
    event_type: d.eventType,
    workflow: d.workflow,
    ref: d.ref,
    github_run_id: run?.id ?? null,
    evidence: run?.evidence ?? null,
    attempts: d.attempts,
    waiting_for: d.waitingFor,
    cancel_requested_at: isoOrNull(d.cancelRequestedAt),
    received_at: iso(d.receivedAt),
    updated_at: iso(d.updatedAt),
    due_at: isoOrNull(d.dueAt),
  }
}

/** The history, which begins with the acceptance. */
export function showEvents(delivery: Delivery, events: (HistoryEntry & { at: number })[]) {
  return [
    { time: iso(delivery.receivedAt), type: 'accepted', details: {} },
    ...events.map(({ at, type, details }) => ({ time: iso(at), type, details })),
  ]
}

/** A refused webhook as the API shows it. */
export const showRefusal = ({ firstAt, lastAt, ...rest }: Refusal) => ({
  first_at: iso(firstAt),
  last_at: iso(lastAt),
  ...rest,
})

export const iso = (ms: number) => new Date(ms).toISOString()
const isoOrNull = (ms: number | null) => (ms === null ? null : iso(ms))
