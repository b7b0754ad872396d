import { type Columns, RUN, reading } from '../delivery/columns.ts'
import type { NewDelivery } from '../delivery/delivery.ts'

/** An SQL statement with the values of its parameters `?1`, `?2`, and so on. Lists and objects are JSON text. */
export type Statement = { sql: string; params: (string | number | null)[] }

export type Row = Record<string, unknown>

export interface Backend {
  dialect: Dialect
  clock: Pick<DatabaseClock, 'now'>
  /** Runs statements in one transaction. Resolves when the changes are on disk. A failed call undoes only its own changes. */
  run(statements: Statement[]): Promise<Row[][]>
  /**
   * Runs a statement that claims work. Doesn't wait for the disk, because losing a claim in a crash does no harm. The
   * claim is on disk no later than the next durable change.
   * @param attempts whether the claim records attempts. If so, the call waits for the disk, and for other relays'
   *   claims that record attempts. With SQLite, the claim can share a commit with deliveries that are being inserted.
   */
  claim(statement: Statement, attempts?: boolean): Promise<Row[]>
  /**
   * Writes a delivery. Resolves when the delivery is on disk.
   * @returns false if the dedupe key exists or the signature was used before. If the response to an earlier write was
   *   lost, the existing delivery can be this one.
   */
  insert(delivery: NewDelivery): Promise<boolean>
  /** Calls the listener when a claim may find newly inserted deliveries. With SQLite, also calls it while a claim can still share the commit of these deliveries. */
  onWork(listener: () => void): void
  close(): Promise<void>
}

/** Runs one statement and returns its rows. The columns must have the names of `T`'s fields. */
export const rowsOf = async <T = Row>(
  db: Backend,
  sql: string,
  ...params: Statement['params']
): Promise<T[]> => ((await db.run([{ sql, params }]))[0] ?? []) as T[]

export type DatabaseClock = ReturnType<typeof createDatabaseClock>

/**
 * Creates a clock that continues the database's last known time with a monotonic timer. All relays on a database get
 * the same time from it, whatever their own clocks show.
 */
export function createDatabaseClock(timer = () => performance.now()) {
  let base = { time: Date.now(), at: timer() }
  return {
    /** Milliseconds since 1970. */
    now: () => Math.round(base.time + timer() - base.at),
    /** Sets the database's time. `at` is the timer's value when the time was read. */
    set(time: number, at: number): void {
      base = { time, at }
    },
  }
}

/** The differences between the SQL of SQLite and PostgreSQL. */
export interface Dialect {
  least: string
  greatest: string
  /** The clause with which a SELECT skips the rows that another relay is claiming. */
  skipLocked: string
  /** A statement that locks the number `?1` until the transaction ends; null for a database that runs one transaction at a time. */
  lockNumber: string | null
  /** Returns a condition: the column's value is in the result of the SELECT. The SELECT runs exactly once, so its LIMIT applies. */
  among(column: string, select: string): string
  /** An expression for the number of relays that use the database now. */
  relays: string
  /** An expression for the schema's version in the database. A newer relay may have raised this version. */
  schemaVersion: string
  /** An expression for a `seq` that is higher than every existing `seq`. */
  nextSeq: string
  owner(repository: string): string
  /** Returns an expression for a JSON array as text, with one object for each row. `fields` maps the objects' keys to columns. */
  jsonRows(fields: Record<string, string>, from: string): string
}

/**
 * Returns a condition on the state of a row that is found by id or `seq`. Its form keeps PostgreSQL from using an index
 * on states. With statistics from a time without waiting work, PostgreSQL would expect the index to be empty, and would
 * scan it.
 */
export const stateIs = (...states: string[]) => `state || '' IN (${states.join(', ')})`

const pairs = (fields: Record<string, string>) =>
  Object.entries(fields)
    .map(([key, column]) => `'${key}', ${column}`)
    .join(', ')

export const sqlite: Dialect = {
  least: 'min',
  greatest: 'max',
  skipLocked: '',
  lockNumber: null,
  among: (column, select) => `${column} IN (${select})`,
  relays: '1',
  schemaVersion: '(SELECT user_version FROM pragma_user_version)',
  nextSeq: '(SELECT max(seq) + 1 FROM deliveries)',
  owner: repository => `substr(${repository}, 1, instr(${repository}, '/') - 1)`,
  jsonRows: (fields, from) => `(SELECT json_group_array(json_object(${pairs(fields)})) FROM ${from})`,
}

/** The prefix of the name of a relay's connections. The rest of the name is random. */
export const APPLICATION = 'port-webhook-action relay '

export const postgres: Dialect = {
  least: 'least',
  greatest: 'greatest',
  skipLocked: 'FOR UPDATE SKIP LOCKED',
  lockNumber: 'SELECT pg_advisory_xact_lock(?1)',
  among: (column, select) => `${column} = ANY (ARRAY(${select}))`,
  relays: `(SELECT count(DISTINCT application_name) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE '${APPLICATION}%')`,
  schemaVersion: '(SELECT version FROM relay_schema)',
  nextSeq: `nextval('deliveries_seq_seq')`,
  owner: repository => `split_part(${repository}, '/', 1)`,
  jsonRows: (fields, from) =>
    `(SELECT CAST(coalesce(json_agg(json_build_object(${pairs(fields)})), '[]') AS TEXT) FROM ${from})`,
}

/** Returns the column name of a field, for example `due_at` for `dueAt`. */
export const columnOf = (field: string) => field.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)

export const named = (...fields: string[]) =>
  fields.map(field => `${columnOf(field)} AS "${field}"`).join(', ')

/** The columns that a statement returns, and the function that converts its rows. */
export type Selection<T> = { names: string; read: (row: Row) => T }

/** @param expressions the SQL of fields that aren't columns */
export function selecting<T>(
  columns: Columns<T>,
  sql: Dialect,
  expressions: { [F in keyof T]?: string } = {},
): Selection<T> {
  const run = Object.fromEntries(Object.keys(RUN).map(field => [field, columnOf(field)]))
  const runs = sql.jsonRows({ ...run, id: 'github_run_id' }, 'runs WHERE runs.delivery = deliveries.id')
  const all: Record<string, string> = { runs, ...expressions }
  const names = Object.keys(columns).map(field => `${all[field] ?? columnOf(field)} AS "${field}"`)
  return { names: names.join(', '), read: reading(columns) }
}

/** Runs a SELECT. @param from the part of the statement after FROM */
export const select = async <T>(
  db: Backend,
  { names, read }: Selection<T>,
  from: string,
  ...params: Statement['params']
): Promise<T[]> => (await rowsOf(db, `SELECT ${names} FROM ${from}`, ...params)).map(read)
