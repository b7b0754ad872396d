import { expect, test } from 'vitest'
import { LOST, SHUT_DOWN, startLostRunner as start } from '../support/lost-runner.ts'
import { RUN } from '../support/system.ts'

// `rerun: lost-runner`: what Port shows, how many attempts GitHub has, and how many re-runs were requested.

type Act = (given: Awaited<ReturnType<typeof start>>) => Promise<unknown>
/** The run on GitHub after a user re-runs it. */
const SECOND = { status: 'queued', conclusion: null, runAttempt: 2 } as const
const [SUCCEEDED, FAILED] = ['SUCCESS Succeeded', 'FAILURE Failed']
const SALE = { repositories: 'acme/*', reason: 'Sale', since: 1, endsAt: null }

/** Loses the first request for a re-run, and calls `act` before the relay repeats the request. */
const beforeRepeat =
  (act: Act): Act =>
  async given => {
    given.failRequest({ cut: 'before' })
    await given.fail(LOST)
    await given.system.pass(10_000)
    return act(given)
  }

const CASES: [name: string, act: Act, shown: string, attempts: number, requests: number, log?: RegExp][] = [
  [
    'a lost runner: the reports of the second attempt count, and those of the first attempt do not',
    async ({ system, id, fail, succeed, shown, log }) => {
      await system.reportJob(id, 'success', { author: 'failure', id: 7, name: 'build' })
      await fail(LOST)
      await system.pass(10_000)
      expect(shown()).toBe('IN_PROGRESS Runner lost, running again')
      expect(log()).toMatch(/The runner of job "deploy" \(spot-7\) was lost\. .*\/actions\/runs\/\d+$/m)
      await succeed()
    },
    ...([SUCCEEDED, 2, 1] as const),
  ],
  [
    'a second loss',
    async ({ system, fail }) => {
      await fail(LOST)
      await system.pass(10_000)
      await fail(SHUT_DOWN)
    },
    ...([
      FAILED,
      2,
      1,
      /was lost while .* The first attempt also failed: The runner of job "deploy"/,
    ] as const),
  ],
  ['an ordinary failure next to a loss', ({ fail }) => fail(LOST, { name: 'test' }), FAILED, 1, 0],
  [
    'a matrix with one lost job, whose other jobs were canceled',
    async ({ fail, succeed }) => {
      await fail({ name: 'test (1)', ...SHUT_DOWN }, { name: 'test (2)', conclusion: 'cancelled' })
      await succeed()
    },
    ...([SUCCEEDED, 2, 1] as const),
  ],
  [
    'a cancellation while the relay decides',
    async ({ system, id, fail }) => {
      const { annotations } = system.hub
      system.hub.annotations = async (...given) => {
        await system.engine().apply(await system.delivery(id), { type: 'cancelRequested', by: 'api' })
        return annotations(...given)
      }
      await fail(LOST)
    },
    ...([FAILED, 1, 0] as const),
  ],
  [
    'a run that a user finished in Port',
    async ({ system, fail }) => {
      await fail(LOST)
      system.port.endRun(RUN, 'FAILURE', 'Mine')
    },
    ...(['FAILURE Mine', 1, 0] as const),
  ],
  [
    'a run that a user finished in Port while Port is unavailable',
    async ({ system, fail }) => {
      system.port.endRun(RUN, 'FAILURE', 'Mine')
      const match = ({ method }: { method: string }) => method === 'GET'
      system.port.fail({ status: 503, times: Number.POSITIVE_INFINITY, match })
      await fail(LOST)
    },
    ...(['FAILURE Mine', 1, 0] as const),
  ],
  [
    'a relay that was down for longer than RELAY_RUN_TIMEOUT',
    async ({ system, fail }) => {
      await fail(LOST)
      system.advance(2 * 3_600_000)
    },
    ...([FAILED, 1, 0] as const),
  ],
  [
    'a second attempt that GitHub lists late',
    async ({ system, run, fail, failRequest, succeed }) => {
      failRequest({ cut: 'after' })
      await fail(LOST)
      await system.pass(10_000)
      const second = { ...run }
      Object.assign(run, { runAttempt: 1, status: 'completed', conclusion: 'failure' })
      await system.pass(20_000)
      const match = ({ path }: { path: string }) => path.includes('/actions/runs')
      system.github.fail({ status: 503, times: 12, match })
      Object.assign(run, second)
      await system.pass(320_000)
      await succeed()
    },
    ...([SUCCEEDED, 2, 2] as const),
  ],
  [
    'a rate limit',
    async ({ fail, failRequest }) => {
      failRequest({ status: 429, headers: { 'retry-after': '60' } })
      await fail(LOST)
    },
    ...([FAILED, 1, 1, /can't be run again: GitHub/] as const),
  ],
  [
    'a deploy freeze',
    async ({ system, fail }) => {
      await system.engine().freezes.start(SALE)
      await fail(LOST)
    },
    ...([FAILED, 1, 0, /aren't run again, because a deploy freeze/] as const),
  ],
  [
    'a fine-grained token, which has no Checks: read',
    ({ fail, permit }) => fail(LOST).then(() => permit({ actions: 'write' })),
    ...([
      FAILED,
      1,
      0,
      /job "deploy" lost its runner: a fine-grained token can't have .* Use a GitHub App\./,
    ] as const),
  ],
  [
    'no Actions: write',
    ({ fail, permit }) => fail(LOST).then(() => permit({ actions: 'read', checks: 'read' })),
    ...([FAILED, 1, 1, /can't be run again: .* lacks Actions: write/] as const),
  ],
  [
    'a run that is older than 30 days',
    ({ run, fail }) => fail(LOST).then(() => Object.assign(run, { createdAt: '2020-01-01T00:00:00Z' })),
    ...([FAILED, 1, 1, /created over a month ago/] as const),
  ],
  [
    'a response 502 to a request that had no effect',
    async ({ system, fail, failRequest, shown }) => {
      failRequest({ status: 502, times: 2 })
      await fail(LOST)
      await system.pass(290_000)
      expect(shown()).toMatch(/^IN_PROGRESS/)
    },
    ...([FAILED, 1, 2, /was lost.* wanted to run .* but GitHub shows no second attempt/] as const),
  ],
  [
    'a refusal without a known cause',
    ({ fail, failRequest }) => {
      failRequest({ status: 403, body: { message: 'This run is quarantined' } })
      return fail(LOST)
    },
    ...([
      FAILED,
      1,
      1,
      /can't be run again: GitHub refuses it \(403: This run is quarantined\)\.$/m,
    ] as const),
  ],
  [
    'a missing permission, with the message of an older GitHub',
    ({ fail, failRequest }) => {
      failRequest({ status: 403, body: { message: 'Must have admin rights to Repository.' } })
      return fail(LOST)
    },
    ...([FAILED, 1, 1, /can't be run again: .* lacks Actions: write/] as const),
  ],
  [
    'a cancellation before the repeated request',
    beforeRepeat(async ({ system, id }) => {
      await system.engine().apply(await system.delivery(id), { type: 'cancelRequested', by: 'api' })
    }),
    ...([FAILED, 1, 1] as const),
  ],
  [
    "a user's re-run, whose webhook arrives during a request that lacks a permission",
    async ({ system, run, fail, failRequest, succeed }) => {
      const { rerunFailedJobs } = system.hub
      system.hub.rerunFailedJobs = async (...given) => {
        Object.assign(run, SECOND)
        await system.webhook(run)
        failRequest({ status: 403, body: { message: 'Must have admin rights to Repository.' } })
        return rerunFailedJobs(...given)
      }
      await fail(LOST)
      await system.pass(10_000)
      await succeed()
    },
    ...([SUCCEEDED, 2, 1] as const),
  ],
  [
    'a relay that was suspended before its request, while another relay repeated it',
    async ({ system, id, fail }) => {
      const { rerunFailedJobs } = system.hub
      system.hub.rerunFailedJobs = async (...given) => {
        system.hub.rerunFailedJobs = rerunFailedJobs
        system.restart()
        system.advance(20_000)
        for (let polls = 0; polls < 3; polls++) {
          await system.engine().poll(await system.delivery(id))
          system.advance(1_000)
        }
        await fail(SHUT_DOWN)
        return rerunFailedJobs(...given)
      }
      await fail(LOST)
    },
    ...([FAILED, 2, 1, /The first attempt also failed: The runner of job "deploy"/] as const),
  ],
  [
    'two relays, with webhooks and polls at the same time',
    async ({ system, id, run, fail, succeed }) => {
      const first = system.engine()
      system.restart()
      await fail(LOST)
      await system.webhook(run)
      const ended = structuredClone(run)
      const delivery = await system.delivery(id)
      system.advance(1_000)
      await Promise.all([first.poll(delivery), system.engine().poll(delivery), system.webhook(run)])
      await system.pass(2_000)
      await Promise.all([first.poll(delivery), system.webhook(ended)])
      await succeed()
      await system.webhook(run)
    },
    ...([SUCCEEDED, 2, 1] as const),
  ],
]

test.each(CASES)('%s', async (_, act, shown, attempts, requests, log = /./) => {
  const given = await start()
  await act(given)
  await given.system.pass(400_000)
  expect([given.shown(), given.run.runAttempt, given.requests()]).toEqual([shown, attempts, requests])
  expect(given.log()).toMatch(log)
  expect((await given.system.delivery(given.id)).state).toBe('finished')
})

test.each(['node', 'synchronous'])('the relay also re-runs a %s run that lost its runner', async kind => {
  const { system, id, run, fail, succeed, requests, log } = await start(kind)
  await fail(LOST)
  await succeed()
  await system.pass(60_000)
  expect([run.runAttempt, requests()]).toEqual([2, 1])
  expect(await system.delivery(id)).toMatchObject({ state: 'finished', outcome: 'succeeded' })
  expect(log()).toMatch(/was lost/)
})
