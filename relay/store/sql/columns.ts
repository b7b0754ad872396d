import type { Dialect } from './dialect.ts'

const COLUMNS = [
  ...['seq', 'id', 'dedupe_key', 'run_id', 'kind', 'action', 'organisation'],
  ...['repository', 'event_type', 'workflow', 'ref', 'state', 'reason'],
  ...['received_at', 'queued_at', 'updated_at', 'due_at', 'version', 'change_id'],
  ...[
    'attempts',
    'first_attempt_at',
    'attempted_at',
    'unanswered_since',
    'waiting_announced',
    'dispatched_at',
  ],
  ...['cancel_requested_at', 'cancel_sent_at', 'cancel_forced', 'waiting_for', 'decisions'],
].join(', ')

const RUN = {
  id: 'github_run_id',
  attempt: 'attempt',
  evidence: 'evidence',
  past: 'past',
  status: 'status',
  conclusion: 'conclusion',
  url: 'url',
  reports_end: 'reports_end',
}

/** What a delivery is read from: its row without the invocation, which may be large, and its runs. */
export const columns = (sql: Dialect) =>
  `${COLUMNS}, ${sql.jsonRows(RUN, 'runs WHERE runs.delivery = deliveries.id')} AS runs`
