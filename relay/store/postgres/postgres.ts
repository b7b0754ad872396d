import { randomUUID } from 'node:crypto'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client, ClientBase, ClientConfig, Pool } from 'pg'
import type { Backend, DatabaseClock, Row } from '../database.ts'
import { APPLICATION, createDatabaseClock, postgres } from '../database.ts'
import { DatabaseError } from '../failures.ts'
import { MIGRATIONS, missingMigrations, SchemaRefused, schemaVersion, type Upgrader } from '../migrations.ts'
import { SCHEMA as SQLITE } from '../sqlite/schema.ts'
import { createIntake, type PostgresQuery, toQuery } from './queries.ts'

const CONNECTIONS = 10
const CONNECT_MS = 5_000
/** The server's timeout for a statement. It is shorter than the client's timeout. */
const STATEMENT_MS = 10_000
const RESPONSE_MS = 15_000
const TIME_MS = 30_000
const TIME = { sql: 'SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS now', params: [] }

/** Commits a transaction without waiting for the disk. */
const NOT_ON_DISK = { sql: 'SET LOCAL synchronous_commit = off', params: [] }
/** Waits until no other relay is claiming queued deliveries. The next statement sees the other relays' claims. No other lock number is negative. */
const CLAIM_ALONE = { sql: 'SELECT pg_advisory_xact_lock(-1)', params: [] }

/**
 * Query plans use index lookups and no JIT, because due work is a few rows among millions, and statistics can be
 * outdated. Each statement is planned once per connection, because planning a batch of inserts takes as long as writing
 * the batch. Commits wait for the disk, unless {@link NOT_ON_DISK} is set. If `synchronous_commit` is
 * stricter than `on`, it stays.
 */
const SETTINGS = `
  SET statement_timeout = ${STATEMENT_MS}; SET idle_in_transaction_session_timeout = ${STATEMENT_MS};
  SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off;
  SET default_transaction_isolation = 'read committed'; SET plan_cache_mode = force_generic_plan;
  SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`

/**
 * Opens a PostgreSQL database. While the server is unavailable, calls fail. Each call tries to connect again.
 * @param upgrader the relay, which upgrades the schema of an earlier version; null for a command
 * @throws Error if the database can't be reached or used; the message includes host and database
 */
export async function openPostgres(url: string, upgrader: Upgrader): Promise<Backend> {
  const { default: pg } = await import('pg')
  const settings: ClientConfig = {
    connectionString: url,
    connectionTimeoutMillis: CONNECT_MS,
    query_timeout: RESPONSE_MS,
    fallback_application_name: `${APPLICATION}${randomUUID().slice(0, 8)}`,
    keepAlive: true,
    // The numbers in this database are below 2^53: they are counts, times, and GitHub ids.
    types: {
      getTypeParser: (oid, format) =>
        oid === pg.types.builtins.INT8 ? Number : pg.types.getTypeParser(oid, format as 'text'),
    },
  }
  try {
    await prepare(() => new pg.Client({ ...settings, query_timeout: 0 }), upgrader)
    await checkPreparedStatements(() => new pg.Client(settings))
  } catch (error) {
    throw refusal(url, error)
  }

  let onWork = () => {}
  const pool = new pg.Pool({
    ...settings,
    max: CONNECTIONS,
    pipeline: true,
    onConnect: (client: ClientBase) => client.query(SETTINGS) as unknown as undefined,
    // A timer for each query would keep finished queries in memory, so each connection has only one timer.
    query_timeout: 0,
  })
  // Without this listener, the error of an idle connection would stop the process. The pool removes the connection.
  pool.on('error', () => {})
  pool.on('connect', client => {
    client.on('error', () => {})
    const { stream } = (client as unknown as { connection: { stream: Socket } }).connection
    stream.setTimeout(RESPONSE_MS, () => stream.destroy())
  })

  const clock = createDatabaseClock()
  await readTime(pool, clock)
  const reading = setInterval(() => readTime(pool, clock).catch(() => {}), TIME_MS)
  let closing: Promise<void> | undefined
  return {
    dialect: postgres,
    clock,
    async run(statements) {
      const [only, ...others] = statements
      if (only && others.length === 0) return [await runOne(pool, only)]
      return runTogether(pool, statements)
    },
    async claim(statement, attempts) {
      return (await runTogether(pool, [attempts ? CLAIM_ALONE : NOT_ON_DISK, statement]))[1] ?? []
    },
    insert: createIntake(
      statement => runOne(pool, statement),
      () => onWork(),
    ),
    onWork(each) {
      onWork = each
    },
    close() {
      clearInterval(reading)
      closing ??= pool.end()
      return closing
    },
  }
}

