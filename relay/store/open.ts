import { realpathSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import type { Config } from '../config/config.ts'
import { type Backend, type Row, sqlite } from './database.ts'
import { openPostgres } from './postgres/postgres.ts'
import { openSqlite } from './sqlite/sqlite.ts'
import { createStore, type Store } from './store.ts'

/** Opens the store. @throws Error whose message includes the path or server */
export async function openStore(database: Config['database']): Promise<Store> {
  return createStore(await openBackend(database))
}

/** Opens the store for a command, even while a relay uses it. A SQLite file must exist. Mode `write`: the command can call {@link Store.ping}. */
export async function openStoreForCommand(
  database: Config['database'],
  mode: 'read' | 'write',
): Promise<
  Pick<
    Store,
    'organization' | 'list' | 'invocations' | 'stalled' | 'withoutRunner' | 'freezes' | 'ping' | 'close'
  >
> {
  const backend =
    database.kind === 'postgres'
      ? await openPostgres(database.url)
      : openSqliteForCommand(database.path, mode)
  return createStore(backend)
}

/** Explains that the database belongs to another Port organization. */
export const ofAnotherOrganization = (stored: string | null, clientId: string | null) =>
  `The database (RELAY_DATABASE) belongs to the Port organization with the client ID ${stored}, but PORT_CLIENT_ID is ${clientId ?? 'not set'}: correct PORT_CLIENT_ID, or use another database for this organization. docs/database.md shows how to change the stored client ID.`

export const openBackend = (database: Config['database']): Promise<Backend> =>
  database.kind === 'postgres' ? openPostgres(database.url) : openSqlite(database.path)

/** Opens a SQLite file. @throws Node's error if the file doesn't exist */
function openSqliteForCommand(path: string, mode: 'read' | 'write'): Backend {
  const database = new DatabaseSync(realpathSync(path), { readOnly: mode === 'read', timeout: 5000 })
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
