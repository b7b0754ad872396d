import type { Delivery, DeliveryRun } from '../../delivery/delivery.ts'
import type { Dialect, Row } from '../database.ts'

/** The column of a field: `dueAt` is `due_at`, in every table. */
export const columnOf = (field: string) => field.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)

/** Columns under the names of their fields. */
export const named = (...fields: string[]) =>
  fields.map(field => `${columnOf(field)} AS "${field}"`).join(', ')

const DELIVERY = named(
  ...['seq', 'id', 'dedupeKey', 'runId', 'kind', 'action', 'organization', 'repository', 'eventType'],
  ...[
    'workflow',
    'ref',
    'state',
    'outcome',
    'reason',
    'receivedAt',
    'queuedAt',
    'updatedAt',
    'dueAt',
    'version',
  ],
  ...['changeId', 'attempts', 'firstAttemptAt', 'attemptedAt', 'awaitingResponseSince', 'waitingNotified'],
  ...[
    'dispatchedAt',
    'cancelRequestedAt',
    'cancelSentAt',
    'cancelForced',
    'waitingFor',
    'decisions',
    'outputs',
  ],
)

const RUN = ['attempt', 'evidence', 'past', 'status', 'conclusion', 'url', 'reportsConclusion']

/** What a delivery is read from: its row without the invocation, which may be large, and its runs. */
export const columns = (sql: Dialect) => {
  const run = { id: 'github_run_id', ...Object.fromEntries(RUN.map(field => [field, columnOf(field)])) }
  return `${DELIVERY}, ${sql.jsonRows(run, 'runs WHERE runs.delivery = deliveries.id')} AS runs`
}

/** A row of {@link columns}; neither database has booleans here. */
export function toDelivery<T extends Delivery>({ changeId: _, ...row }: Row): T {
  const [waitingNotified, cancelForced] = [Boolean(row.waitingNotified), Boolean(row.cancelForced)]
  const runs = (JSON.parse(String(row.runs)) as Row[]).map(toRun)
  return { ...row, waitingNotified, cancelForced, runs } as unknown as T
}

export function toRun<T extends DeliveryRun>({ past, reportsConclusion, ...rest }: Row): T {
  return {
    ...rest,
    past: Boolean(past),
    ...(Boolean(reportsConclusion) && { reportsConclusion: true }),
  } as unknown as T
}
