import { randomUUID } from 'node:crypto'
import { statSync } from 'node:fs'
import { IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { deliveryId } from '../../relay/intake/verify.ts'
import type { Backend } from '../../relay/store/database.ts'
import { openBackend, openStore } from '../../relay/store/open.ts'
import { toRow } from '../../relay/store/sql/intake.ts'
import { type Batch, openSqliteFile, type Responses } from '../../relay/store/sqlite/file.ts'
import { createStore } from '../../relay/store/store.ts'
import type { FakeServer } from '../../simulator/http-server.ts'
import { openReceiving } from '../support/receiving.ts'
import { temporaryFolder } from '../support/relay.ts'
import { newDatabase } from '../support/shared-postgres.ts'
import { RUN, startSystem } from '../support/system.ts'
import { aDelivery } from './place.ts'

/*
 * The costs of a webhook, its dispatch, its messages to Port, and its run until success; of a webhook that is claimed as
 * soon as the worker is woken; and of forty webhooks at once. The costs don't depend on the machine. To raise a cost,
 * explain the reason in the commit.
 */

/**
 * `claims`: commits that don't wait for the disk. `threads`: messages to SQLite's thread, each of which gets one
 * response. `wakes`: notices to the workers. `github` and `port`: requests.
 */
const NOTHING = { statements: 0, rows: 0, commits: 0, claims: 0, threads: 0, wakes: 0, github: 0, port: 0 }
type Counts = typeof NOTHING

const COSTS: Record<'sqlite' | 'postgres', Record<string, Partial<Counts>>> = {
  sqlite: {
    webhook: { statements: 1, rows: 1, commits: 1, threads: 1, wakes: 1 },
    dispatch: { statements: 7, rows: 6, commits: 2, threads: 2, wakes: 1, github: 1 },
    messages: { statements: 5, rows: 5, commits: 2, claims: 1, threads: 3, port: 2 },
    run: { statements: 55, rows: 31, commits: 22, claims: 13, threads: 35, wakes: 6, github: 5, port: 7 },
    claimed: { statements: 2, rows: 2, commits: 1, threads: 1, wakes: 1 },
    forty: { statements: 40, rows: 40, commits: 1, threads: 1, wakes: 1 },
  },
  postgres: {
    webhook: { statements: 1, rows: 1, commits: 1, wakes: 1 },
    dispatch: { statements: 8, rows: 6, commits: 2, wakes: 1, github: 1 },
    messages: { statements: 6, rows: 5, commits: 2, claims: 1, port: 2 },
    run: { statements: 76, rows: 31, commits: 23, claims: 13, wakes: 6, github: 5, port: 7 },
    claimed: { statements: 3, rows: 2, commits: 2, wakes: 1 },
    forty: { statements: 1, rows: 40, commits: 1, wakes: 1 },
  },
}

function countSqlite(counts: Counts): void {
  const { postMessage } = Worker.prototype
  const heard = new WeakSet<Worker>()
  Worker.prototype.postMessage = function (batch: Batch) {
    if (batch.inserts) {
      counts.threads++
      counts[batch.claims ? 'claims' : 'commits']++
      counts.statements += batch.inserts.length + batch.requests.flat().length
      if (!heard.has(this)) this.on('message', ({ changed }: Responses) => (counts.rows += changed))
      heard.add(this)
    }
    postMessage.call(this, batch)
  }
  onTestFinished(() => void Object.assign(Worker.prototype, { postMessage }))
}

/** Counts the prepared statements: all statements except those that open connections or send notices. */
function countPostgres(counts: Counts): void {
  type Result = { rowCount: number; command: string }
  const { query } = pg.Client.prototype as unknown as { query: (...given: unknown[]) => unknown }
  const inTransaction = new WeakMap<object, 'commits' | 'claims'>()
  const note = (result: Result) => {
    if (result.command !== 'SELECT') counts.rows += result.rowCount ?? 0
    return result
  }
  Object.assign(pg.Client.prototype, {
    query(this: pg.Client, given: string | pg.QueryConfig, ...more: unknown[]) {
      const text = typeof given === 'string' ? given : given.text
      const isOurs = typeof given === 'object' && given.name && !text.includes('clock_timestamp')
      if (text === 'BEGIN') inTransaction.set(this, 'commits')
      if (text.startsWith('SET LOCAL synchronous_commit')) inTransaction.set(this, 'claims')
      if (text === 'COMMIT') counts[inTransaction.get(this) ?? 'commits']++
      if (text === 'COMMIT') inTransaction.delete(this)
      if (!isOurs) return query.call(this, given, ...more)
      counts.statements++
      if (!inTransaction.has(this)) counts.commits++
      const callback = more.findLast(each => typeof each === 'function')
      if (!callback) return (query.call(this, given) as Promise<Result>).then(note)
      return query.call(this, given, (error: unknown, result: Result) =>
        callback(error, result && note(result)),
      )
    },
  })
  onTestFinished(() => void Object.assign(pg.Client.prototype, { query }))
}

async function open(kind: keyof typeof COSTS) {
  const path = join(temporaryFolder(), 'relay.db')
  const store = await openStore(kind === 'sqlite' ? { kind, path } : { kind, url: await newDatabase() })
  onTestFinished(store.close)
  return store
}

test.each(['sqlite', 'postgres'] as const)('what a delivery costs on %s', async kind => {
  const counts = { ...NOTHING }
  ;(kind === 'sqlite' ? countSqlite : countPostgres)(counts)
  const store = await open(kind)
  store.onWork(() => counts.wakes++)
  const system = await startSystem({ file: store })
  const relay = await openReceiving({ store: { ...store, clock: system.now } })
  const costOf = async (work: () => Promise<unknown>): Promise<Partial<Counts>> => {
    Object.assign(counts, NOTHING)
    for (const service of [system.github, system.port]) service.clearRequests()
    await work()
    const count = ({ requests }: Pick<FakeServer, 'requests'>) => requests.length
    const all = { ...counts, github: count(system.github), port: count(system.port) }
    return Object.fromEntries(Object.entries(all).filter(([, amount]) => amount > 0))
  }
  const webhook = async (id: string) => {
    system.port.createRun({ id })
    const body = { run: { id }, action: { identifier: 'deploy' }, inputs: { a: 1 } }
    expect((await relay.post({ body })).status).toBe(202)
  }
  await webhook('r_warm')
  await system.settle()
  const costs = {
    webhook: await costOf(() => webhook(RUN)),
    dispatch: await costOf(system.step),
    messages: await costOf(system.send),
    run: await costOf(async () => {
      const run = system.run(`deploy ${RUN}`, { status: 'in_progress' })
      await system.webhook(run)
      await system.settle()
      system.end(run, 'success')
      await system.webhook(run)
      await system.settle()
      // The relay waits for reports of the finished run.
      system.advance(30_000)
      await system.settle()
    }),
    claimed: await costOf(async () => {
      const { promise, resolve } = Promise.withResolvers()
      const forget = store.onWork(() => resolve(store.claimQueued(system.now(), 1, 1, '')))
      await Promise.all([webhook('r_claimed'), promise])
      forget()
    }),
    forty: await costOf(() => Promise.all(Array.from({ length: 40 }, (_, i) => webhook(`r_${i}`)))),
  }
  expect(system.port.run(RUN).status).toBe('SUCCESS')
  expect(costs).toEqual(COSTS[kind])
})

test('on SQLite, an idle relay starts a dispatch before it responds to the webhook', async () => {
  const store = await open('sqlite')
  const order: string[] = []
  store.onWork(async () => {
    await store.claimQueued(Date.now(), 1, 1, '')
    setImmediate(() => order.push('dispatch'))
  })
  await store.accept(aDelivery())
  order.push('response')
  expect(order).toEqual(['dispatch', 'response'])
})

test('on PostgreSQL, claims with a plan for one waiting delivery read as little if 10,000 deliveries wait', async () => {
  const backend = await openBackend({ kind: 'postgres', url: await newDatabase() })
  // PostgreSQL counts from the last time that the connection was idle for a second.
  const sql = `SELECT seq_tup_read + idx_tup_fetch AS read FROM pg_stat_xact_user_tables WHERE relname = 'deliveries'`
  const reads: number[] = []
  const run: Backend['run'] = async statements => {
    const [before, ...rows] = await backend.run([{ sql, params: [] }, ...statements, { sql, params: [] }])
    reads.push(Number(rows.pop()?.[0]?.read) - Number(before?.[0]?.read ?? 0))
    return rows
  }
  const store = createStore({ ...backend, run, claim: async statement => (await run([statement]))[0] ?? [] })
  onTestFinished(store.close)
  for (const amount of [1, 99, 9_900]) {
    await Promise.all(Array.from({ length: amount }, () => store.accept(aDelivery())))
    for (const now of [2000, 3000]) await store.claimQueued(amount + now, 1, 20, 'owner:')
    await store.nextDue(0)
  }
  expect(Math.max(...reads)).toBeLessThan(10)
})

test('a webhook of 1.4 KB writes at most 6.5 KB on SQLite if 32 share a commit', () => {
  const path = join(temporaryFolder(), 'relay.db')
  const file = openSqliteFile(path)
  onTestFinished(file.close)
  const invocation = 'x'.repeat(1400)
  /** Returns the size of the log, which grows until a checkpoint. */
  const write = (commits: number) => {
    for (let i = 0; i < commits; i++) {
      const inserts = Array.from({ length: 32 }, () =>
        toRow(aDelivery({ id: deliveryId(i), invocation, runId: `r_${randomUUID()}` })),
      )
      file.run({ inserts, requests: [], claims: false })
    }
    return statSync(`${path}-wal`).size
  }
  const before = write(100)
  expect((write(100) - before) / 3200).toBeLessThan(6.5 * 1024)
})

test('a body that arrives with its head is read without listeners, which would double the memory under load', async () => {
  const post = await (await openReceiving()).listen()
  const { on } = IncomingMessage.prototype
  onTestFinished(() => void Object.assign(IncomingMessage.prototype, { on }))
  const events: unknown[] = []
  Object.assign(IncomingMessage.prototype, {
    on(this: IncomingMessage, event: string, listener: () => void) {
      events.push(event)
      return on.call(this, event, listener)
    },
  })
  for (let n = 0; n < 5; n++) expect((await post({ body: { n } })).status).toBe(202)
  expect(events).not.toContain('data')
})
