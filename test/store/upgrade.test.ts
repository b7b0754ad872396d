import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { afterEach, describe, expect, onTestFinished, test } from 'vitest'
import { STATES } from '../../relay/delivery/delivery.ts'
import { MIGRATIONS, missingMigrations, schemaVersion } from '../../relay/store/migrations.ts'
import { openStore, openStoreForCommand } from '../../relay/store/open.ts'
import { SCHEMA } from '../../relay/store/sqlite/schema.ts'
import type { Store } from '../../relay/store/store.ts'
import { until } from '../../simulator/http-server.ts'
import { TEST_ENV } from '../support/environment.ts'
import { relayEnv, runRelay, startRelay, startServices } from '../support/relay.ts'
import { send } from '../support/requests.ts'
import { newDatabase } from '../support/shared-postgres.ts'
import { openStoreHere } from '../support/store-here.ts'
import { type Address, acceptAll, aLine, applyTo, get, runSql, usePlace } from './place.ts'
import { callEverything } from './suites/plans.ts'

const NEXT = [
  'ALTER TABLE deliveries ADD COLUMN later TEXT',
  'CREATE INDEX deliveries_later ON deliveries (later)',
]
const MAIN = join(import.meta.dirname, '../../cli/main.ts')
const FLAGS = ['--import', join(import.meta.dirname, '../support/next-schema.ts')]
/** Statements that take seconds. */
const SLOW = {
  sqlite: `CREATE TABLE slow AS
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000000) SELECT max(i) AS i FROM n`,
  postgres: 'SELECT pg_sleep(5)',
}

/** Whether a relay is in the middle of {@link SLOW}. */
async function isMigrating(address: Address): Promise<boolean> {
  if (address.kind === 'sqlite') {
    const database = new DatabaseSync(address.path, { timeout: 0 })
    try {
      database.exec('BEGIN IMMEDIATE')
      return false
    } catch {
      return true
    } finally {
      database.close()
    }
  }
  const client = new pg.Client(address.url)
  await client.connect()
  const sql = 'SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE $1'
  const { rows } = await client.query(sql, [`${SLOW.postgres}%`])
  await client.end()
  return rows.length > 0
}

/** Makes the relays of this process relays of the next version. */
function upgradeHere(...migrations: string[]): void {
  const before = MIGRATIONS.length
  MIGRATIONS.push(...migrations)
  onTestFinished(() => void MIGRATIONS.splice(before))
}

const urlOf = (address: Address) => (address.kind === 'sqlite' ? `sqlite:${address.path}` : address.url)

