import { DatabaseSync } from 'node:sqlite'
import type { Config } from '../config/config.ts'
import { createStore } from './create-store.ts'
import { type Backend, createDatabaseClock, type Row, sqlite } from './database.ts'
import { openPostgres } from './postgres/postgres.ts'
import { openSqlite } from './sqlite/sqlite.ts'
import type { Store } from './store.ts'

/**
 * Opens the store that the configuration names.
 *
 * @param dispatchRate dispatches a minute, 0 for no limit
 * @throws Error with a sentence naming the path or server
 */
export async function openStore(database: Config['database'], dispatchRate: number): Promise<Store> {
  return createStore(await openBackend(database), dispatchRate)
}

/** Opens the store for a command that reads it while a relay may run on it. */
export async function openStoreToRead(
  database: Config['database'],
): Promise<Pick<Store, 'list' | 'invocations' | 'close'>> {
  const backend =
    database.kind === 'postgres' ? await openPostgres(database.url) : openSqliteReadOnly(database.path)
  return createStore(backend, 0)
}

/** Opens the database alone. */
export function openBackend(database: Config['database']): Promise<Backend> {
  return database.kind === 'postgres' ? openPostgres(database.url) : openSqlite(database.path)
}

/**
 * Opens a SQLite file to read it, also while a relay runs on it.
 *
 * @throws Error of Node's, where there is no such file
 */
function openSqliteReadOnly(path: string): Backend {
  const database = new DatabaseSync(path, { readOnly: true, timeout: 5000 })
  const refuse = async () => {
    throw new Error(`The database ${path} was opened to be read.`)
  }
  return {
    dialect: sqlite,
    clock: createDatabaseClock(),
    run: async statements =>
      statements.map(({ sql, params }) => database.prepare(sql).all(...params) as Row[]),
    claim: refuse,
    insert: refuse,
    onWork() {},
    async close() {
      database.close()
    },
  }
}