/** Creates or upgrades the tables. Retries for a minute if another transaction, such as a backup or the upgrade by another relay, holds a lock. */
async function prepare(connect: () => Client, upgrader: Upgrader): Promise<void> {
  for (let tries = 1; ; tries++) {
    const client = connect()
    client.on('error', () => {})
    try {
      await client.connect()
      while (await upgradeSchema(client, upgrader)) tries = 0
      return
    } catch (error) {
      if (!isLocked(error) || tries === LOCK_TRIES) throw error
      await sleep(LOCK_MS)
    } finally {
      await client.end().catch(() => {})
    }
  }
}

/** Reads the server's time. Assumes that the server read its clock in the middle of the request. */
async function readTime(pool: Pool, clock: DatabaseClock): Promise<void> {
  const before = performance.now()
  const [row] = await runOne(pool, TIME)
  clock.set(Number(row?.now), (before + performance.now()) / 2)
}

async function runOne(pool: Pool, statement: PostgresQuery): Promise<Row[]> {
  try {
    return (await pool.query(toQuery(statement))).rows
  } catch (error) {
    throw failure(error)
  }
}

/** Sends all statements of a transaction at once, without waiting for responses in between. If a statement fails, nothing is committed. */
async function runTogether(pool: Pool, statements: PostgresQuery[]): Promise<Row[][]> {
  const client = await pool.connect().catch(error => {
    throw failure(error)
  })
  const responses = await Promise.allSettled([
    client.query('BEGIN'),
    ...statements.map(statement => client.query(toQuery(statement))),
    client.query('COMMIT'),
  ])
  const failed = responses.find(response => response.status === 'rejected')
  client.release(failed !== undefined)
  if (failed) throw failure(failed.reason)
  return responses.slice(1, -1).map(response => (response.status === 'fulfilled' ? response.value.rows : []))
}

const failure = (cause: unknown) => new DatabaseError(`PostgreSQL: ${reason(cause)}`, { cause })

/** Describes an error. After failed attempts at several addresses, the error itself has no message, but contains the error of each address. */
function reason(error: unknown): string {
  const { message, code } = error as { message?: string; code?: string }
  return message || code || 'unknown error'
}

function refusal(url: string, cause: unknown): Error {
  if (cause instanceof PoolerRefused) return cause
  let where = 'that RELAY_DATABASE names'
  try {
    const { hostname, port, pathname, searchParams } = new URL(url)
    const host = hostname || searchParams.get('host') || 'this machine'
    where = `${decodeURIComponent(pathname.slice(1)) || '(default)'} on ${host}:${port || '5432'}`
  } catch {
    // The message doesn't quote the URL or the error, because an invalid URL can contain the password anywhere.
    return new Error(
      "RELAY_DATABASE isn't a PostgreSQL URL: write postgres://user:password@host:5432/database, with special characters of the password percent-encoded.",
    )
  }
  if (cause instanceof SchemaRefused)
    return new Error(`The PostgreSQL database ${where} ${cause.message}`, { cause })
  if (isLocked(cause))
    return new Error(
      `The PostgreSQL database ${where} can't be upgraded, because another transaction, such as a backup or the upgrade by another relay, holds a lock: start the relay again when this transaction has ended.`,
      { cause },
    )
  return new Error(
    `The PostgreSQL database ${where} can't be opened (${reason(cause)}): RELAY_DATABASE must specify a server that this machine can reach, and a user who can create tables in that database.`,
    { cause },
  )
}

