import { createStore } from '../../relay/store/create-store.ts'
import { createDatabaseClock, type Row, type Statement, sqlite } from '../../relay/store/database.ts'
import { toRow, toUseRow } from '../../relay/store/sql/intake.ts'
import { openSqliteFile } from '../../relay/store/sqlite/file.ts'
import type { Store } from '../../relay/store/store.ts'

const turn = () => new Promise(resolve => setImmediate(resolve))

/** Opens a store without {@link openStore}'s threads, because starting them takes longer than most tests run. */
export async function openStoreHere(path: string, dispatchRate = 0): Promise<Store> {
  const file = openSqliteFile(path)
  const run = async (requests: Statement[][], claims = false): Promise<Row[][]> => {
    await turn()
    const [response] = file.run({ inserts: [], requests, claims }).rows
    if (typeof response === 'string') throw new Error(`SQLite: ${response}`)
    return response!
  }
  return createStore(
    {
      dialect: sqlite,
      clock: createDatabaseClock(),
      run: statements => run([statements]),
      claim: async statement => (await run([[statement]], true))[0] ?? [],
      async insert(delivery, use) {
        await turn()
        const [response] = file.run({
          inserts: [{ row: toRow(delivery), use: use ? toUseRow(use, delivery.id) : null }],
          requests: [],
          claims: false,
        }).inserted
        if (typeof response === 'string') throw new Error(`SQLite: ${response}`)
        return response!
      },
      onWork() {},
      async close() {
        file.close()
      },
    },
    dispatchRate,
  )
}
