import type { Delivery, DeliveryRun, NewDelivery } from '../delivery/delivery.ts'

/** An SQL statement with the values of its parameters `?1`, `?2`, and so on. Lists and objects are JSON text. */
export type Statement = { sql: string; params: (string | number | null)[] }

export type Row = Record<string, unknown>

export interface Backend {
  dialect: Dialect
  clock: Pick<DatabaseClock, 'now'>
  /** Runs statements in one transaction. Resolves when the changes are on disk. A failed call undoes only its own changes. */
  run(statements: Statement[]): Promise<Row[][]>
  /**
   * Runs a statement that claims work. Doesn't wait for the disk, because it does no harm if a crash loses the claim.
   * The claim is on disk no later than the next durable change.
   * @param attempts whether the claim records attempts. Then it waits for the disk, and can share a commit with
   *   deliveries that are being inserted. With PostgreSQL, it then finds only the inserted delivery.
   */
  claim(statement: Statement, attempts?: boolean): Promise<Row[]>
  /**
   * Writes a delivery, and resolves when it is on disk.
   * @returns false if the dedupe key exists or the signature was used before. The existing delivery can be the same
   *   delivery, if the response to an earlier write was lost.
   */
  insert(delivery: NewDelivery): Promise<boolean>
  /** Calls the listener when deliveries are being inserted, and when inserted deliveries may still need a claim. */
  onWork(listener: () => void): void
  close(): Promise<void>
}

/** Runs one statement and returns its rows. The columns must have the names of `T`'s fields. */
export const rowsOf = async <T = Row>(
  db: Backend,
  sql: string,
  ...params: Statement['params']
): Promise<T[]> => ((await db.run([{ sql, params }]))[0] ?? []) as T[]

/** Runs a statement that selects {@link columns}, and returns the deliveries. */
export const deliveriesOf = async <T extends Delivery = Delivery>(
  ...given: Parameters<typeof rowsOf>
): Promise<T[]> => (await rowsOf(...given)).map(row => toDelivery<T>(row))

export type DatabaseClock = ReturnType<typeof createDatabaseClock>

/**
 * Creates a clock that continues the database's last known time with a monotonic timer. All relays on a database share
 * this time, whatever their own clocks show.
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
  /** A statement that locks the number `?1` until the transaction ends. Null if transactions never run at the same time. */
  lockNumber: string | null
  /** Returns the condition that the column's value is in the SELECT's result. The SELECT runs only once, so that its LIMIT applies. */
  among(column: string, select: string): string
  /** An expression for a `seq` that is higher than every existing `seq`. */
  nextSeq: string
  owner(repository: string): string
  /** Returns an expression for a JSON array as text. Each row is an object in the array. `fields` names the column of each key. */
  jsonRows(fields: Record<string, string>, from: string): string
}

/**
 * Returns a condition on the state of a row that is found by id or `seq`. Its form prevents the use of an index on
 * states. If the statistics are from a time without waiting work, PostgreSQL would expect this index to be empty, and
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

/** Returns the column name of a field, for example `due_at` for `dueAt`. */
export const columnOf = (field: string) => field.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)

export const named = (...fields: string[]) =>
  fields.map(field => `${columnOf(field)} AS "${field}"`).join(', ')

const DELIVERY = named(
  ...`seq id dedupeKey runId kind action repository eventType workflow ref state outcome reason receivedAt queuedAt
  updatedAt dueAt version changeId attempts firstAttemptAt attemptedAt awaitingResponseSince rerunAt frozenBy
  unfrozenAt shownCause shownUntil shownReason shownAt dispatchedAt cancelSentAt cancelRequestedAt cancelForced
  waitingFor decisions outputs reported finishingAt runWebhook reportWorkflowStatus`.match(/\w+/g)!,
)

/** The columns for lists, without the jobs' reports, because reading these for many deliveries takes too long. */
export const SHOWN = DELIVERY.replace('reported AS', 'NULL AS')

const RUN = ['attempt', 'evidence', 'past', 'status', 'conclusion', 'url', 'reportsConclusion']

/** Returns the columns of a delivery and its runs. Omits the invocation, which can be large. */
export const columns = (sql: Dialect, delivery = DELIVERY) => {
  const run = { id: 'github_run_id', ...Object.fromEntries(RUN.map(field => [field, columnOf(field)])) }
  return `${delivery}, ${sql.jsonRows(run, 'runs WHERE runs.delivery = deliveries.id')} AS runs`
}

/** Converts a row of {@link columns} to a delivery. Both databases store booleans as numbers. */
export function toDelivery<T extends Delivery>({ changeId: _, ...row }: Row): T {
  const { cancelForced, runWebhook, reportWorkflowStatus, reported } = row
  return {
    ...row,
    cancelForced: Boolean(cancelForced),
    runWebhook: Boolean(runWebhook),
    reportWorkflowStatus: Boolean(reportWorkflowStatus),
    reported: reported === null ? null : JSON.parse(String(reported)),
    runs: (JSON.parse(String(row.runs)) as Row[]).map(toRun),
  } as unknown as T
}

export function toRun<T extends DeliveryRun>({ past, reportsConclusion, ...rest }: Row): T {
  return {
    ...rest,
    past: Boolean(past),
    ...(Boolean(reportsConclusion) && { reportsConclusion: true }),
  } as unknown as T
}

/** Explains why a write failed, and what to do; null for an unknown message. @param shown the text to write after the cause */
export function whyNotWritable(message: string, shown = ''): string | null {
  if (/full|no space/i.test(message)) return `the disk is full${shown}. Free space on it.`
  if (/read.?only/i.test(message)) return `it is read-only${shown}. Mount its disk for writing.`
  const [, code] = /\b(?:connect|getaddrinfo|read) (E[A-Z_]+)/.exec(message) ?? []
  if (code) return `it can't be reached${shown || ` (${code})`}. Check the server and the network.`
  if (!/locked|(lock|statement) timeout/i.test(message)) return null
  return `it is locked${shown}. Stop the process that has a transaction open, such as a backup or a shell.`
}
