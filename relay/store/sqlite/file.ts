import { closeSync, existsSync, mkdirSync, openSync, realpathSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { Row, Statement } from '../database.ts'
import { codeOf, type Failure, isFailure } from '../failures.ts'
import {
  FIRST_VERSION,
  MIGRATIONS,
  missingMigrations,
  SchemaRefused,
  schemaVersion,
  type Upgrader,
} from '../migrations.ts'
import { QUEUED } from '../sql/claims.ts'
import { INSERT } from '../sql/intake.ts'
import { SCHEMA } from './schema.ts'

export interface Batch {
  inserts: Statement['params'][]
  requests: Statement[][]
  /** Whether the batch contains nothing but claims, which needn't be on disk. */
  claims: boolean
}

/** The responses to a batch, in the order of its items. */
export interface Responses {
  /** Whether each delivery was written; false if it already existed. */
  inserted: (boolean | Failure)[]
  rows: (Row[][] | Failure)[]
  /** The number of changed rows. Infinity after a failed commit: a checkpoint then follows, which can free space on a full disk. */
  changed: number
}

/**
 * @param upgrader the relay, which upgrades the schema of an earlier version
 * @throws Error if the file can't be opened or another relay has locked it; the message includes the path
 */
export function openSqliteFile(path: string, upgrader: Upgrader = {}) {
  let owner: DatabaseSync | undefined
  try {
    makeFolder(dirname(path))
    makePrivate(path)
    // Symbolic links are resolved, so that all paths to the file use the same lock.
    const file = realpathSync(path)
    makePrivate(`${file}-owner`)
    owner = holdAlone(`${file}-owner`)
    const database = open(file, upgrader)
    const { ino } = statSync(file)
    const write = createWriter(database)
    const isThere = () => statSync(file, { throwIfNoEntry: false })?.ino === ino
    return {
      /** Writes a batch in one commit. A failed item loses only its own changes. If the commit fails, all changes are lost. */
      run(batch: Batch): Responses {
        if (isThere()) return write(batch)
        // Without this check, SQLite would continue to write to the deleted file.
        const why = `the file ${file} was deleted or replaced: put it back, or restart the relay`
        return failed(batch, { failed: why, code: 'REPLACED' })
      },
      /** Moves the rest of the log into the file, so that the next commit can start the log again. If this fails, the log stays as it is. */
      endCheckpoint() {
        try {
          if (isThere()) database.exec('PRAGMA wal_checkpoint(PASSIVE)')
        } catch {}
      },
      close() {
        database.close()
        owner?.close()
      },
    }
  } catch (error) {
    owner?.close()
    throw new Error(sentence(error, path), { cause: error })
  }
}

function open(path: string, upgrader: Upgrader): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: LOCK_MS })
  // With small pages, inserting a random key into an index writes fewer bytes. A larger cache wouldn't be faster,
  // because the operating system also caches the file. A separate thread starts checkpoints, and `endCheckpoint`
  // completes them. A commit runs a checkpoint only if the log exceeds 256 MB.
  database.exec(`
    PRAGMA page_size = 2048;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA temp_store = MEMORY;
    PRAGMA cache_size = -4096;
    PRAGMA wal_autocheckpoint = 131072;`)
  try {
    upgradeSchema(database, upgrader)
  } catch (error) {
    database.close()
    throw error
  }
  // Ends all leases: this relay has locked the file, so the relays that held them have stopped.
  database.exec(`
    UPDATE deliveries SET lease_until = 0 WHERE ${QUEUED} AND lease_until > 0;
    UPDATE deliveries SET lease_until = 0 WHERE state IN ('dispatched', 'running') AND lease_until > 0;
    UPDATE outboxes SET lease_until = 0;`)
  return database
}

/** Creates a folder and its parents. In folders such as /proc, Node's `mkdirSync` with `recursive` would never return. */
function makeFolder(path: string): void {
  if (existsSync(path)) return
  makeFolder(dirname(path))
  mkdirSync(path)
}

/** Creates a missing file that only its owner can read. SQLite creates its log with the same mode. */
const makePrivate = (path: string) => closeSync(openSync(path, 'a', 0o600))

class InUse extends Error {}

/** @see https://www.sqlite.org/rescode.html#busy */
const BUSY = 5
/** How long a commit waits for another process that has locked the file for writing. */
const LOCK_MS = 5_000

/** Acquires a lock. The kernel releases the lock if the process is killed. */
function holdAlone(path: string): DatabaseSync {
  const owner = new DatabaseSync(path, { timeout: 0 })
  try {
    owner.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
  } catch (cause) {
    owner.close()
    throw (cause as { errcode?: number }).errcode === BUSY ? new InUse('in use', { cause }) : cause
  }
  return owner
}

