import type { Statement } from '../database.ts'
import type { NewDelivery } from '../delivery.ts'
import { columnOf, named } from './columns.ts'

/*
 * The statements of the store, one function each, in the files of this folder. Parameters are `?1`, `?2`, …;
 * times milliseconds since 1970. No statement scans a table: each reads through an index of the schemas, which
 * name the statement, and the suite looks at the plans of all of them.
 */

/** What intake writes, in the order of the parameters: a time, and texts. */
const FIELDS = [
  ...(['id', 'dedupeKey', 'replayKey', 'runId', 'kind', 'action', 'organisation', 'repository'] as const),
  ...(['eventType', 'workflow', 'ref', 'invocation', 'receivedAt'] as const),
] satisfies readonly (keyof NewDelivery)[]
const NAMES = FIELDS.map(columnOf).join(', ')
const INTO = `INSERT INTO deliveries (${NAMES}, queued_at, updated_at, due_at, state)`
const RECEIVED = `?${FIELDS.length}`

/** Writes one delivery, or nothing where one with its dedupe key or replay key exists. */
export const INSERT = `
  ${INTO} VALUES (${FIELDS.map((_, i) => `?${i + 1}`).join(', ')}, ${RECEIVED}, ${RECEIVED}, ${RECEIVED}, 'queued')
  ON CONFLICT DO NOTHING`

/** @returns a row where it was written */
export function insert(d: NewDelivery): Statement {
  return { sql: `${INSERT} RETURNING id`, params: toRow(d) }
}

/** The parameters of {@link INSERT}. */
export function toRow(d: NewDelivery): Statement['params'] {
  return FIELDS.map(field => d[field])
}

/** PostgreSQL only: many deliveries at once, a list for each column. */
const INSERT_MANY = `
  ${INTO} SELECT ${NAMES}, received_at, received_at, received_at, 'queued'
  FROM unnest(${FIELDS.map((field, i) => `CAST(?${i + 1} AS ${field === 'receivedAt' ? 'bigint' : 'text'}[])`).join(', ')})
    WITH ORDINALITY AS given (${NAMES}, place)
  ORDER BY place
  ON CONFLICT DO NOTHING RETURNING id`

export function insertMany(deliveries: readonly NewDelivery[]): {
  sql: string
  params: (string | number | null)[][]
} {
  return { sql: INSERT_MANY, params: FIELDS.map(field => deliveries.map(d => d[field])) }
}

const SAME = named('id', 'state', 'runId', 'repository', 'eventType', 'workflow', 'ref')

export function findSame(d: Pick<NewDelivery, 'dedupeKey' | 'replayKey'>): Statement {
  return {
    sql: `SELECT ${SAME} FROM deliveries WHERE dedupe_key = ?1
          UNION ALL
          SELECT ${SAME} FROM deliveries WHERE replay_key = ?2`,
    params: [d.dedupeKey, d.replayKey],
  }
}
