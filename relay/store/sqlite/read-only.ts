import { DatabaseSync } from 'node:sqlite'
import { createDatabaseClock } from '../clock.ts'
import type { Backend, Row } from '../database.ts'
import { sqlite } from '../sql/dialect.ts'

/**
 * Opens a SQLite file to read it, also while a relay runs on it.
 *
 * @throws Error of Node's, where there is no such file
 */
export function openSqliteReadOnly(path: string): Backend {
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
