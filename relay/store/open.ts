import { realpathSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import type { Config } from '../config/config.ts'
import { type Backend, type Row, sqlite } from './database.ts'
import { missingMigrations, type Upgrader } from './migrations.ts'
import { openPostgres } from './postgres/postgres.ts'
import { storedIn } from './sqlite/file.ts'
import { openSqlite } from './sqlite/sqlite.ts'
import { createStore, type Store } from './store.ts'

/**
 * Opens the store.
 * @param upgrader the relay, which upgrades the schema of an earlier version; null for a command
 * @throws Error whose message includes the path or server
 */
export async function openStore(database: Config['database'], upgrader: Upgrader = {}): Promise<Store> {
  return createStore(await openBackend(database, upgrader))
}

/** The methods that return the same data to all relays on a database. */
export type SharedReads = 'counts' | 'backlog' | 'stalled' | 'withoutRunner' | 'freezes'

/** Opens the store for a command, even while a relay uses it. A SQLite file must exist. Mode `write`: the command can call {@link Store.ping}. */
export async function openStoreForCommand(
  database: Config['database'],
  mode: 'read' | 'write',
): Promise<Pick<Store, 'organization' | 'list' | 'invocations' | 'ping' | 'clock' | 'close' | SharedReads>> {
  const backend =
    database.kind === 'postgres'
      ? await openPostgres(database.url, null)
      : openSqliteForCommand(database.path, mode)
  return createStore(backend)
}

export const openBackend = (database: Config['database'], upgrader: Upgrader = {}): Promise<Backend> =>
  database.kind === 'postgres'
    ? openPostgres(database.url, upgrader)
    : openSqlite(database.path, { upgrader })

/** Opens a SQLite file. @throws Node's error if the file doesn't exist; Error if it has another schema */
function openSqliteForCommand(path: string, mode: 'read' | 'write'): Backend {
  const database = new DatabaseSync(realpathSync(path), { readOnly: mode === 'read', timeout: 5000 })
  try {
    missingMigrations(storedIn(database), null)
  } catch (error) {
    database.close()
    throw new Error(`The database ${path} ${(error as Error).message}`, { cause: error })
  }
  const refuse = async () => {
    throw new Error(`The database ${path} was opened for a command that only reads or pings.`)
  }
  return {
    dialect: sqlite,
    clock: { now: Date.now },
    async run(statements) {
      database.exec(mode === 'read' ? 'BEGIN' : 'BEGIN IMMEDIATE')
      try {
        const rows = statements.map(({ sql, params }) => database.prepare(sql).all(...params) as Row[])
        database.exec('COMMIT')
        return rows
      } finally {
        if (database.isTransaction) database.exec('ROLLBACK')
      }
    },
    claim: refuse,
    insert: refuse,
    onWork() {},
    async close() {
      database.close()
    },
  }
}