describe.each(['sqlite', 'postgres'] as const)('an upgrade of a database (%s)', kind => {
  const place = usePlace(kind)

  /** Opens the store in this process, so that the migrations of this process apply. */
  async function open(address: Address, clientId?: string) {
    const upgrader = { clientId }
    const store =
      address.kind === 'sqlite'
        ? await openStoreHere(address.path, upgrader)
        : await openStore(address, upgrader)
    opened.push(store)
    return store
  }
  const opened: Store[] = []
  afterEach(async () => {
    await Promise.all(opened.splice(0).map(store => store.close()))
  })

  async function placeDeliveries() {
    const address = await place.empty()
    const store = await open(address)
    const ids = await acceptAll(store, ...STATES.map((_, i) => ({ repository: `acme/${i}` })))
    for (const [i, state] of STATES.entries())
      await applyTo(store, ids[i]!, { change: { state, reason: state }, messages: [aLine(state)] })
    const read = async (from = store) => Promise.all(ids.map(id => get(from, id)))
    const before = await read()
    await opened.pop()!.close()
    return { address, read, before }
  }

  test('keeps deliveries in every state, their messages, and their order', async () => {
    const { address, read, before } = await placeDeliveries()
    upgradeHere(...NEXT)
    const store = await open(address)
    expect(await read(store)).toEqual(before)
    expect(await store.schemaVersion()).toBe(schemaVersion())
    expect(await store.claimOutboxes(9_000, 10, 100)).toHaveLength(STATES.length)
    const [queued] = await store.claimQueued(9_000, 10, 5, 'owner:')
    expect(queued?.state).toBe('queued')
    expect(await acceptAll(store, {})).toHaveLength(1)
  })

  test('that fails halfway keeps the migrations before the failure, and the next start continues', async () => {
    const { address, read, before } = await placeDeliveries()
    upgradeHere(NEXT[0]!, 'CREATE INDEX wrong ON nothing (later)')
    await expect(open(address)).rejects.toThrow(/nothing/)
    MIGRATIONS.splice(MIGRATIONS.length - 1, 1, NEXT[1]!)
    // The first migration would fail if the next start repeated it.
    expect(await read(await open(address))).toEqual(before)
  })

  test('is done only by a relay of the same Port organization', async () => {
    const { address } = await placeDeliveries()
    await (await open(address)).organization('ours')
    await opened.pop()!.close()
    const version = schemaVersion()
    upgradeHere(...NEXT)
    await expect(open(address, 'theirs')).rejects.toThrow(
      /^The .*database .* belongs to the Port organization with the client ID ours, but PORT_CLIENT_ID is theirs: /,
    )
    MIGRATIONS.splice(-2)
    expect(await (await open(address, 'ours')).schemaVersion()).toBe(version)
    await opened.pop()!.close()
    MIGRATIONS.push(...NEXT)
    expect(await (await open(address, 'ours')).schemaVersion()).toBe(version + 2)
  })

  test('is done only by a relay: a command refuses the database, and writes nothing', async () => {
    const { address } = await placeDeliveries()
    const version = schemaVersion()
    upgradeHere(...NEXT)
    const needs = `has schema version ${version}, and this relay needs version ${version + 2}`
    await expect(openStoreForCommand(address, 'read')).rejects.toThrow(
      `${needs}: start this version of the relay, which upgrades the database.`,
    )
    const next = { NODE_OPTIONS: FLAGS.join(' '), NEXT_MIGRATIONS: JSON.stringify(NEXT) }
    const env = relayEnv({ RELAY_DATABASE: urlOf(address), ...next })
    const { code, stdout } = await runRelay(env, ['doctor'])
    expect(code).toBe(1)
    expect(stdout).toContain(needs)
    expect(stdout).toMatch(/^\S+ +github /m)
    MIGRATIONS.splice(-2)
    await open(address)
  })

  test('is refused by relays and commands of the version before', async () => {
    const { address } = await placeDeliveries()
    const version = schemaVersion()
    MIGRATIONS.push(...NEXT)
    await open(address).finally(() => MIGRATIONS.splice(-2))
    await opened.pop()!.close()
    const refusal = `has schema version ${version + 2}, and this relay needs version ${version}: start the newer version of the relay, or restore the backup that you made before its first start.`
    await expect(open(address)).rejects.toThrow(new RegExp(`^The .*database .* ${refusal}$`))
    await expect(openStoreForCommand(address, 'read')).rejects.toThrow(refusal)
  })

  test('that is killed halfway keeps the migrations before it, and the next start continues', async () => {
    const { address, read, before } = await placeDeliveries()
    const env = relayEnv({
      RELAY_DATABASE: urlOf(address),
      NEXT_MIGRATIONS: JSON.stringify([NEXT[0], SLOW[kind]]),
    })
    const child = spawn(process.execPath, [...FLAGS, MAIN], { env: { ...TEST_ENV, ...env }, stdio: 'ignore' })
    onTestFinished(() => void child.kill('SIGKILL'))
    const exited = once(child, 'exit')
    await until(() => isMigrating(address), 'the slow migration runs', 60_000)
    child.kill('SIGKILL')
    await exited
    // The first migration would fail if the next start repeated it.
    upgradeHere(...NEXT)
    const store = await open(address)
    expect(await read(store)).toEqual(before)
    expect(await store.schemaVersion()).toBe(schemaVersion())
  })
})

test('a database of a version before the first release is refused', () => {
  expect(() => missingMigrations({ version: 14, owner: null }, {})).toThrow(
    'use the version of the relay that created it',
  )
})

