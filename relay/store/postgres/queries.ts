import { hash } from 'node:crypto'
import type { QueryConfig } from 'pg'
import type { NewDelivery } from '../../delivery/delivery.ts'
import type { Row } from '../database.ts'
import { codeOf } from '../failures.ts'
import { insertMany } from '../sql/intake.ts'

type Value = string | number | null

export type PostgresQuery = { sql: string; params: (Value | Value[])[] }

const prepared = new Map<string, { name: string; text: string }>()

/** Creates a prepared statement. Its name is a hash of its text, because relays can share a pooler's connections. */
export function toQuery({ sql, params }: PostgresQuery): QueryConfig {
  let known = prepared.get(sql)
  if (!known) {
    const text = sql.replace(/\?(\d+)/g, '$$$1')
    known = { name: `relay_${hash('sha1', text, 'hex').slice(0, 20)}`, text }
    prepared.set(sql, known)
  }
  return { ...known, values: params.map(value => (Array.isArray(value) ? value.map(clean) : clean(value))) }
}

/** Removes NUL characters, which PostgreSQL rejects. @see https://www.postgresql.org/docs/current/datatype-character.html */
const clean = (value: Value) =>
  typeof value === 'string' && value.includes('\0') ? value.replaceAll('\0', '\ufffd') : value

/** The maximum number of concurrent batches. Deliveries that arrive while these batches are written wait for the next one. */
const BATCHES = 2
const MAX_ROWS = 500
const MAX_SIZE = 8 * 1024 * 1024
/** A write whose connection is lost is repeated once, unless it took longer than this. */
const AGAIN_WITHIN_MS = 2_000

interface Waiting {
  delivery: NewDelivery
  resolve: (inserted: boolean) => void
  reject: (error: unknown) => void
}

/** Writes deliveries in batches. Deliveries that arrive during commits go into the next batch. */
export function createIntake(run: (statement: PostgresQuery) => Promise<Row[]>, onWork: () => void) {
  let collected: Waiting[] = []
  let [active, scheduled] = [0, false]

  const flush = () => {
    scheduled = false
    while (active < BATCHES && collected.length > 0) {
      active++
      void write(take()).finally(() => {
        active--
        flush()
      })
    }
  }

  function take(): Waiting[] {
    let size = 0
    const end = collected.findIndex(({ delivery }, i) => {
      size += delivery.invocation.length
      return i > 0 && (i >= MAX_ROWS || size > MAX_SIZE)
    })
    const batch = end < 0 ? collected : collected.slice(0, end)
    collected = end < 0 ? [] : collected.slice(end)
    return batch
  }

  async function write(batch: Waiting[]): Promise<void> {
    try {
      const began = performance.now()
      const statement = insertMany(batch.map(each => each.delivery))
      const rows = await run(statement).catch(error => {
        if (!isCut(error) || performance.now() - began > AGAIN_WITHIN_MS) throw error
        // If the first write was committed, this one returns no rows, so `onWork` is called in any case.
        return run(statement).finally(onWork)
      })
      if (rows.length > 0) onWork()
      const inserted = new Set(rows.map(row => row.id))
      // The responses wait for a turn, so that an idle relay sends its claim before it responds to the webhook.
      setImmediate(() => {
        for (const { delivery, resolve } of batch) resolve(inserted.has(delivery.id))
      })
    } catch (error) {
      if (batch.length > 1 && isOfOneRow(error)) {
        for (const each of batch) await write([each])
        return
      }
      for (const { reject } of batch) reject(error)
    }
  }

  return (delivery: NewDelivery) =>
    new Promise<boolean>((resolve, reject) => {
      collected.push({ delivery, resolve, reject })
      if (active >= BATCHES || scheduled) return
      scheduled = true
      // Deliveries that arrive in one event loop turn share a commit.
      setImmediate(flush)
    })
}

/**
 * Whether a single row of a batch can cause this error: invalid data (22), a constraint (23), a deadlock (40), or a
 * limit (54).
 * @see https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const isOfOneRow = (error: unknown) => /^(22|23|40|54)/.test(String(codeOf(error)))

/** Whether the connection was lost: the error has no code, or its code starts with E, 08, or 57P. The write may have succeeded. */
const isCut = (error: unknown) => /^($|E|08|57P)/.test(String(codeOf(error) ?? ''))
