import type { Statement } from '../database.ts'
import type { NewDelivery } from '../delivery.ts'

/*
 * The statements of the store, one function each, in the files of this folder. Parameters are `?1`, `?2`, …;
 * times milliseconds since 1970. No statement scans a table: each reads through an index of the schemas, which
 * name the statement, and the suite looks at the plans of all of them.
 */

/** What intake writes, in the order of the parameters. */
const FIELDS: readonly { column: string; type: 'text' | 'bigint'; of: keyof NewDelivery }[] = [
  { column: 'id', type: 'text', of: 'id' },
  { column: 'dedupe_key', type: 'text', of: 'dedupeKey' },
  { column: 'replay_key', type: 'text', of: 'replayKey' },
  { column: 'run_id', type: 'text', of: 'runId' },
  { column: 'kind', type: 'text', of: 'kind' },
  { column: 'action', type: 'text', of: 'action' },
  { column: 'organisation', type: 'text', of: 'organisation' },
  { column: 'repository', type: 'text', of: 'repository' },
  { column: 'event_type', type: 'text', of: 'eventType' },
  { column: 'workflow', type: 'text', of: 'workflow' },
  { column: 'ref', type: 'text', of: 'ref' },
  { column: 'invocation', type: 'text', of: 'invocation' },
  { column: 'received_at', type: 'bigint', of: 'receivedAt' },
]
const NAMES = FIELDS.map(({ column }) => column).join(', ')
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
  return FIELDS.map(({ of }) => d[of])
}

/** PostgreSQL only: many deliveries at once, a list for each column. */
const INSERT_MANY = `
  ${INTO} SELECT ${NAMES}, received_at, received_at, received_at, 'queued'
  FROM unnest(${FIELDS.map(({ type }, i) => `CAST(?${i + 1} AS ${type}[])`).join(', ')})
    WITH ORDINALITY AS given (${NAMES}, place)
  ORDER BY place
  ON CONFLICT DO NOTHING RETURNING id`

export function insertMany(deliveries: readonly NewDelivery[]): {
  sql: string
  params: (string | number | null)[][]
} {
  return { sql: INSERT_MANY, params: FIELDS.map(({ of }) => deliveries.map(d => d[of])) }
}

const SAME = 'id, state, run_id, repository, event_type, workflow, ref'

export function findSame(d: Pick<NewDelivery, 'dedupeKey' | 'replayKey'>): Statement {
  return {
    sql: `SELECT ${SAME} FROM deliveries WHERE dedupe_key = ?1
          UNION ALL
          SELECT ${SAME} FROM deliveries WHERE replay_key = ?2`,
    params: [d.dedupeKey, d.replayKey],
  }
}
