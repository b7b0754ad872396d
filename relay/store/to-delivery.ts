import type { Row } from './database.ts'
import type { Delivery, DeliveryRun } from './delivery.ts'

/** A row of the table `deliveries`, see `sql/columns.ts`. */
export function toDelivery(row: Row): Delivery {
  return {
    seq: Number(row.seq),
    id: String(row.id),
    dedupeKey: String(row.dedupe_key),
    runId: text(row.run_id),
    kind: row.kind as Delivery['kind'],
    action: text(row.action),
    organisation: String(row.organisation),
    repository: String(row.repository),
    eventType: text(row.event_type),
    workflow: text(row.workflow),
    ref: text(row.ref),
    state: row.state as Delivery['state'],
    reason: text(row.reason),
    receivedAt: Number(row.received_at),
    queuedAt: Number(row.queued_at),
    updatedAt: Number(row.updated_at),
    dueAt: number(row.due_at),
    version: Number(row.version),
    attempts: Number(row.attempts),
    firstAttemptAt: number(row.first_attempt_at),
    attemptedAt: number(row.attempted_at),
    unansweredSince: number(row.unanswered_since),
    waitingAnnounced: Boolean(row.waiting_announced),
    dispatchedAt: number(row.dispatched_at),
    cancelRequestedAt: number(row.cancel_requested_at),
    cancelSentAt: number(row.cancel_sent_at),
    cancelForced: Boolean(row.cancel_forced),
    waitingFor: text(row.waiting_for),
    decisions: String(row.decisions),
    runs: (JSON.parse(String(row.runs)) as Row[]).map(toRun),
  }
}

/** A row of the table `runs`. */
export function toRun(row: Row): DeliveryRun {
  return {
    id: Number(row.id),
    attempt: Number(row.attempt),
    evidence: row.evidence as DeliveryRun['evidence'],
    past: Boolean(row.past),
    status: String(row.status),
    conclusion: text(row.conclusion),
    url: String(row.url),
    ...(Boolean(row.reports_end) && { reportsEnd: true }),
  }
}

const text = (value: unknown) => (value === null ? null : String(value))
const number = (value: unknown) => (value === null ? null : Number(value))
