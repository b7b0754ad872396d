import type { TestPostgres } from '../support/postgres.ts'
import { diskFull, postgresDown, postgresReadOnly, sqliteReadOnly } from './rows/database.ts'
import { cuts, down, github, secondaryLimit, serverErrors, tooMany, untitled } from './rows/github.ts'
import { kill, killAtResponse, killOneOf } from './rows/kill.ts'
import { portDown } from './rows/port.ts'
import type { Verdict } from './verdict.ts'

type Fault = [name: string, play: (name: string) => Promise<Verdict>]

const NO_EVIDENCE = 'SIGKILL, SQLite, no runs to be seen'

/** A kill between sending and recording, with nothing to be seen of a run: dispatched again, and the action stops the second. */
export const mayBeTwice = (fault: string): boolean => fault.startsWith(NO_EVIDENCE)

/** Each lost response in a row costs its repository what RELAY_START_TIMEOUT leaves of two minutes. */
const UNSTARTED = { repositories: 60, env: { RELAY_START_TIMEOUT: '30s' } }

/** Every fault in its complete form, those that take longest first: many are played at once, and mostly wait. */
export function completeFaults(server: TestPostgres): Fault[] {
  const kills = { times: 100, perKill: 40 }
  const some = { count: 240, perSecond: 60 }
  return [
    [
      'SIGKILL at random, PostgreSQL',
      async name => kill(name, { ...kills, database: await server.createDatabase() }),
    ],
    ['SIGKILL at random, SQLite', name => kill(name, kills)],
    [
      'SIGKILL, one of two relays, PostgreSQL',
      async name =>
        killOneOf(name, {
          count: 10_000,
          perSecond: 250,
          everyMs: 3_000,
          database: await server.createDatabase(),
        }),
    ],
    ...workflowFaults(server),
    [NO_EVIDENCE, name => kill(name, { ...kills, times: 20, runs: 'none' })],
    [
      'GitHub down for a minute',
      name => github(name, { ...some, perSecond: 10, start: down, forMs: 60_000 }),
    ],
    ['Port down for a minute', name => portDown(name, { count: 240, perSecond: 10, forMs: 60_000 })],
    [
      'PostgreSQL stopped and started',
      name => postgresDown(name, { ...some, count: 600, times: 5, forMs: 2_000 }),
    ],
    ['disk full, SQLite', name => diskFull(name, { ...some, count: 600, times: 3, forMs: 1_500 })],
    [
      '500 at every third, run created',
      name => github(name, { ...some, start: serverErrors(true), forMs: 30_000 }),
    ],
    [
      '500 at every third, no run created',
      name => github(name, { ...some, ...UNSTARTED, start: serverErrors(false), forMs: 30_000 }),
    ],
    [
      '500 at every third, no run created, untitled runs',
      name => github(name, { ...some, ...untitled('10s'), start: serverErrors(false), forMs: 30_000 }),
    ],
    [
      'connection cut after receiving, at every third',
      name => github(name, { ...some, start: cuts(true), forMs: 30_000 }),
    ],
    [
      'connection cut before it took effect, at every third',
      name => github(name, { ...some, ...UNSTARTED, start: cuts(false), forMs: 30_000 }),
    ],
    ['403 secondary limit', name => github(name, { ...some, start: secondaryLimit(3, 10), forMs: 30_000 })],
    ['429', name => github(name, { ...some, start: tooMany(3, 10), forMs: 30_000 })],
    [
      'read-only database, PostgreSQL',
      async name =>
        postgresReadOnly(name, await server.createDatabase(), { ...some, times: 3, forMs: 1_500 }),
    ],
    ['read-only database, SQLite', name => sqliteReadOnly(name, { ...some, times: 3, forMs: 1_000 })],
  ]
}

/** Faults of deliveries that start a workflow, whose runs are named by the run id, on both stores. */
function workflowFaults(server: TestPostgres): Fault[] {
  const kills = { target: 'workflow', times: 40, perKill: 20 } as const
  const some = { target: 'workflow', count: 240, perSecond: 60, forMs: 30_000 } as const
  return (['SQLite', 'PostgreSQL'] as const).flatMap(store => {
    const database = async () => (store === 'SQLite' ? {} : { database: await server.createDatabase() })
    const row = (
      fault: string,
      simulate: (name: string, more: { database?: string }) => Promise<Verdict>,
    ): Fault => [`workflow_dispatch, ${store}: ${fault}`, async name => simulate(name, await database())]
    return [
      row('SIGKILL between answer and record', (name, more) => killAtResponse(name, { ...kills, ...more })),
      row('500 at every third, run created', (name, more) =>
        github(name, { ...some, ...more, start: serverErrors(true) }),
      ),
      row('500 at every third, no run created', (name, more) =>
        github(name, { ...some, ...more, ...UNSTARTED, start: serverErrors(false) }),
      ),
      row('connection cut after receiving, at every third', (name, more) =>
        github(name, { ...some, ...more, start: cuts(true) }),
      ),
      row('connection cut before it took effect, at every third', (name, more) =>
        github(name, { ...some, ...more, ...UNSTARTED, start: cuts(false) }),
      ),
      row('403 secondary limit', (name, more) =>
        github(name, { ...some, ...more, start: secondaryLimit(3, 10) }),
      ),
      row('429', (name, more) => github(name, { ...some, ...more, start: tooMany(3, 10) })),
    ]
  })
}
