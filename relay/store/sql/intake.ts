import type { NewDelivery } from '../../delivery/delivery.ts'
import { columnOf, named, type Statement } from '../database.ts'
import type { Cancellation } from '../store.ts'

/*
 * The files in this folder contain the store's statements, one function each. Parameters are `?1`, `?2`, and so on.
 * Times are milliseconds since 1970. Every statement uses an index instead of scanning a table. The schemas list the
 * statements that use each index, and tests check all query plans.
 */

/** Columns that intake writes, in the order of the parameters. The last two are numbers, the others are texts. */
const FIELDS = [
  ...(['id', 'dedupeKey', 'sentAs', 'signature', 'runId', 'kind', 'action', 'repository'] as const),
  ...(['eventType', 'workflow', 'ref', 'invocation', 'reportWorkflowStatus', 'receivedAt'] as const),
] satisfies readonly (keyof NewDelivery)[]
const NAMES = FIELDS.map(columnOf).join(', ')
const INTO = `INSERT INTO deliveries (${NAMES}, queued_at, updated_at, due_at, state)`
const RECEIVED = `?${FIELDS.length}`
const isUncanceled = (digest: string) =>
  `NOT EXISTS (SELECT 1 FROM cancellations WHERE cancellations.digest = ${digest})`

/** Inserts one delivery unless its dedupe key or signature exists, or a cancellation has its signature. */
export const INSERT = `
  ${INTO} SELECT ${FIELDS.map((_, i) => `?${i + 1}`).join(', ')}, ${RECEIVED}, ${RECEIVED}, ${RECEIVED}, 'queued'
  WHERE ${isUncanceled(`?${FIELDS.length + 1}`)}
  ON CONFLICT DO NOTHING`

/** The parameters of {@link INSERT}. */
export const toRow = (d: NewDelivery): Statement['params'] => [
  ...FIELDS.map(field => (field === 'reportWorkflowStatus' ? Number(d[field] ?? true) : d[field])),
  digestOf(d.sentAs),
]

/** Used on PostgreSQL to insert many deliveries with one list per column. */
const LISTS = [...FIELDS.map((_, i) => (i < FIELDS.length - 2 ? 'text' : 'bigint')), 'text']
const INSERT_MANY = `
  ${INTO} SELECT ${NAMES}, received_at, received_at, received_at, 'queued'
  FROM unnest(${LISTS.map((type, i) => `CAST(?${i + 1} AS ${type}[])`).join(', ')})
    WITH ORDINALITY AS given (${NAMES}, digest, place)
  WHERE ${isUncanceled('given.digest')}
  ORDER BY place
  ON CONFLICT DO NOTHING RETURNING id`

/** @returns a statement that returns the written rows */
export function insertMany(deliveries: readonly NewDelivery[]): {
  sql: string
  params: (string | number | null)[][]
} {
  const rows = deliveries.map(toRow)
  return { sql: INSERT_MANY, params: LISTS.map((_, i) => rows.map(row => row[i] ?? null)) }
}

/** Returns the digest of the signature. */
export const digestOf = (sentAs: string) => sentAs.slice(0, sentAs.indexOf(' '))

const SAME = named('id', 'state', 'runId', 'repository', 'eventType', 'workflow', 'ref', 'sentAs')

/** Finds deliveries by dedupe key and by signature. */
export function findSame(dedupeKey: string, digest: string): Statement {
  return {
    sql: `SELECT ${SAME} FROM deliveries WHERE dedupe_key = ?1
          UNION ALL SELECT ${SAME} FROM deliveries WHERE signature = ?2`,
    params: [dedupeKey, digest],
  }
}

export function findCancellation(digest: string): Statement {
  return { sql: 'SELECT status, body FROM cancellations WHERE digest = ?1', params: [digest] }
}

export function saveCancellation(
  { digest, expiresAt }: { digest: string; expiresAt: number },
  { status, body }: Cancellation,
): Statement {
  return {
    sql: `INSERT INTO cancellations (digest, expires_at, status, body) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING`,
    params: [digest, expiresAt, status, body],
  }
}

/** Returns the dedupe key of a delivery with a Port run. */
export const runKey = (runId: string) => `run:${runId}`
