import pg from 'pg'
import { expect, onTestFinished, test, vi } from 'vitest'
import { openStore } from '../../relay/store/open.ts'
import { newDatabase } from '../support/shared-postgres.ts'

/** Makes a connection behave as behind a transaction pooler. `given` is called for each prepared statement. */
function poolPrepared(given: (client: pg.Client, query: () => Promise<unknown>) => Promise<unknown>): void {
  const { query } = pg.Client.prototype
  const pooled = vi.spyOn(pg.Client.prototype, 'query')
  onTestFinished(() => pooled.mockRestore())
  pooled.mockImplementation(function (this: pg.Client, ...args: unknown[]) {
    const send = () => (query as (...given: unknown[]) => Promise<unknown>).apply(this, args)
    return (args[0] as { name?: string }).name ? given(this, send) : send()
  } as typeof query)
}

let uses = 0
test.each<[string, Parameters<typeof poolPrepared>[0]]>([
  // The next transaction uses another connection, on which the statement doesn't exist.
  [
    'each transaction uses another connection',
    async (client, query) => {
      const result = await query()
      await client.query('DEALLOCATE ALL')
      return result
    },
  ],
  [
    'there is only one connection',
    (client, query) =>
      ++uses < 3
        ? query()
        : client.query({ text: 'SELECT pg_sleep(5)', query_timeout: 50 } as pg.QueryConfig),
  ],
])('refuses to start behind a transaction pooler without prepared statements: %s', async (_, pooled) => {
  const url = await newDatabase()
  poolPrepared(pooled)
  await expect(openStore({ kind: 'postgres', url })).rejects.toThrow(
    'RELAY_DATABASE points to a connection pooler that uses a different connection for each transaction and keeps no prepared statements.',
  )
})
