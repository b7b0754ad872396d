import { LIMITS } from '../../config/limits.ts'
import type { Delivery, NewDelivery, State } from '../../delivery/delivery.ts'
import type { Target } from '../../github/client.ts'
import { type Backend, columnOf, named, type Statement } from '../database.ts'

/*
 * The files in this folder contain the store's methods with their SQL. Times are milliseconds since 1970. No statement may scan a table: tests check all query plans. The schema lists the statements that use each index.
 */

export type Accepted = Target & Pick<Delivery, 'id' | 'state' | 'runId'> & { duplicate: boolean }

export type Cancellation = { status: 200 | 202; body: string }

export class SignatureUsed extends Error {}
export class StoreBusy extends Error {}

/** The columns that intake writes, in the order of the parameters. The last three columns are numbers. All other columns are texts. */
const FIELDS = [
  ...(['id', 'dedupeKey', 'sentAs', 'signature', 'runId', 'kind', 'action', 'repository'] as const),
  ...(['eventType', 'workflow', 'ref', 'invocation'] as const),
  ...(['reportWorkflowStatus', 'rerunAt', 'receivedAt'] as const),
] satisfies readonly (keyof NewDelivery)[]
const NAMES = FIELDS.map(columnOf).join(', ')
const INTO = `INSERT INTO deliveries (${NAMES}, queued_at, updated_at, due_at, state)`
const RECEIVED = `?${FIELDS.length}`
const isUncanceled = (digest: string) =>
  `NOT EXISTS (SELECT 1 FROM cancellations WHERE cancellations.digest = ${digest})`

/** Inserts one delivery, unless a delivery has the same dedupe key or signature, or a cancellation has the same signature. */
export const INSERT = `
  ${INTO} SELECT ${FIELDS.map((_, i) => `?${i + 1}`).join(', ')}, ${RECEIVED}, ${RECEIVED}, ${RECEIVED}, 'queued'
  WHERE ${isUncanceled(`?${FIELDS.length + 1}`)}
  ON CONFLICT DO NOTHING`

export const toRow = (d: NewDelivery): Statement['params'] => [
  ...FIELDS.map(field => (field === 'reportWorkflowStatus' ? Number(d[field] ?? true) : (d[field] ?? null))),
  digestOf(d.sentAs),
]

/** Inserts many deliveries into PostgreSQL, with one list per column. */
const LISTS = [...FIELDS.map((_, i) => (i < FIELDS.length - 3 ? 'text' : 'bigint')), 'text']
const INSERT_MANY = `
  ${INTO} SELECT ${NAMES}, received_at, received_at, received_at, 'queued'
  FROM unnest(${LISTS.map((type, i) => `CAST(?${i + 1} AS ${type}[])`).join(', ')})
    WITH ORDINALITY AS given (${NAMES}, digest, place)
  WHERE ${isUncanceled('given.digest')}
  ORDER BY place
  ON CONFLICT DO NOTHING RETURNING id`

/** @returns a statement that returns the written rows */
export function insertMany(deliveries: readonly NewDelivery[]) {
  const rows = deliveries.map(toRow)
  if (rows.length === 1) return { sql: `${INSERT} RETURNING id`, params: rows[0]! }
  return { sql: INSERT_MANY, params: LISTS.map((_, i) => rows.map(row => row[i] ?? null)) }
}

const digestOf = (sentAs: string) => sentAs.slice(0, sentAs.indexOf(' '))

export const runKey = (runId: string) => `run:${runId}`

const SAME = named('id', 'state', 'runId', 'repository', 'eventType', 'workflow', 'ref', 'sentAs')
type Same = Omit<Accepted, 'duplicate'> & { sentAs: string }

const accepted = (
  { id, runId, repository, eventType, workflow, ref }: Omit<Same, 'state' | 'sentAs'>,
  state: State,
  duplicate: boolean,
): Accepted => ({ id, state, runId, repository, eventType, workflow, ref, duplicate })

export function intake(db: Backend) {
  let waiting = 0
  let waitingSize = 0

  /** Finds the cancellation with the same signature. Also finds the delivery with the same signature, or else the one with the same dedupe key. */
  async function findEarlier({ dedupeKey, sentAs }: Pick<NewDelivery, 'dedupeKey' | 'sentAs'>) {
    const digest = digestOf(sentAs)
    const [cancellations, rows] = (await db.run([
      { sql: 'SELECT status, body FROM cancellations WHERE digest = ?1', params: [digest] },
      {
        sql: `SELECT ${SAME} FROM deliveries WHERE dedupe_key = ?1
              UNION ALL SELECT ${SAME} FROM deliveries WHERE signature = ?2`,
        params: [dedupeKey, digest],
      },
    ])) as unknown as [Cancellation[], Same[]]
    const signed = rows.find(row => digestOf(row.sentAs) === digest)
    return { cancellation: cancellations[0] ?? null, signed, delivery: signed ?? rows[0] }
  }

  return {
    /**
     * Persists a delivery. A delivery with a known dedupe key or signature is a duplicate, and changes nothing.
     * @throws StoreBusy if too many webhooks or bytes wait to be persisted; SignatureUsed if the signature was used at
     * another address
     */
    async accept(delivery: NewDelivery): Promise<Accepted> {
      const size = delivery.invocation.length + delivery.sentAs.length
      const { waitingWebhooks, waitingBytes } = LIMITS
      if (waiting >= waitingWebhooks || waitingSize + size > waitingBytes) throw new StoreBusy()
      waiting++
      waitingSize += size
      try {
        while (true) {
          if (await db.insert(delivery)) return accepted(delivery, 'queued', false)
          const { cancellation, signed, delivery: earlier } = await findEarlier(delivery)
          if (cancellation || (signed && signed.sentAs !== delivery.sentAs)) throw new SignatureUsed()
          if (earlier) return accepted(earlier, earlier.state, earlier.id !== delivery.id)
          // The delivery that caused the conflict was deleted in the meantime, so the loop tries the insert again.
        }
      } finally {
        waiting--
        waitingSize -= size
      }
    },
    /** Returns the cancellation with this signature; null if there is none. @throws SignatureUsed if a delivery has this signature */
    async findCancellation(
      identity: Pick<NewDelivery, 'dedupeKey' | 'sentAs'>,
    ): Promise<Cancellation | null> {
      const { cancellation, signed } = await findEarlier(identity)
      if (signed) throw new SignatureUsed()
      return cancellation
    },
    /** Stores the response to a cancellation until the signature expires. A delivery with the same signature is refused. */
    async saveCancellation(
      { digest, expiresAt }: { digest: string; expiresAt: number },
      { status, body }: Cancellation,
    ): Promise<void> {
      const sql =
        'INSERT INTO cancellations (digest, expires_at, status, body) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING'
      await db.run([{ sql, params: [digest, expiresAt, status, body] }])
    },
  }
}
