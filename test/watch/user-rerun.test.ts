import { expect, test } from 'vitest'
import type { GitHubRun } from '../../simulator/github/github.ts'
import { RUN, startSystem } from '../support/system.ts'

// A user re-runs a failed workflow run on GitHub while the relay finishes the run in Port.

async function start() {
  const system = await startSystem({ actions: 'write', runTimeout: 3_600_000 })
  const id = await system.dispatch(RUN)
  const run = system.run(`deploy ${RUN}`, { status: 'in_progress' })
  await system.pass(10_000)
  await system.bind(id, run.id)
  const isById = ({ path }: { path: string }) => path.endsWith(`/actions/runs/${run.id}`)
  return {
    ...{ system, id, run },
    poll: async (engine = system.engine()) => engine.poll(await system.delivery(id)),
    reads: () => system.github.requests.filter(isById).length,
    failReads: (fault: object) =>
      system.github.fail({ ...fault, times: Number.POSITIVE_INFINITY, match: isById }),
    /** Re-runs the run on GitHub, as a user does. */
    rerun: (runAttempt = 2) => Object.assign(run, { status: 'in_progress', conclusion: null, runAttempt }),
    shown: () => system.port.run(RUN).status,
  }
}

type Given = Awaited<ReturnType<typeof start>>

/** What happens between the end of the first attempt (its conclusion: `first`) and the result of the last attempt. */
const REACHED: [name: string, act: (given: Given) => Promise<unknown>, first?: string][] = [
  [
    'two polls that use the same cached list',
    async ({ system, poll, rerun }) => {
      await poll()
      rerun()
      system.advance(1_000)
      await poll()
    },
  ],
  [
    'a poll while GitHub fails to show the run by its ID',
    async ({ system, poll, rerun, failReads }) => {
      failReads({ status: 502 })
      await poll()
      rerun()
      system.advance(1_000)
      await poll()
      await system.pass(30_000)
    },
  ],
  [
    'the end of a run whose author set a failure',
    async ({ system, id, poll, rerun }) => {
      await system.reportJob(id, 'failure', { author: 'failure' })
      for (let polls = 0; polls < 3; polls++) await poll()
      rerun()
      system.advance(1_000)
      await poll()
    },
    'success',
  ],
  [
    'the end of a run whose jobs were skipped',
    async ({ system, poll, rerun }) => {
      await poll()
      rerun()
      system.advance(1_000)
      await poll()
    },
    'skipped',
  ],
  [
    'the end of a second attempt that failed between two polls',
    async ({ system, run, poll, rerun }) => {
      await poll()
      rerun()
      system.end(run, 'failure')
      system.advance(1_000)
      await poll()
      rerun(3)
      system.advance(1_000)
      await poll()
    },
  ],
]

test.each(REACHED)(
  'a re-run during %s: Port gets the result of the last attempt',
  async (_, act, first = 'failure') => {
    const given = await start()
    const { system, id, run, shown } = given
    system.end(run, first)
    // The next poll reads the list again.
    system.advance(20_000)
    await act(given)
    await system.pass(60_000)
    const attempt = run.runAttempt
    expect([shown(), attempt > 1]).toEqual(['IN_PROGRESS', true])
    system.end(run, 'success')
    await system.pass(60_000)
    expect([shown(), run.runAttempt]).toEqual(['SUCCESS', attempt])
    expect(await system.delivery(id)).toMatchObject({ state: 'finished', outcome: 'succeeded' })
  },
)

/** Reads of the run by its ID that don't show a second attempt. */
const ENDS: [name: string, fault: object | null][] = [
  ['shows the same attempt', null],
  ['is a 404', { status: 404 }],
  ['is refused', { status: 403, body: { message: 'Resource not accessible by personal access token' } }],
  ['fails', { status: 502 }],
]

test.each(ENDS)('a failed run finishes in Port if the read of the run %s', async (_, fault) => {
  const { system, run, failReads, shown, reads } = await start()
  if (fault) failReads(fault)
  system.end(run, 'failure')
  await system.pass(60_000)
  expect([shown(), run.runAttempt]).toEqual(['FAILURE', 1])
  expect(reads()).toBeGreaterThan(0)
})

test('a failed run finishes in Port within 70 s if GitHub shows neither the run nor a newer list', async () => {
  const { system, run, poll, failReads, shown } = await start()
  system.end(run, 'failure')
  system.advance(20_000)
  await poll()
  failReads({ status: 502 })
  const isList = ({ path }: { path: string }) => path.includes('/actions/runs?')
  system.github.fail({ status: 502, times: Number.POSITIVE_INFINITY, match: isList })
  await system.pass(70_000)
  expect(shown()).toBe('FAILURE')
})

test('a successful run finishes in Port without another request', async () => {
  const { system, run, shown, reads } = await start()
  system.end(run, 'success')
  await system.pass(30_000)
  expect([shown(), reads()]).toEqual(['SUCCESS', 0])
})

test('if many runs fail at once, at most ten requests at a time confirm failures, and lists confirm the others', async () => {
  const system = await startSystem({ actions: 'write' })
  const runs: GitHubRun[] = []
  const ids = Array.from({ length: 120 }, (_, i) => `r_A1b2C3d4E5f6G${100 + i}`)
  for (const id of ids) {
    await system.dispatch(id)
    runs.push(system.run(`deploy ${id}`, { status: 'in_progress' }))
  }
  await system.pass(20_000)
  let [now, most, all] = [0, 0, 0]
  const { run } = system.hub
  system.hub.run = async (...given) => {
    most = Math.max(most, ++now)
    all++
    return run(...given).finally(() => now--)
  }
  for (const each of runs) system.end(each, 'failure')
  await system.pass(120_000)
  expect(ids.map(id => system.port.run(id).status)).toEqual(ids.map(() => 'FAILURE'))
  expect(most).toBeLessThanOrEqual(10)
  expect(all).toBeLessThanOrEqual(180)
})
