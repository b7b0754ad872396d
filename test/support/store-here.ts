import { type Statement, sqlite } from '../../relay/store/database.ts'
import { type Failure, isFailure } from '../../relay/store/failures.ts'
import type { Upgrader } from '../../relay/store/migrations.ts'
import { toRow } from '../../relay/store/sql/intake.ts'
import { type Batch, openSqliteFile } from '../../relay/store/sqlite/file.ts'
import type { Store } from '../../relay/store/store.ts'
import { createStore } from '../../relay/store/store.ts'

/** Opens a store without {@link openStore}'s threads, because starting them takes longer than most tests run. */
export async function openStoreHere(path: string, upgrader?: Upgrader): Promise<Store> {
  const file = openSqliteFile(path, upgrader)
  const commit = async ({ inserts = [], requests = [] }: Partial<Batch>) => {
    await new Promise(resolve => setImmediate(resolve))
    // Like claims, commits don't wait for the disk: they survive a killed process, but not a power failure.
    const { inserted, rows } = file.run({ inserts, requests, claims: true })
    return { inserted: firstOf(inserted), rows: firstOf(rows) ?? [] }
  }
  const run = async (statements: Statement[]) => (await commit({ requests: [statements] })).rows
  return createStore({
    dialect: sqlite,
    clock: { now: Date.now },
    run,
    claim: async statement => (await run([statement]))[0] ?? [],
    insert: async delivery => (await commit({ inserts: [toRow(delivery)] })).inserted === true,
    onWork() {},
    async close() {
      file.close()
    },
  })
}

function firstOf<T>([response]: (T | Failure)[]): T | undefined {
  if (isFailure(response)) throw new Error(`SQLite: ${response.failed}`, { cause: response })
  return response
}
