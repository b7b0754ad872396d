import { LIMITS } from '../../config/limits.ts'
import { LISTED } from '../../delivery/columns.ts'
import type { Listed, Outcome, State } from '../../delivery/delivery.ts'
import { OPEN_STATES, OUTCOMES, REDELIVERABLE, STATES } from '../../delivery/delivery.ts'
import { type Backend, rowsOf, type Statement, select, selecting, stateIs } from '../database.ts'
import { FROZEN, MOST_COUNTED, QUEUED } from './claims.ts'
import { runKey } from './intake.ts'

/** Filters a list of deliveries. Times are milliseconds since 1970. */
export interface Filter {
  state?: State
  outcome?: Outcome
  /** Whether to list only deliveries that can be redelivered. */
  redeliverable?: boolean
  repository?: string
  action?: string
  /** A text to find in the action's identifier, the repository, the delivery's ID, or the ID of the Port run. */
  search?: string
  runId?: string
  since?: number
}

/** The maximum time by which a delivery with a higher `seq` can be queued earlier, if several relays share a database. */
const QUEUED_MARGIN_MS = 60_000

/** Returns the possible outcomes of a delivery in this state. An open delivery has the empty outcome. */
const outcomesOf = (state: State): readonly (Outcome | '')[] =>
  OPEN_STATES.includes(state) ? [''] : OUTCOMES

const MAX = Number.MAX_SAFE_INTEGER

/**
 * Where a list starts. The delivery with this `seq` isn't in the list. `before`: the newest deliveries are first.
 * `after`: the oldest deliveries are first.
 */
type Bound = { before?: number | undefined; after?: number | undefined }

const isSearch = ({ action, search, runId }: Filter) => !runId && (action ?? search) !== undefined
const contains = (pattern: string) =>
  `(${['lower(action)', 'repository', 'id', 'lower(run_id)'].map(each => `${each} LIKE ${pattern} ESCAPE '\\'`).join(' OR ')})`

const amountOf = (where: string) =>
  `(SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE ${where} LIMIT ${MOST_COUNTED}) AS counted)`

