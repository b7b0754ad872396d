import { afterAll, expect, test } from 'vitest'
import { newDatabase } from '../support/shared-postgres.ts'
import { diskFull, postgresDown, postgresReadOnly, sqliteReadOnly } from './rows/database.ts'
import { cuts, github, secondaryLimit, serverErrors, tooMany, untitled } from './rows/github.ts'
import { kill, killOneOf } from './rows/kill.ts'
import { portDown } from './rows/port.ts'
import { table } from './table.ts'
import type { Verdict } from './verdict.ts'
import { inWorld } from './world.ts'

/* The short form of `npm run test:faults`, all at once: most of them wait. */

const verdicts: Verdict[] = []
afterAll(() => console.log(table(verdicts)))

const few = { count: 60, perSecond: 60 }
const faults: [string, (name: string) => Promise<Verdict>][] = [
  ['SIGKILL at random, SQLite', name => kill(name, { times: 4, perKill: 25 })],
  [
    'SIGKILL, one of two relays, PostgreSQL',
    async name =>
      killOneOf(name, {
        count: 500,
        perSecond: 150,
        everyMs: 1_500,
        leasesPass: true,
        database: await newDatabase(),
      }),
  ],
  ['PostgreSQL stopped and started', name => postgresDown(name, { ...few, times: 1, forMs: 700 })],
  [
    '500 at every third, run created',
    name => github(name, { ...few, start: serverErrors(true), forMs: 0, strikes: 10 }),
  ],
  [
    'connection cut after receiving, at every third',
    name => github(name, { ...few, start: cuts(true), forMs: 0, strikes: 10 }),
  ],
  [
    '500 at every third, no run created, untitled runs',
    name =>
      github(name, {
        count: 12,
        repositories: 8,
        ...untitled('3s'),
        start: serverErrors(false, 3),
        forMs: 0,
        strikes: 3,
      }),
  ],
  [
    '403 secondary limit',
    name => github(name, { ...few, start: secondaryLimit(1, 2), forMs: 0, strikes: 1 }),
  ],
  ['429', name => github(name, { ...few, start: tooMany(1, 2), forMs: 0, strikes: 1 })],
  [
    'workflow_dispatch: 500 at every third, run created',
    name => github(name, { ...few, target: 'workflow', start: serverErrors(true), forMs: 0, strikes: 10 }),
  ],
  [
    'workflow_dispatch: 429',
    name => github(name, { ...few, target: 'workflow', start: tooMany(1, 2), forMs: 0, strikes: 1 }),
  ],
  ['Port down', name => portDown(name, { count: 40, perSecond: 40, forMs: 1_500 })],
  ['disk full, SQLite', name => diskFull(name, { ...few, times: 1, forMs: 1_000 })],
  ['read-only database, SQLite', name => sqliteReadOnly(name, { ...few, times: 1, forMs: 300 })],
  [
    'read-only database, PostgreSQL',
    async name => postgresReadOnly(name, await newDatabase(), { ...few, times: 1, forMs: 500 }),
  ],
]

test.concurrent.each(faults)(
  '%s: nothing is lost, nothing is dispatched twice, order is kept',
  async (name, simulate) => {
    const verdict = await simulate(name)
    verdicts.push(verdict)
    expect(verdict).toMatchObject({ lost: 0, twice: 0, disordered: 0 })
    if (!name.includes('untitled')) expect(verdict.failed).toBe(0)
    expect(verdict.acknowledged).toBeGreaterThan(0)
    expect(verdict.times).toBeGreaterThan(0)
  },
  90_000,
)

test('a scenario whose relay ends by itself fails at once, with what the relay printed', async () => {
  const playing = inWorld({}, async world => {
    await world.relay.start()
    const load = world.load({ count: 100_000, perSecond: 10 })
    process.kill(world.relay.pid, 'SIGABRT')
    await load.done
  })
  await expect(playing).rejects.toThrow(/^The relay ended by itself with SIGABRT\.[\s\S]*"msg":"/)
  const starting = inWorld({ env: { RELAY_DATABASE: 'nowhere' } }, world => world.relay.start())
  await expect(starting).rejects.toThrow(/^The relay ended: [\s\S]*RELAY_DATABASE/)
})
