import { DatabaseSync } from 'node:sqlite'
import pg from 'pg'
import { expect, test } from 'vitest'
import { type Address, acceptAll, type Place } from '../place.ts'

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
    await setVersion(address, 1)
    await expect(place.open(address)).resolves.toBeTruthy()
  })
}

async function setVersion(address: Address, version: number): Promise<void> {
  if (address.kind === 'sqlite') {
    const database = new DatabaseSync(address.path)
    database.exec(`PRAGMA user_version = ${version}`)
    return database.close()
  }
  const client = new pg.Client(address.url)
  await client.connect()
  await client.query(`UPDATE relay_schema SET version = ${version}`)
  await client.end()
}