export function lists(db: Backend) {
  const { dialect } = db
  /** Where a search without an index stops. `before`: the lowest `seq` to read. `after`: the highest `seq` to read, plus one. */
  const edge = {
    before: `SELECT ${dialect.least}(CAST(?1 AS BIGINT), max(seq) + 1) - ${LIMITS.listed} FROM deliveries`,
    after: `SELECT ${dialect.greatest}(CAST(?1 AS BIGINT), min(seq) - 1) + ${LIMITS.listed + 1} FROM deliveries`,
  }

  /**
   * Returns a `seq` below which all deliveries were received before the given time. No index contains times, but
   * `queuedAt` grows with `seq`, and no delivery is queued before its receipt.
   */
  async function floorOf(since: number): Promise<number> {
    const [last] = await rowsOf(db, 'SELECT max(seq) AS seq FROM deliveries')
    let [low, high] = [0, Number(last?.seq ?? 0)]
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      const sql = 'SELECT seq, queued_at FROM deliveries WHERE seq >= ?1 ORDER BY seq LIMIT 1'
      const [row] = await rowsOf(db, sql, middle)
      if (Number(row?.queued_at) < since - QUEUED_MARGIN_MS) low = Math.min(Number(row?.seq) + 1, high)
      else high = middle
    }
    return low
  }

  return {
    /**
     * Lists deliveries, the newest first. With `after`, lists the oldest first. Queued deliveries have an index of
     * their own, so intake updates fewer indexes. Each pair of state and outcome is one range of an index. The limits
     * of the range are row values: without them, PostgreSQL would search all deliveries for a rare pair. Filters by
     * action and searches use no index, so they read a limited number of deliveries: see `listedTo`.
     */
    async list(
      { state, outcome, redeliverable, repository, action, search, runId, since }: Filter,
      { before = MAX, after, limit }: Bound & { limit: number },
    ): Promise<Listed[]> {
      const params: Statement['params'] = [after ?? before, limit]
      const isSearched = isSearch({ action, search, runId })
      const direction = after === undefined ? 'DESC' : 'ASC'
      const parameter = (value: string | number) => `?${params.push(value)}`
      const lowest = [
        ...(after !== undefined ? ['CAST(?1 AS BIGINT) + 1'] : isSearched ? [`(${edge.before})`] : []),
        ...(since === undefined || runId ? [] : [parameter(await floorOf(since))]),
      ]
      const from = lowest.length > 1 ? `${dialect.greatest}(${lowest.join(', ')})` : (lowest[0] ?? '0')
      const to = after === undefined ? '?1' : isSearched ? `(${edge.after})` : String(MAX)
      const within = [...(lowest.length > 0 ? [`seq >= ${from}`] : []), `seq < ${to}`]
      const rest = [
        ...(runId === undefined ? [] : [`dedupe_key = ${parameter(runKey(runId))}`]),
        ...(action === undefined ? [] : [`action = ${parameter(action)}`]),
        ...(search === undefined
          ? []
          : [contains(parameter(`%${search.toLowerCase().replace(/[%_\\]/g, '\\$&')}%`))]),
        ...(since === undefined ? [] : [`received_at >= ${parameter(since)}`]),
      ]
      const newest = (order: string[], ...where: string[]) =>
        `SELECT seq FROM (SELECT seq FROM deliveries WHERE ${[...where, ...rest].join(' AND ')}
           ORDER BY ${order.map(each => `${each} ${direction}`).join(', ')} LIMIT ?2) AS newest`
      const names = repository === undefined ? [] : [parameter(repository.toLowerCase())]
      const named = names.map(name => `repository = ${name}`)
      const keys = [...names.map(() => 'repository'), 'state', 'outcome', 'seq']
      const range = (state: State, outcome: Outcome | '') => {
        // Sorts by `seq + 0`, because PostgreSQL would use an order by `seq` to search all deliveries.
        if (state === 'queued')
          return [QUEUED, FROZEN]
            .map(where => newest(['seq + 0'], where, ...named, ...within))
            .join(' UNION ALL ')
        const at = (seq: string) => `(${[...names, `'${state}'`, `'${outcome}'`, seq].join(', ')})`
        const key = `(${keys.join(', ')})`
        return newest(keys, `state <> 'queued'`, `${key} >= ${at(from)}`, `${key} < ${at(to)}`)
      }
      const states = state ? [state] : redeliverable ? REDELIVERABLE : STATES
      const isNarrow = states !== STATES || outcome !== undefined
      const ranges = states.flatMap(each =>
        outcomesOf(each).flatMap(of => (!outcome || of === outcome ? [range(each, of)] : [])),
      )
      const isOfRun = [
        ...(isNarrow ? [stateIs(...states.map(each => `'${each}'`))] : []),
        ...(outcome ? [`outcome || '' = '${outcome}'`] : []),
      ]
      const found =
        runId || !(isNarrow || repository)
          ? newest(['seq'], ...named, ...within, ...isOfRun)
          : ranges.join(' UNION ALL ') || newest(['seq'], ...named, ...within, '1 = 0')
      const listed = `deliveries WHERE ${dialect.among('seq', found)} ORDER BY seq ${direction} LIMIT ?2`
      return select(db, selecting(LISTED, dialect), listed, ...params)
    },
    /** Returns the `seq` from which to continue a list after a limited search; null if no deliveries remain. */
    async listedTo(filter: Filter, { before = MAX, after }: Bound = {}): Promise<number | null> {
      const { since } = filter
      if (!isSearch(filter)) return null
      const sql = `SELECT (${after === undefined ? edge.before : edge.after}) AS edge, (SELECT min(seq) FROM deliveries) AS first, (SELECT max(seq) FROM deliveries) AS last`
      const [row] = await rowsOf(db, sql, after ?? before)
      // For an empty table, PostgreSQL's LEAST ignores the null of `max(seq)`, so `edge` isn't null.
      if (row?.first == null) return null
      if (after !== undefined) return Number(row.edge) <= Number(row.last) ? Number(row.edge) - 1 : null
      const lowest = Math.max(Number(row.first), since === undefined ? 0 : await floorOf(since))
      return Number(row.edge) > lowest ? Number(row.edge) : null
    },
    /** Counts queued, dispatched, running, and failed deliveries. Each count stops at {@link MOST_COUNTED}. */
    async counts() {
      // SQLite uses the partial index only if the query contains the condition of the index.
      const counted = (['dispatched', 'running', 'failed'] as const).map(
        state => `${amountOf(`state = '${state}' AND state <> 'queued'`)} AS ${state}`,
      )
      const sql = `SELECT ${amountOf(QUEUED)} + ${amountOf(FROZEN)} AS queued, ${counted.join(', ')}`
      const [row] = await rowsOf<Record<'queued' | 'dispatched' | 'running' | 'failed', number>>(db, sql)
      return row!
    },
    /** Counts finished deliveries by outcome. Each count stops at {@link MOST_COUNTED}. */
    async outcomes() {
      const amounts = OUTCOMES.map(outcome => {
        const where = `state IN ('finished', 'failed', 'cancelled') AND state <> 'queued' AND outcome = '${outcome}'`
        return `${amountOf(where)} AS ${outcome}`
      })
      const [row] = await rowsOf<Record<Outcome, number>>(db, `SELECT ${amounts.join(', ')}`)
      return row!
    },
  }
}
