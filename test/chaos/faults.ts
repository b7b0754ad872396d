import { diskFull, postgresDown, postgresReadOnly, sqliteReadOnly } from './database-faults.ts'
import {
  cuts,
  down,
  type GitHubFault,
  github,
  secondaryLimit,
  serverErrors,
  tooMany,
  untitled,
} from './github-faults.ts'
import { kill, killAfterReport, killAtResponse, killOneOf, portDown } from './relay-faults.ts'
import type { Verdict } from './verdict.ts'

export type Fault = [name: string, run: (name: string) => Promise<Verdict>, allowed?: Allowed]

/** What a fault may cause besides delays. */
export type Allowed = Partial<Record<'twice' | 'failed', true>>

const FEW = { count: 60, perSecond: 60 }
const SOME = { count: 120, perSecond: 60 }
const STRIKE = { perStrike: 60, perSecond: 60 }
const COMPLETE = { ...SOME, count: 90, forMs: 30_000, runs: 'successful' } as const
/** How long each lost response delays its repository. A busy fake GitHub can read a dispatch half a minute late. */
const BRIEF = { env: { RELAY_START_TIMEOUT: '60s' } }
const UNSTARTED = { repositories: 60, ...BRIEF }
/** On a busy machine, a run can appear after a short RELAY_START_TIMEOUT. */
const MAY_FAIL: Allowed = { failed: true }

/** Faults that take seconds. They run concurrently because most of them only wait. */
export function shortFaults(newDatabase: () => Promise<string>): Fault[] {
  const strike =
    (start: GitHubFault['start'], strikes: number, more: Partial<GitHubFault> = {}) =>
    (name: string) =>
      github(name, { ...FEW, start, forMs: 0, strikes, ...more })
  const workflow = { target: 'workflow' } as const
  const twoRelays = { count: 500, perSecond: 150, perKill: 125 }
  const untitledRuns = { count: 12, repositories: 8, ...untitled('3s') }
  return [
    [
      'SIGKILL at random, SQLite',
      name => kill(name, { times: 4, perStrike: 10, perSecond: 25, repositories: 10 }),
    ],
    [
      'SIGKILL, one of two relays, PostgreSQL',
      async name => killOneOf(name, { ...twoRelays, database: await newDatabase() }),
    ],
    [
      "SIGKILL between a job's report and the end of its run, PostgreSQL",
      async name => killAfterReport(name, { times: 4, database: await newDatabase() }),
    ],
    [
      "SIGKILL between a job's report and the end of its run, SQLite",
      name => killAfterReport(name, { times: 4 }),
    ],
    ['PostgreSQL stopped and started', name => postgresDown(name, { ...STRIKE, times: 1, forMs: 700 })],
    ['500 for every 3rd dispatch, run created', strike(serverErrors(true), 10)],
    ['connection cut for every 3rd dispatch, after it took effect', strike(cuts(true), 10)],
    [
      'untitled: 500 for every 3rd dispatch, no run created',
      strike(serverErrors(false, 3), 3, untitledRuns),
      MAY_FAIL,
    ],
    ['403 secondary limit', strike(secondaryLimit(1, 2), 1)],
    ['429', strike(tooMany(1, 2), 1)],
    ['workflow_dispatch: 500 for every 3rd dispatch, run created', strike(serverErrors(true), 10, workflow)],
    ['workflow_dispatch: 429', strike(tooMany(1, 2), 1, workflow)],
    ['Port down', name => portDown(name, { count: 40, perSecond: 40, forMs: 1_500 })],
    ['disk full, SQLite', name => diskFull(name, { ...STRIKE, times: 1, forMs: 1_000 })],
    ['read-only database, SQLite', name => sqliteReadOnly(name, { ...STRIKE, times: 1, forMs: 300 })],
    [
      'read-only database, PostgreSQL',
      async name => postgresReadOnly(name, await newDatabase(), { ...STRIKE, times: 1, forMs: 500 }),
    ],
  ]
}

