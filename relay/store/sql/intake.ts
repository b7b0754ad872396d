import { DEFAULT_ORGANIZATION } from '../../config/organizations.ts'
import type { FirstUse, NewDelivery, SignatureUse } from '../../delivery/delivery.ts'
import type { Statement } from '../database.ts'
import { columnOf, named } from './columns.ts'

/*
 * The statements of the store, one function each, in the files of this folder. Parameters are `?1`, `?2`, …;
 * times milliseconds since 1970. No statement scans a table: each reads through an index of the schemas, which
 * name the statement, and the suite looks at the plans of all of them.
 */

/** What intake writes, in the order of the parameters: a time, and texts. */
const FIELDS = [
  ...(['id', 'dedupeKey', 'runId', 'kind', 'action', 'organization', 'repository'] as const),
  ...(['eventType', 'workflow', 'ref', 'invocation', 'receivedAt'] as const),
] satisfies readonly (keyof NewDelivery)[]
const NAMES = FIELDS.map(columnOf).join(', ')
const INTO = `INSERT INTO deliveries (${NAMES}, queued_at, updated_at, due_at, state)`
const RECEIVED = `?${FIELDS.length}`

/** Writes one delivery, or nothing where one with its dedupe key exists. */
export const INSERT = `
  ${INTO} VALUES (${FIELDS.map((_, i) => `?${i + 1}`).join(', ')}, ${RECEIVED}, ${RECEIVED}, ${RECEIVED}, 'queued')
  ON CONFLICT DO NOTHING`

/** The parameters of {@link INSERT}. */
export function toRow(d: NewDelivery): Statement['params'] {
  return FIELDS.map(field => d[field])
}

export const FIRST_USE = `SELECT ${named('address', 'status', 'body')} FROM signatures WHERE digest = ?1`

/** Remembers the use of a signature, or writes nothing where it was used before. */
export const REMEMBER = `
  INSERT INTO signatures (digest, address, expires_at, delivery, status, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
  ON CONFLICT DO NOTHING`

/** The parameters of {@link REMEMBER}. @param started the delivery that it started */
export const toUseRow = (
  { digest, address, expiresAt }: SignatureUse,
  started: string | null,
  response: Pick<FirstUse, 'status' | 'body'> = { status: null, body: null },
): Statement['params'] => [digest, address, expiresAt, started, response.status, response.body]

/** PostgreSQL only: many deliveries at once, a list for each column. */
const USES = ['digest', 'address', 'expires_at']
const LISTS = [...FIELDS.map(field => (field === 'receivedAt' ? 'bigint' : 'text')), 'text', 'text', 'bigint']
const INSERT_MANY = `
  WITH given AS (
    SELECT * FROM unnest(${LISTS.map((type, i) => `CAST(?${i + 1} AS ${type}[])`).join(', ')})
      WITH ORDINALITY AS given (${NAMES}, ${USES.join(', ')}, place)
  ), used AS (
    INSERT INTO signatures (${USES.join(', ')}, delivery)
    SELECT ${USES.join(', ')}, id FROM given WHERE digest IS NOT NULL ORDER BY digest
    ON CONFLICT DO NOTHING RETURNING delivery
  )
  ${INTO} SELECT ${NAMES}, received_at, received_at, received_at, 'queued'
  FROM given WHERE digest IS NULL OR id IN (SELECT delivery FROM used)
  ORDER BY place
  ON CONFLICT DO NOTHING RETURNING id`

/** A delivery, and the use of its signature. */
export interface Insert {
  delivery: NewDelivery
  use?: SignatureUse | undefined
}

/** @returns rows: those that were written */
export function insertMany(inserts: readonly Insert[]): {
  sql: string
  params: (string | number | null)[][]
} {
  return {
    sql: INSERT_MANY,
    params: [
      ...FIELDS.map(field => inserts.map(({ delivery }) => delivery[field])),
      ...(['digest', 'address', 'expiresAt'] as const).map(field =>
        inserts.map(({ use }) => use?.[field] ?? null),
      ),
    ],
  }
}

const SAME = named('id', 'state', 'runId', 'repository', 'eventType', 'workflow', 'ref')

/** By its dedupe key; else what its signature has started. */
export function findSame({ dedupeKey }: Pick<NewDelivery, 'dedupeKey'>, digest: string | null): Statement {
  return {
    sql: `SELECT ${SAME} FROM deliveries WHERE dedupe_key = ?1
          UNION ALL
          SELECT ${SAME} FROM deliveries WHERE id = (SELECT delivery FROM signatures WHERE digest = ?2)`,
    params: [dedupeKey, digest],
  }
}

/** The dedupe key of a delivery that names a run. Run ids are unique within an organization only. */
export function runKey(organization: string, runId: string): string {
  return organization === DEFAULT_ORGANIZATION ? `run:${runId}` : `run:${organization}:${runId}`
}
