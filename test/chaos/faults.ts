import { diskFull, postgresDown, postgresReadOnly, sqliteReadOnly } from './database-faults.ts'
import * as on from './github-faults.ts'
import { kill, killAfterReport, killOneOf, portDown } from './relay-faults.ts'
import type { Verdict } from './verdict.ts'

export type Fault = [name: string, run: (name: string) => Promise<Verdict>, allowed?: Allowed]

/** The effects, besides delays, that a fault may have. */
export type Allowed = Partial<Record<'twice' | 'failed', true>>

const STRIKE = { perStrike: 60, perSecond: 60 }
/** How long each lost response delays its repository. A busy fake GitHub can read a dispatch half a minute late. */
const BRIEF = { env: { RELAY_START_TIMEOUT: '60s' } }
const UNSTARTED = { repositories: 60, ...BRIEF }
/** On a busy machine, a run can appear after a short RELAY_START_TIMEOUT. */
const MAY_FAIL: Allowed = { failed: true }

/** Columns: the fault, its short form (null for none), its complete form, and options and exceptions of the complete form. */
type GitHubRow = [string, short: on.GitHubFault['start'] | null, on.GitHubFault['start'], object?, Allowed?]
const GITHUB: GitHubRow[] = [
  ['500 for every 3rd dispatch, run created', on.serverErrors(true), on.serverErrors(true)],
  ['500 for every 3rd dispatch, no run created', null, on.serverErrors(false), UNSTARTED, MAY_FAIL],
  ['connection cut for every 3rd dispatch, after it took effect', on.cuts(true), on.cuts(true)],
  [
    ...(['connection cut for every 3rd dispatch, before it took effect', null] as const),
    ...([on.cuts(false), UNSTARTED, MAY_FAIL] as const),
  ],
  ['403 secondary limit', on.secondaryLimit(1, 2), on.secondaryLimit(3, 10)],
  ['429', on.tooMany(1, 2), on.tooMany(3, 10)],
]

/**
 * Returns every fault in its complete form, which `npm run test:faults` runs, or in its short form, which takes
 * seconds. The faults that use the most CPU time are first, and the last ones mostly wait.
 */
export function faultsIn(form: 'short' | 'complete', newDatabase: () => Promise<string>): Fault[] {
  const isShort = form === 'short'
  /** Chooses the value for the form. */
  const by = <S, C>(short: S, complete: C): S | C => (isShort ? short : complete)
  const stores: [name: string, options: () => Promise<{ database?: string }>][] = [
    ['PostgreSQL', async () => ({ database: await newDatabase() })],
    ['SQLite', async () => ({})],
  ]
  const killed = { runs: 'successful', ...BRIEF } as const
  const kills = { ...killed, times: 100, perStrike: 12, perSecond: 25 }
  const few = { times: 4, perStrike: 10, perSecond: 25, repositories: 10 }
  // A killed relay's leases block up to 20 repositories for a minute. If there were only 100 repositories, all of them would often be blocked.
  const many = { ...killed, repositories: 300, count: 10_000, perSecond: 250, perKill: 500 }
  const some = { count: 300, perSecond: 150, perKill: 75 }
  const one = by({ count: 60, forMs: 0 }, { count: 90, forMs: 30_000, runs: 'successful' })
  const onGitHub = (prefix: string, options: () => Promise<object> = async () => ({})) =>
    GITHUB.flatMap(([fault, short, complete, more, allowed]): Fault[] => {
      const start = by(short, complete)
      if (!start) return []
      const strikes = by(fault.includes('every 3rd') ? 10 : 1, 0)
      const given = { perSecond: 60, ...one, start, strikes, ...(!isShort && more) } as on.GitHubFault
      return [[prefix + fault, async name => on.github(name, { ...given, ...(await options()) }), allowed]]
    })
  const complete: Fault[] = [
    // A killed relay that sees no runs dispatches again. The action stops the second run.
    [
      'SIGKILL, SQLite, GitHub shows no runs',
      name => kill(name, { ...kills, times: 20, runs: 'none' }),
      { ...MAY_FAIL, twice: true },
    ],
    [
      'GitHub down for a minute',
      name => on.github(name, { count: 120, perSecond: 10, start: on.down, forMs: 60_000 }),
    ],
  ]
  const untitled = by({ count: 12, repositories: 8, strikes: 3 }, { count: 90, repositories: 40, strikes: 0 })
  const times = by(1, 3)
  return [
    [
      'SIGKILL, one of two relays, PostgreSQL',
      async name => killOneOf(name, { ...by(some, many), database: await newDatabase() }),
      by({}, MAY_FAIL),
    ],
    ...stores
      .slice(by(1, 0))
      .map(
        ([store, options]): Fault => [
          `SIGKILL at random, ${store}`,
          async name => kill(name, { ...by(few, kills), ...(await options()) }),
          by({}, MAY_FAIL),
        ],
      ),
    ...stores.map(
      ([store, options]): Fault => [
        `SIGKILL between a job's report and the end of its run, ${store}`,
        async name => killAfterReport(name, { times: by(4, 30), ...(await options()) }),
      ],
    ),
    ...stores
      .slice(by(1, 0))
      .flatMap(([store, options]) =>
        onGitHub(`workflow_dispatch, ${store}: `, async () => ({ target: 'workflow', ...(await options()) })),
      ),
    ...onGitHub(''),
    ...by([], complete),
    ['Port down', name => portDown(name, by({ count: 40, perSecond: 40, forMs: 1_500 }, PORT_DOWN))],
    [
      'PostgreSQL stopped and started',
      name => postgresDown(name, { ...STRIKE, times: by(1, 5), forMs: by(700, 2_000) }),
    ],
    ['disk full, SQLite', name => diskFull(name, { ...STRIKE, times, forMs: by(1_000, 1_500) })],
    [
      'untitled: 500 for every 3rd dispatch, no run created',
      name =>
        on.github(name, {
          ...{ ...untitled, perSecond: 60, forMs: by(0, 30_000), ...on.untitled(by('3s', '10s')) },
          start: on.serverErrors(false, by(3, Number.POSITIVE_INFINITY)),
        }),
      MAY_FAIL,
    ],
    [
      'read-only database, PostgreSQL',
      async name => postgresReadOnly(name, await newDatabase(), { ...STRIKE, times, forMs: by(500, 1_500) }),
    ],
    ['read-only database, SQLite', name => sqliteReadOnly(name, { ...STRIKE, times, forMs: by(300, 1_000) })],
  ]
}

const PORT_DOWN = { count: 240, perSecond: 10, forMs: 60_000 }