/** Thrown if a connection pooler in front of PostgreSQL doesn't keep prepared statements. */
class PoolerRefused extends Error {
  constructor(cause: unknown) {
    super(
      'RELAY_DATABASE points to a connection pooler that uses a different connection for each transaction and keeps no prepared statements. Connect the relay to PostgreSQL directly, set the pooler to session mode, or make it keep prepared statements (PgBouncer: max_prepared_statements).',
      { cause },
    )
    this.name = 'PoolerRefused'
  }
}

/**
 * Uses a prepared statement three times, to detect a connection pooler. A round-robin pooler uses another connection
 * for the second use. A pooler that prefers the latest connection uses another one for the third use, because a
 * transaction then occupies the latest connection.
 * @throws PoolerRefused if the second or third use fails
 */
async function checkPreparedStatements(connect: () => Client): Promise<void> {
  const [user, other] = [connect(), connect()]
  // The pooler's connections keep statements from earlier starts, so the name is different for each start.
  const check = { name: `relay_start_${randomUUID()}`, text: 'SELECT 1' }
  for (const client of [user, other]) client.on('error', () => {})
  try {
    await Promise.all([user.connect(), other.connect()])
    await user.query(check)
    await user.query(check)
    await other.query('BEGIN')
    await user.query(check)
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    // 26000: unknown statement, 42P05: duplicate statement
    // (https://www.postgresql.org/docs/current/errcodes-appendix.html). If the pooler has only one connection to the
    // server, the third use times out.
    if (code === '26000' || code === '42P05' || message === 'Query read timeout')
      throw new PoolerRefused(error)
    throw error
  } finally {
    await Promise.all([user, other].map(client => client.end().catch(() => {})))
  }
}

/** Translates SQLite's schema for PostgreSQL. Repository names are compared byte by byte, as in SQLite. */
const toPostgres = (sql: string) =>
  sql
    .replaceAll(
      /seq INTEGER PRIMARY KEY( AUTOINCREMENT)?/g,
      'seq BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY',
    )
    .replaceAll('INTEGER', 'BIGINT')
    .replaceAll('repository TEXT', 'repository TEXT COLLATE "C"')
    .replaceAll(/ STRICT(, WITHOUT ROWID)?;/g, ';')

/** The fill factor leaves free space in pages, for updates. */
const SCHEMA = `
  ${toPostgres(SQLITE)}
  ALTER TABLE deliveries SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
  ALTER TABLE outbox SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02);
  ALTER TABLE outboxes SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02);
`

/** An arbitrary lock number that no other program uses. */
const LOCK = 0x706f7274

/** How long a migration waits for a lock. The time is short, because other statements wait behind the migration. */
const LOCK_MS = 2_000
const LOCK_TRIES = 15
/** Whether a lock wasn't available in time, or a deadlock was broken. @see https://www.postgresql.org/docs/current/errcodes-appendix.html */
const isLocked = (error: unknown) => ['55P03', '40P01'].includes(String((error as { code?: string }).code))

/**
 * Creates the tables, or applies the first missing migration, in one transaction with the new version.
 * @returns whether to call this function again
 */
async function upgradeSchema(client: ClientBase, upgrader: Upgrader): Promise<boolean> {
  // At this isolation level, the relay sees tables that another relay created while this relay waited for the lock.
  await client.query(
    `BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = ${LOCK_MS};
     SELECT pg_advisory_xact_lock(${LOCK})`,
  )
  try {
    await client.query('CREATE TABLE IF NOT EXISTS relay_schema (version INTEGER NOT NULL)')
    const { rows } = await client.query<{ version: number }>('SELECT version FROM relay_schema')
    const version = rows[0]?.version
    let missing: string[] = []
    if (version === undefined) {
      const created = [
        SCHEMA,
        ...MIGRATIONS.map(toPostgres),
        `INSERT INTO relay_schema VALUES (${schemaVersion()})`,
      ]
      await client.query(created.join(';'))
    } else {
      const { rows } = await client.query<{ owner: string | null }>(
        'SELECT client_id AS owner FROM organization',
      )
      missing = missingMigrations({ version, owner: rows[0]?.owner ?? null }, upgrader)
      const [next] = missing
      if (next) await client.query(`${toPostgres(next)}; UPDATE relay_schema SET version = ${version + 1}`)
    }
    await client.query('COMMIT')
    return missing.length > 1
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {})
    throw error
  }
}