/** Returns the version of the schema and, if the file has tables, the owner. */
export function storedIn(database: DatabaseSync): { version: number; owner: string | null } {
  const version = Number(database.prepare('PRAGMA user_version').get()?.user_version)
  const row = version >= FIRST_VERSION && database.prepare('SELECT client_id FROM organization').get()
  return { version, owner: row ? (row.client_id as string | null) : null }
}

/** Creates the tables of a new file, or applies each missing migration in a transaction of its own. */
function upgradeSchema(database: DatabaseSync, upgrader: Upgrader): void {
  const stored = storedIn(database)
  const isNew = stored.version === 0
  const missing = isNew ? [[SCHEMA, ...MIGRATIONS].join(';')] : missingMigrations(stored, upgrader)
  for (const [i, migration] of missing.entries()) {
    const version = isNew ? schemaVersion() : stored.version + i + 1
    database.exec(`BEGIN IMMEDIATE; ${migration}; PRAGMA user_version = ${version}; COMMIT`)
  }
}

function createWriter(database: DatabaseSync) {
  const prepared = new Map<string, StatementSync>()
  const prepare = (sql: string) => {
    const statement = prepared.get(sql) ?? database.prepare(plannedOnce(sql))
    prepared.set(sql, statement)
    return statement
  }
  const insert = prepare(INSERT)
  const changes = prepare('SELECT total_changes() AS total')
  let [claims, total] = [false, 0]

  return function write(batch: Batch, opening: 'BEGIN IMMEDIATE' | 'BEGIN' = 'BEGIN IMMEDIATE'): Responses {
    try {
      if (batch.claims !== claims) {
        database.exec(`PRAGMA synchronous = ${batch.claims ? 'NORMAL' : 'FULL'}`)
        claims = batch.claims
      }
      database.exec(opening)
      const inserted = batch.inserts.map(row => attempt(() => insert.run(...row).changes === 1))
      const rows = batch.requests.map(runOne)
      database.exec('COMMIT')
      const before = total
      total = Number(changes.get()?.total)
      return { inserted, rows, changed: total - before }
    } catch (error) {
      // The commit failed, for example because the disk is full, so nothing was written.
      if (database.isTransaction) database.exec('ROLLBACK')
      const { rows, ...all } = failed(batch, failureOf(error))
      if (opening === 'BEGIN') return { rows, ...all }
      // Retries each request in a transaction of its own, because reads and small writes can still succeed. Without
      // IMMEDIATE, reads succeed while another process has locked the file for writing. Writes don't wait again for this lock.
      const alone = (request: Statement[]) =>
        write({ ...batch, inserts: [], requests: [request] }, 'BEGIN').rows[0]!
      database.exec('PRAGMA busy_timeout = 0')
      const retried = batch.requests.map(alone)
      database.exec(`PRAGMA busy_timeout = ${LOCK_MS}`)
      return { ...all, rows: retried }
    }
  }

  function runOne(statements: Statement[]): Row[][] | Failure {
    const run = () => statements.map(({ sql, params }) => prepare(sql).all(...params) as Row[])
    if (statements.length === 1) return attempt(run)
    database.exec('SAVEPOINT request')
    const rows = attempt(run)
    database.exec(isFailure(rows) ? 'ROLLBACK TO request; RELEASE request' : 'RELEASE request')
    return rows
  }

  /** Runs an item, and undoes only this item if it fails. @throws Error if SQLite has rolled back the whole transaction */
  function attempt<T>(work: () => T): T | Failure {
    try {
      return work()
    } catch (error) {
      if (!database.isTransaction) throw error
      return failureOf(error)
    }
  }
}

/** Turns the parameter of LIMIT into an expression, so that SQLite doesn't plan the statement again for each call. */
const plannedOnce = (sql: string) => sql.replace(/LIMIT (\?\d+)/g, 'LIMIT $1 + 0')

const failureOf = (error: unknown): Failure => ({ failed: (error as Error).message, code: codeOf(error) })

function failed({ inserts, requests }: Batch, failure: Failure): Responses {
  return { inserted: inserts.map(() => failure), rows: requests.map(() => failure), changed: Infinity }
}

function sentence(error: unknown, path: string): string {
  const { code, message, errcode } = error as { code?: string; message: string; errcode?: number }
  if (error instanceof SchemaRefused) return `The database ${path} ${message}`
  if (error instanceof InUse)
    return `Another relay is running on ${path}: stop that relay first, or give each relay its own file.`
  if (errcode === BUSY)
    return `The database ${path} is locked by another process, such as a backup or a shell with an open transaction: stop that process.`
  return `The database ${path} can't be opened (${code?.startsWith('E') && code !== 'ERR_SQLITE_ERROR' ? code : message}): RELAY_DATABASE must be a file in a folder that the relay can write to.`
}
