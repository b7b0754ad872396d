import type { Delivery, DeliveryRun } from '../../delivery/delivery.ts'
import type { Dialect, Row } from '../database.ts'

/** Returns the column name of a field, for example `due_at` for `dueAt`. */
export const columnOf = (field: string) => field.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)

/** Selects columns with their field names as aliases. */
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

/** Columns of a delivery and its runs, without the invocation, which can be large. */
export const columns = (sql: Dialect) => {
  const run = { id: 'github_run_id', ...Object.fromEntries(RUN.map(field => [field, columnOf(field)])) }
  return `${DELIVERY}, ${sql.jsonRows(run, 'runs WHERE runs.delivery = deliveries.id')} AS runs`
}

/** Converts a row of {@link columns} to a delivery. Both databases store booleans as numbers. */
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
