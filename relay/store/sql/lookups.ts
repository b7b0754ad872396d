import { DELIVERY, RUN } from '../../delivery/columns.ts'
import type { Delivery, DeliveryRun, HistoryEntry } from '../../delivery/delivery.ts'
import { type Backend, named, rowsOf, select, selecting } from '../database.ts'
import { runKey } from './intake.ts'
import { padded } from './statement.ts'

/** The maximum number of deliveries that `attemptedBetween` returns. */
export const MAX_OTHERS = 100
const MAX_UNBOUND = 100
const places = (values: readonly unknown[], first: number) => values.map((_, i) => `?${first + i}`).join(', ')

export function lookups(db: Backend) {
  const { dialect } = db
  const delivery = selecting(DELIVERY, dialect)
  const find = (where: string, ...params: (string | number)[]) =>
    select(db, delivery, `deliveries WHERE ${where}`, ...params)

  return {
    get: async (id: string): Promise<Delivery | null> => (await find('id = ?1', id))[0] ?? null,
    async invocation(id: string): Promise<string | null> {
      const [row] = await rowsOf(db, 'SELECT invocation FROM deliveries WHERE id = ?1', id)
      return row ? String(row.invocation) : null
    },
    /** Returns the invocations of these deliveries as JSON text. Omits invocations larger than `maxBytes`. */
    async invocations(given: string[], maxBytes: number): Promise<Map<string, string>> {
      if (given.length === 0) return new Map()
      const ids = padded(given)
      const sql = `SELECT id, invocation FROM deliveries WHERE id IN (${places(ids, 2)}) AND octet_length(invocation) <= ?1`
      const rows = await rowsOf(db, sql, maxBytes, ...ids)
      return new Map(rows.map(row => [String(row.id), String(row.invocation)]))
    },
    /** Returns the history, oldest entry first. The store keeps at most 200 entries of a delivery. */
    async history(id: string): Promise<(HistoryEntry & { at: number })[]> {
      const sql = 'SELECT at, type, details FROM events WHERE delivery = ?1 ORDER BY number'
      const rows = await rowsOf<{ at: number; type: HistoryEntry['type']; details: string }>(db, sql, id)
      return rows.map(row => ({ ...row, details: JSON.parse(row.details) }))
    },
    /** Returns the runs with these IDs that belong to a delivery, including past runs. Ignores the case of the repository's name. */
    async findRuns(repository: string, given: number[]): Promise<(DeliveryRun & { delivery: string })[]> {
      if (given.length === 0) return []
      const runIds = padded(given)
      const run = selecting<DeliveryRun & { delivery: string }>({ ...RUN, delivery: {} }, dialect, {
        id: 'github_run_id',
      })
      const where = `repository = ?1 AND github_run_id IN (${places(runIds, 2)})`
      return select(db, run, `runs WHERE ${where}`, repository.toLowerCase(), ...runIds)
    },
    /** Returns the repository's deliveries with one of these dedupe keys or IDs. */
    async findByTitle(repository: string, given: readonly string[]): Promise<Delivery[]> {
      if (given.length === 0) return []
      const ids = padded(given)
      const having = (column: string, first: number) =>
        `SELECT seq FROM deliveries WHERE ${column} IN (${places(ids, first)}) AND repository = ?1`
      const found = `${having('dedupe_key', 2)} UNION ${having('id', 2 + ids.length)}`
      return find(dialect.among('seq', found), repository.toLowerCase(), ...ids.map(runKey), ...ids)
    },
    /** Returns up to {@link MAX_OTHERS} deliveries that were dispatched to the repository in this period, whatever their state. */
    attemptedBetween(repository: string, from: number, to: number, except: string) {
      const sql = `SELECT ${named('eventType')} FROM deliveries
        WHERE repository = ?1 AND attempted_at BETWEEN ?2 AND ?3 AND id <> ?4 ORDER BY attempted_at LIMIT ${MAX_OTHERS}`
      return rowsOf<Pick<Delivery, 'eventType'>>(db, sql, repository.toLowerCase(), from, to, except)
    },
    /** Returns up to 100 dispatched deliveries to the repository that have no known workflow run, the oldest first. */
    findUnbound: (repository: string): Promise<Delivery[]> =>
      find(
        `state = 'dispatched' AND repository = ?1 ORDER BY seq LIMIT ${MAX_UNBOUND}`,
        repository.toLowerCase(),
      ),
  }
}
