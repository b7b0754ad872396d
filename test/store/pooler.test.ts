import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { readConfig } from '../../relay/config/config.ts'
import { openStore } from '../../relay/store/open.ts'
import { openRelayHere, relayEnv } from '../support/relay.ts'
import { send } from '../support/send.ts'
import { newDatabase } from '../support/shared-postgres.ts'
import { type PoolerOptions, startPooler } from '../support/transaction-pooler.ts'

async function openPooler(options: PoolerOptions): Promise<string> {
  const pooler = await startPooler(await newDatabase(), options)
  onTestFinished(() => pooler.close())
  return pooler.url
}

/** Leaves two connections in the pooler. `more` determines which connection the pooler assigns next. */
async function useTwo(url: string, more: number): Promise<void> {
  const clients = [new pg.Client(url), new pg.Client(url)] as const
  await Promise.all(clients.map(client => client.connect()))
  await Promise.all(clients.map(client => client.query('BEGIN')))
  await Promise.all(clients.map(client => client.query('COMMIT')))
  for (let i = 0; i < more; i++) await clients[0].query('SELECT 1')
  await Promise.all(clients.map(client => client.end()))
}

test.each<[string, PoolerOptions]>([
  ['assigning the most recently used connection', { mode: 'transaction', size: 5, next: 'last used' }],
  ['assigning connections in turn', { mode: 'transaction', size: 5, next: 'longest unused' }],
  ['with a single connection', { mode: 'transaction', size: 1, next: 'last used' }],
])(
  'refuses to start behind a transaction pooler without prepared statements (%s)',
  async (_which, options) => {
    const url = await openPooler(options)
    for (let i = 0; i < Math.min(3, options.size); i++) {
      if (options.size > 1) await useTwo(url, i)
      const { message } = await openStore(readConfig(relayEnv({ RELAY_DATABASE: url })).database).then(
        () => new Error('opened'),
        error => error as Error,
      )
      expect(message).toContain(
        'RELAY_DATABASE points to a connection pooler that uses a different connection for each transaction and keeps no prepared statements.',
      )
      expect(message).not.toContain('password@')
    }
  },
  90_000,
)

test('a relay accepts webhooks behind a pooler in session mode', async () => {
  const url = await openPooler({ mode: 'session', size: 30, next: 'last used' })
  const relay = await openRelayHere(relayEnv({ RELAY_DATABASE: url }))
  const responses = await Promise.all(
    Array.from({ length: 20 }, (_, i) => send(relay.url, { body: { run: { id: `r_${i}` }, inputs: {} } })),
  )
  expect(responses.map(({ status }) => status)).toEqual(responses.map(() => 202))
  expect((await fetch(`${relay.url}/readyz`)).status).toBe(200)
})