test('every method of an open store works after a migration that adds a column to each table', async () => {
  const url = await newDatabase()
  const store = await openStore({ kind: 'postgres', url })
  onTestFinished(() => store.close())
  // The statements are prepared, so PostgreSQL refuses them if their columns change.
  await callEverything(store)
  const tables = [...SCHEMA.matchAll(/CREATE TABLE (\w+)/g)].map(([, table]) => table)
  expect(tables.length).toBeGreaterThan(10)
  const add = (table?: string) => `ALTER TABLE ${table} ADD COLUMN later BIGINT NOT NULL DEFAULT 0`
  await runSql({ kind: 'postgres', url }, ...tables.map(add))
  await callEverything(store)
})

test('two relays that start at the same time upgrade a database once', async () => {
  const address: Address = { kind: 'postgres', url: await newDatabase() }
  await (await openStore(address)).close()
  upgradeHere(...NEXT)
  const stores = await Promise.all([openStore(address), openStore(address)])
  expect(await Promise.all(stores.map(store => store.schemaVersion()))).toEqual(
    Array(2).fill(schemaVersion()),
  )
  await Promise.all(stores.map(store => store.close()))
})

test('a migration waits for a backup that holds a lock, and does not block webhooks in the meantime', async () => {
  const url = await newDatabase()
  const address: Address = { kind: 'postgres', url }
  const old = await openStore(address)
  onTestFinished(() => old.close())
  const backup = new pg.Client(url)
  await backup.connect()
  await backup.query('BEGIN; LOCK TABLE deliveries IN ACCESS SHARE MODE')
  upgradeHere(...NEXT)
  const upgraded = openStore(address)
  const ids = await acceptAll(old, ...Array.from({ length: 20 }, () => ({})))
  expect(ids).toHaveLength(20)
  await backup.query('COMMIT')
  await backup.end()
  const store = await upgraded
  expect(await store.schemaVersion()).toBe(schemaVersion())
  await store.close()
})

test('migrations of two tables cause no deadlock with a relay that reads both', async () => {
  const address: Address = { kind: 'postgres', url: await newDatabase() }
  const old = await openStore(address)
  onTestFinished(() => old.close())
  upgradeHere(
    'ALTER TABLE deliveries ADD COLUMN later TEXT',
    'SELECT pg_sleep(2)',
    'ALTER TABLE freezes ADD COLUMN later TEXT',
  )
  let isOver = false
  const reading = (async () => {
    while (!isOver) await old.freezes()
  })()
  const store = await openStore(address).finally(() => {
    isOver = true
  })
  onTestFinished(() => store.close())
  await reading
  expect(await store.schemaVersion()).toBe(schemaVersion())
})

test('during a rolling update, no webhook is lost, and the old relay leaves the work to the new one', async () => {
  const { port, github, env } = await startServices()
  github.addRepository('acme/shop')
  const shared = relayEnv({ ...env, RELAY_DATABASE: await newDatabase(), RELAY_DISPATCH_RATE: '0' })
  const old = await startRelay(shared)
  const urls = [old.url]
  const [statuses, ids]: [number[], string[]] = [[], []]
  let isOver = false
  const sending = (async () => {
    for (let n = 0; !isOver; n++) {
      const { id } = port.createRun()
      const { status } = await send(urls[n % urls.length]!, { body: { run: { id }, inputs: {} } })
      statuses.push(status)
      ids.push(id)
      await sleep(20)
    }
  })()
  const ready = async (url: string) => (await fetch(`${url}/readyz`)).status
  await until(() => github.dispatches.length > 5, 'the old relay dispatches')
  const next = await startRelay({ ...shared, NEXT_MIGRATIONS: JSON.stringify(NEXT) }, FLAGS)
  urls.push(next.url)
  await until(async () => (await ready(old.url)) === 503, 'the old relay is no longer ready')
  expect(await ready(next.url)).toBe(200)
  await until(
    () => old.log().some(({ msg }) => msg.startsWith('a newer relay has upgraded')),
    'its log says so',
  )
  const count = github.dispatches.length
  await until(() => github.dispatches.length > count + 20, 'the new relay dispatches')
  urls.shift()
  await sleep(200)
  await old.stop()
  isOver = true
  await sending
  expect(new Set(statuses)).toEqual(new Set([202]))
  await until(() => github.dispatches.length >= ids.length, 'every webhook is dispatched', 60_000)
  expect(github.dispatches.map(each => each.clientPayload.run_id).sort()).toEqual(ids.toSorted())
})
