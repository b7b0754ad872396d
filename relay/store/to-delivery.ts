import type { Row } from './database.ts'
import type { Delivery, Sent, State } from './delivery.ts'

/** A row of the table `deliveries`, with the names and types that the relay uses. */
export function toDelivery(row: Row): Delivery {
  return {
    seq: Number(row.seq),
    id: String(row.id),
    identity: String(row.identity),
    runId: row.run_id as string | null,
    kind: row.kind as Delivery['kind'],
    action: row.action as string | null,
    repository: String(row.repository),
    eventType: String(row.event_type),
    invocation: String(row.invocation),
    state: row.state as State,
    reason: row.reason as string | null,
    attempts: JSON.parse(String(row.attempts)),
    receivedAt: Number(row.received_at),
    queuedAt: Number(row.queued_at),
    updatedAt: Number(row.updated_at),
    dueAt: number(row.due_at),
    lease: Number(row.lease),
    sentAt: number(row.sent_at),
    dispatchedAt: number(row.dispatched_at),
    githubRunId: number(row.github_run_id),
    githubRunAttempt: number(row.github_run_attempt),
    pastRuns: JSON.parse(String(row.past_runs)),
  }
}

export function toSent(row: Row): Sent {
  const pastRuns = JSON.parse(String(row.past_runs))
  return {
    id: String(row.id),
    seq: Number(row.seq),
    eventType: String(row.event_type),
    over: row.state === 'failed' || (row.state === 'finished' && pastRuns.length > 0),
    sentAt: Number(row.sent_at),
    githubRunId: number(row.github_run_id),
    pastRuns,
  }
}

const number = (value: unknown) => (value === null ? null : Number(value))
