import type { NewDelivery, SignatureUse } from '../delivery/delivery.ts'

/** One SQL statement with its parameters, `?1`, `?2`, …; lists and objects go in as JSON text. */
export interface Statement {
  sql: string
  params: (string | number | null)[]
}

export type Row = Record<string, unknown>

/** A database that stores deliveries. */
export interface Backend {
  dialect: Dialect
  clock: Pick<DatabaseClock, 'now'>
  /**
   * Runs statements in order in one transaction, and resolves with the rows of each once they are safe on
   * disk. Calls made together may share a commit; one that fails undoes only itself.
   */
  run(statements: Statement[]): Promise<Row[][]>
  /**
   * Runs a statement that claims work, and resolves with its rows without waiting for the disk: a claim that is lost
   * with the machine is a lease that no relay has. It is safe with the next change that is, such as a recorded attempt.
   */
  claim(statement: Statement): Promise<Row[]>
  /**
   * Writes a delivery and the use of its signature; resolves once both are safe on disk. Calls made together share a
   * commit.
   *
   * @returns false, and the delivery is not written, when one with its dedupe key exists or the signature was used
   *   before: it may be this one, where the answer to a first attempt was lost
   */
  insert(delivery: NewDelivery, use?: SignatureUse): Promise<boolean>
  /** Calls back when another relay on this database accepted a delivery. */
  onWork(listener: () => void): void
  close(): Promise<void>
}

/**
 * A database's time: the time it returned last, plus what a monotonic timer has counted since. Relays that share a
 * database share its time, whatever their own clocks show.
 */
export interface DatabaseClock {
  /** Milliseconds since 1970. */
  now(): number
  /** Sets the database's time, with the moment on the timer at which it was read. */
  set(time: number, at: number): void
}

/** @param timer milliseconds, monotonic */
export function createDatabaseClock(timer: () => number = () => performance.now()): DatabaseClock {
  let base = { time: Date.now(), at: timer() }
  return {
    now: () => Math.round(base.time + timer() - base.at),
    set(time, at) {
      base = { time, at }
    },
  }
}

/** Where the SQL of the two stores differs; everything else is written once. */
export interface Dialect {
  least: string
  greatest: string
  /** Ends a SELECT of rows to claim: rows that another relay is claiming right now are passed over. */
  skipLocked: string
  /** Keeps others that lock the number `?1` waiting until the transaction ends; null if nothing runs next to it. */
  lockNumber: string | null
  /** A column is one of what a SELECT finds. The SELECT runs once, so that its LIMIT holds. */
  among(column: string, select: string): string
  /** A `seq` behind every other. */
  nextSeq: string
  /** The owner of a repository's name. */
  owner(repository: string): string
  /** A JSON array, as text, of objects with these keys and columns. */
  jsonRows(fields: Record<string, string>, from: string): string
}

/**
 * A condition on the state of a row that is found by its id or `seq`, in a form that fits no index: PostgreSQL, with
 * statistics of an hour in which nothing waited, would take such an index for empty and go through all that waits now.
 */
export const stateIs = (...states: string[]) => `state || '' IN (${states.join(', ')})`

const pairs = (fields: Record<string, string>) =>
  Object.entries(fields)
    .map(([key, column]) => `'${key}', ${column}`)
    .join(', ')

/** One writer at a time: nothing to lock. */
export const sqlite: Dialect = {
  least: 'min',
  greatest: 'max',
  skipLocked: '',
  lockNumber: null,
  among: (column, select) => `${column} IN (${select})`,
  nextSeq: '(SELECT max(seq) + 1 FROM deliveries)',
  owner: repository => `substr(${repository}, 1, instr(${repository}, '/') - 1)`,
  jsonRows: (fields, from) => `(SELECT json_group_array(json_object(${pairs(fields)})) FROM ${from})`,
}

export const postgres: Dialect = {
  least: 'least',
  greatest: 'greatest',
  skipLocked: 'FOR UPDATE SKIP LOCKED',
  lockNumber: 'SELECT pg_advisory_xact_lock(?1)',
  among: (column, select) => `${column} = ANY (ARRAY(${select}))`,
  nextSeq: `nextval('deliveries_seq_seq')`,
  owner: repository => `split_part(${repository}, '/', 1)`,
  jsonRows: (fields, from) =>
    `(SELECT CAST(coalesce(json_agg(json_build_object(${pairs(fields)})), '[]') AS TEXT) FROM ${from})`,
}