/** Every fault in its complete form. First the faults that use the most CPU time; the last ones mostly wait. */
export function completeFaults(newDatabase: () => Promise<string>): Fault[] {
  const killed = { runs: 'successful', ...BRIEF } as const
  const kills = { ...killed, times: 100, perStrike: 12, perSecond: 25 }
  // A killed relay's leases block up to 20 repositories for a minute. With 100 repositories, all were often blocked.
  const manyKills = { ...killed, repositories: 300, count: 10_000, perSecond: 250, perKill: 500 }
  const faults: [string, GitHubFault['start'], object?, Allowed?][] = [
    ['500 for every 3rd dispatch, run created', serverErrors(true)],
    ['500 for every 3rd dispatch, no run created', serverErrors(false), UNSTARTED, MAY_FAIL],
    ['connection cut for every 3rd dispatch, after it took effect', cuts(true)],
    ['connection cut for every 3rd dispatch, before it took effect', cuts(false), UNSTARTED, MAY_FAIL],
    ['403 secondary limit', secondaryLimit(3, 10)],
    ['429', tooMany(3, 10)],
  ]
  const githubFaults = (prefix: string, options: () => Promise<object>): Fault[] =>
    faults.map(([fault, start, more, allowed]) => [
      prefix + fault,
      async name => github(name, { ...COMPLETE, start, ...more, ...(await options()) }),
      allowed,
    ])
  const workflow = (store: string) => `workflow_dispatch, ${store}: `
  const killWorkflow = (store: string, database: () => Promise<object>): Fault => [
    `${workflow(store)}SIGKILL between response and record`,
    async name => killAtResponse(name, { ...killed, times: 15, perKill: 5, ...(await database()) }),
    MAY_FAIL,
  ]
  const workflowFaults = (store: string, database: () => Promise<object>) =>
    githubFaults(workflow(store), async () => ({ target: 'workflow' as const, ...(await database()) }))
  const sqlite = async () => ({})
  const postgres = async () => ({ database: await newDatabase() })
  return [
    [
      'SIGKILL, one of two relays, PostgreSQL',
      async name => killOneOf(name, { ...manyKills, ...(await postgres()) }),
      MAY_FAIL,
    ],
    [
      'SIGKILL at random, PostgreSQL',
      async name => kill(name, { ...kills, ...(await postgres()) }),
      MAY_FAIL,
    ],
    ['SIGKILL at random, SQLite', name => kill(name, kills), MAY_FAIL],
    [
      "SIGKILL between a job's report and the end of its run, PostgreSQL",
      async name => killAfterReport(name, { times: 30, ...(await postgres()) }),
    ],
    [
      "SIGKILL between a job's report and the end of its run, SQLite",
      name => killAfterReport(name, { times: 30 }),
    ],
    killWorkflow('PostgreSQL', postgres),
    killWorkflow('SQLite', sqlite),
    ...workflowFaults('PostgreSQL', postgres),
    ...workflowFaults('SQLite', sqlite),
    // A killed relay that sees no runs dispatches again. The action stops the second run.
    [
      'SIGKILL, SQLite, GitHub shows no runs',
      name => kill(name, { ...kills, times: 20, runs: 'none' }),
      { ...MAY_FAIL, twice: true },
    ],
    [
      'GitHub down for a minute',
      name => github(name, { ...SOME, perSecond: 10, start: down, forMs: 60_000 }),
    ],
    ['Port down for a minute', name => portDown(name, { count: 240, perSecond: 10, forMs: 60_000 })],
    ['PostgreSQL stopped and started', name => postgresDown(name, { ...STRIKE, times: 5, forMs: 2_000 })],
    ['disk full, SQLite', name => diskFull(name, { ...STRIKE, times: 3, forMs: 1_500 })],
    ...githubFaults('', sqlite),
    [
      'untitled: 500 for every 3rd dispatch, no run created',
      name => github(name, { ...COMPLETE, ...untitled('10s'), start: serverErrors(false) }),
      MAY_FAIL,
    ],
    [
      'read-only database, PostgreSQL',
      async name => postgresReadOnly(name, await newDatabase(), { ...STRIKE, times: 3, forMs: 1_500 }),
    ],
    ['read-only database, SQLite', name => sqliteReadOnly(name, { ...STRIKE, times: 3, forMs: 1_000 })],
  ]
}
