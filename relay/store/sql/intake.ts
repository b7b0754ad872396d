import type { FirstUse, NewDelivery, SignatureUse } from '../../delivery/delivery.ts'
import { columnOf, named, type Statement } from '../database.ts'

/*
 * The files in this folder contain the store's statements, one function each. Parameters are `?1`, `?2`, and so on.
 * Times are milliseconds since 1970. Every statement uses an index instead of scanning a table. The schemas list the
 * statements that use each index, and tests check all query plans.
 */

/** Columns that intake writes, in the order of the parameters. The last column is a time, the others are texts. */
const FIELDS = [
  ...(['id', 'dedupeKey', 'runId', 'kind', 'action', 'repository'] as const),
  ...(['eventType', 'workflow', 'ref', 'invocation', 'receivedAt'] as const),
] satisfies readonly (keyof NewDelivery)[]
const NAMES = FIELDS.map(columnOf).join(', ')
const INTO = `INSERT INTO deliveries (${NAMES}, queued_at, updated_at, due_at, state)`
const RECEIVED = `?${FIELDS.length}`

/** Inserts one delivery unless its dedupe key exists. */
export const INSERT = `
  ${INTO} VALUES (${FIELDS.map((_, i) => `?${i + 1}`).join(', ')}, ${RECEIVED}, ${RECEIVED}, ${RECEIVED}, 'queued')
  ON CONFLICT DO NOTHING`

/** The parameters of {@link INSERT}. */
export function toRow(d: NewDelivery): Statement['params'] {
  return FIELDS.map(field => d[field])
}

export const FIRST_USE = `SELECT ${named('address', 'status', 'body')} FROM signatures WHERE digest = ?1`

/** Records the use of a signature unless the signature was used before. */
export const REMEMBER = `
  INSERT INTO signatures (digest, address, expires_at, delivery, status, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
  ON CONFLICT DO NOTHING`

/** The parameters of {@link REMEMBER}. @param started the delivery that the signature started */
export const toUseRow = (
  { digest, address, expiresAt }: SignatureUse,
  started: string | null,
  response: Pick<FirstUse, 'status' | 'body'> = { status: null, body: null },
): Statement['params'] => [digest, address, expiresAt, started, response.status, response.body]

/** Columns of a signature use. Used on PostgreSQL to insert many deliveries with one list per column. */
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

/** @returns a statement that returns the written rows */
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

/** Finds a delivery by its dedupe key or, if there is none, by its signature. */
export function findSame({ dedupeKey }: Pick<NewDelivery, 'dedupeKey'>, digest: string | null): Statement {
  return {
    sql: `SELECT ${SAME} FROM deliveries WHERE dedupe_key = ?1
          UNION ALL
          SELECT ${SAME} FROM deliveries WHERE id = (SELECT delivery FROM signatures WHERE digest = ?2)`,
    params: [dedupeKey, digest],
  }
}

/** Returns the dedupe key of a delivery with a Port run. */
export const runKey = (runId: string) => `run:${runId}`
