import type { Change, Delivery, DeliveryRun, Listed } from './delivery.ts'

/**
 * `read` converts the stored value: both databases store booleans as numbers, and objects as JSON text. `reset`: the
 * value after a redelivery. Without `reset`, the redelivery keeps or computes the value.
 */
type Column<T> = { reset?: T } & ([T] extends [string | number | null]
  ? { read?: never }
  : { read: (stored: unknown) => T })
type AnyColumn = { reset?: unknown; read?: (stored: unknown) => unknown }
export type Columns<T> = { [F in keyof T]-?: Column<T[F]> }

const kept = <F extends string>(...fields: F[]) =>
  Object.fromEntries(fields.map(field => [field, {}])) as Record<F, object>
const reset = <T extends object>(values: T) =>
  Object.fromEntries(Object.entries(values).map(([field, value]) => [field, { reset: value }])) as {
    [F in keyof T]: { reset: T[F] }
  }

/** Returns a function that converts a row with these columns. */
export function reading<T>(columns: Columns<T>): (row: Record<string, unknown>) => T {
  const converted = Object.entries<AnyColumn>(columns).filter(([, { read }]) => read)
  return row => {
    const values = converted.map(([field, { read }]) => [field, read?.(row[field])])
    return { ...row, ...Object.fromEntries(values) } as T
  }
}

export const RUN: Columns<DeliveryRun> = {
  ...kept('id', 'attempt', 'evidence', 'status', 'conclusion', 'url'),
  past: { read: Boolean },
  reportsConclusion: { read: stored => Boolean(stored) || undefined },
}
const readRun = reading(RUN)

const json = (stored: unknown) => (stored === null ? null : JSON.parse(String(stored)))

/** The columns of a delivery. If a field lacks a column, or a column lacks its conversion, the object doesn't compile. */
export const DELIVERY: Columns<Delivery> = {
  ...kept('seq', 'id', 'dedupeKey', 'runId', 'kind', 'action', 'repository', 'eventType', 'workflow', 'ref'),
  ...kept('state', 'receivedAt', 'queuedAt', 'updatedAt', 'dueAt', 'version'),
  ...kept('shownReason', 'shownAt', 'rerunAt'),
  ...reset({ outcome: '', reason: null, attempts: 0, firstAttemptAt: null, attemptedAt: null }),
  ...reset({ awaitingResponseSince: null, shownCause: '', shownUntil: 0, frozenBy: 0, unfrozenAt: null }),
  ...reset({ dispatchedAt: null, cancelRequestedAt: null, cancelSentAt: null, finishingAt: null }),
  ...reset({ waitingFor: null, decisions: '', outputs: '' }),
  cancelForced: { read: Boolean, reset: false },
  runWebhook: { read: Boolean, reset: false },
  reportWorkflowStatus: { read: Boolean },
  reported: { read: json, reset: null },
  rejected: { read: json, reset: null },
  runs: { read: stored => json(stored).map(readRun) },
}

const { reported: _, ...listed } = DELIVERY
export const LISTED: Columns<Listed> = listed

const resets = Object.entries<AnyColumn>(DELIVERY).filter(([, column]) => 'reset' in column)
export const RESET: Change = Object.fromEntries(resets.map(([field, column]) => [field, column.reset]))
