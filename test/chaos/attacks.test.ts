import { join } from 'node:path'
import { expect, test } from 'vitest'
import { LIMITS } from '../../relay/config/limits.ts'
import { temporaryFolder } from '../support/relay.ts'
import { newDatabase } from '../support/shared-postgres.ts'
import type { Served } from './attacker.ts'
import { attackConnections, REFUSED } from './connection-attack.ts'
import { FLOODS, flood } from './flood.ts'
import { ATTACKS, attackAsAuthor, attackWithReports } from './report-attack.ts'

/** `ATTACK_SECONDS=60` runs the complete form. */
const seconds = Number(process.env.ATTACK_SECONDS ?? 3)
const timeout = seconds * 1_000 + 600_000
const STORES = ['SQLite', 'PostgreSQL'] as const
/** A 512 MB container. V8 doesn't return the memory that it allocated under load. */
const MAX_RSS_MB = 512

const databaseOf = async (store: (typeof STORES)[number]) =>
  store === 'SQLite' ? `sqlite:${join(temporaryFolder(), 'relay.db')}` : await newDatabase()

/** Expects that every honest request got its usual response. */
function expectServed(served: Served[], result: object): void {
  console.log(JSON.stringify(served), 'peakRssMb' in result ? `${result.peakRssMb} MB` : '')
  for (const each of served) {
    expect(each.sent).toBeGreaterThan(10)
    expect(each, JSON.stringify(result)).toMatchObject({ served: each.sent, others: {} })
  }
}
const counts = (statuses: readonly (number | string)[]) =>
  Object.fromEntries(statuses.map(status => [status, expect.any(Number)]))

const names = Object.keys(FLOODS) as (keyof typeof FLOODS)[]
// The relay refuses pipelined requests before it uses its store, so one store is enough.
const storesOf = (name: string) => (name === 'pipelined' ? (['SQLite'] as const) : STORES)
test.each(names.flatMap(name => storesOf(name).map(store => [name, store] as const)))(
  "a flood (%s) doesn't block honest webhooks or exceed the relay's memory (%s)",
  { timeout },
  async (name, store) => {
    const result = await flood(name, { database: await databaseOf(store), seconds })
    expectServed(result.served, result)
    expect(result.peakRssMb).toBeLessThan(MAX_RSS_MB)
    expect(result.responses).toMatchObject(counts(FLOODS[name]))
    expect(result.responses.open).toBeUndefined()
    if (result.memory) expect(result.memory.isReleased, JSON.stringify(result.memory)).toBe(true)
  },
)

// The relay refuses these requests, too, before it uses its store.
test.each(Object.keys(REFUSED) as (keyof typeof REFUSED)[])(
  'a sender with 1,000 connections (%s) does not keep honest webhooks from connecting',
  { timeout },
  async name => {
    const database = await databaseOf('SQLite')
    const { served, responses } = await attackConnections({ name, database, seconds: seconds + 2 })
    expectServed([served], responses)
  },
)

test.each([
  ['endless small log lines', 'PostgreSQL', ATTACKS['small lines']],
  ['the largest reports while Port is down', 'SQLite', ATTACKS['large reports']],
] as const)(
  'despite %s, honest webhooks are dispatched once, and a restart loses no line of an accepted report (%s)',
  { timeout },
  async (_, store, attack) => {
    const result = await attackWithReports({ database: await databaseOf(store), seconds, attack })
    expectServed(result.served, result)
    expect(result.notDispatchedOnce).toEqual([])
    expect(result.lines.missing, JSON.stringify(result)).toBe(0)
    expect(result.memory.isReleased, JSON.stringify(result.memory)).toBe(true)
    if (!attack.isPortDown) return
    // The attack exceeded the report limit of one delivery.
    expect(result.responses).toMatchObject(counts([202, 413]))
    expect(result.lines.accepted * attack.width).toBeLessThan(LIMITS.reportBytes)
  },
)

test("large reports of one author don't delay the reports of others", { timeout }, async () => {
  const result = await attackAsAuthor(seconds)
  expectServed(result.served, result)
  expect(result.responses).toMatchObject(counts([202, 429]))
})
