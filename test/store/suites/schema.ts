import { DatabaseSync } from 'node:sqlite'
import pg from 'pg'
import { expect, test } from 'vitest'
import { MIGRATIONS as OF_POSTGRES } from '../../../relay/store/postgres/schema.ts'
import { MIGRATIONS as OF_SQLITE } from '../../../relay/store/sqlite/schema.ts'
import { type Address, acceptAll, type Place } from '../place.ts'

const MIGRATIONS = { sqlite: OF_SQLITE, postgres: OF_POSTGRES }

export function schemaTests(place: Place): void {
  test('what was written is there after the store was closed and opened again', async () => {
    const address = await place.empty()
    const first = await place.open(address)
    const [id] = await acceptAll(first, {})
    await first.close()
    const second = await place.open(address)
    expect((await second.get(id!))?.id).toBe(id)
  })

  test('a database that a newer relay wrote is refused', async () => {
    const address = await place.empty()
    await (await place.open(address)).close()
    await setVersion(address, 1000)
    await expect(place.open(address)).rejects.toThrow(
      /cannot be opened \(it is of schema version 1000, and this relay knows up to \d+: start the newer relay/,
    )
    await setVersion(address, MIGRATIONS[place.kind].length)
    await expect(place.open(address)).resolves.toBeTruthy()
  })

  test('a database of the first version is brought up to date, with what is in it', async () => {
    const address = await place.empty()
    const first = MIGRATIONS[place.kind][0]
    const version =
      place.kind === 'sqlite' ? 'PRAGMA user_version = 1' : 'CREATE TABLE relay_schema AS SELECT 1 AS version'
    await change(address, `${first}; ${OLD}; ${version}`)
    const store = await place.open(address)
    expect(await store.get('old')).toMatchObject({ id: 'old', state: 'queued', repository: 'acme/shop' })
    const [claimed] = await store.claimQueued(2000, 10, 1)
    expect(await store.record(claimed!, { state: 'failed', reason: 'no', dueAt: null }, 2000)).toBe(true)
    expect(await store.redeliver('old', 3000)).toBe('queued')
  })
}

const OLD = `
  INSERT INTO deliveries (id, identity, kind, repository, event_type, invocation, state, received_at, queued_at,
    updated_at, due_at)
  VALUES ('old', 'run:old', 'action_run', 'acme/shop', 'deploy', '{}', 'queued', 1000, 1000, 1000, 1000)`

function setVersion(address: Address, version: number): Promise<void> {
  const sqlite = `PRAGMA user_version = ${version}`
  return change(address, address.kind === 'sqlite' ? sqlite : `UPDATE relay_schema SET version = ${version}`)
}

async function change(address: Address, sql: string): Promise<void> {
  if (address.kind === 'sqlite') {
    const database = new DatabaseSync(address.path)
    database.exec(sql)
    return database.close()
  }
  const client = new pg.Client(address.url)
  await client.connect()
  await client.query(sql)
  await client.end()
}
