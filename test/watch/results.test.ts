import { describe, expect, test } from 'vitest'
import { toShown } from '../../relay/delivery/shown-wait.ts'
import { RUN, RUN_TIMEOUT, START_TIMEOUT, startSystem, startWithRun } from '../support/system.ts'

/** The action's reports: none, only the start (as if post never ran), or start and result. */
type Action = 'nothing' | 'its start' | 'start and result'
const FAILED = { state: 'finished', status: 'FAILURE', label: 'Failed' }
const NOT_FOLLOWED = { state: 'failed', status: 'FAILURE', label: 'Not followed further' }
const NOT_STARTED = { state: 'failed', status: 'FAILURE', label: 'Not started' }
const SUCCEEDED = { state: 'finished', status: 'SUCCESS', label: 'Succeeded' }

describe.each([
  ['failure', FAILED],
  ['success', SUCCEEDED],
] as const)('a workflow run with the conclusion %s', (conclusion, seen) => {
  test.each<[Action, webhook: boolean, actions: 'read' | 'none', expected: typeof FAILED]>([
    ['nothing', true, 'read', seen],
    ['nothing', false, 'read', seen],
    ['nothing', true, 'none', seen],
    ['nothing', false, 'none', NOT_STARTED],
    ['its start', true, 'read', seen],
    ['its start', false, 'read', seen],
    ['its start', true, 'none', seen],
    ['its start', false, 'none', NOT_FOLLOWED],
    ['start and result', true, 'read', FAILED],
    ['start and result', false, 'none', FAILED],
  ])(
    'has the expected result in Port if the action reported %s (GitHub webhook: %s, Actions permission: %s)',
    async (action, webhook, actions, expected) => {
      const { system, id, run } = await startWithRun({ actions })
      const page = `${system.github.serverUrl}/acme/shop/actions`
      await system.pass(10_000)
      system.github.setRun(run.id, { status: 'in_progress' })
      if (action !== 'nothing') {
        const link = [`${page}/runs/${run.id}`]
        Object.assign(system.port.run(RUN), { externalRunId: String(run.id), statusLabel: 'Running', link })
      }
      await system.pass(20_000)
      expect(system.port.run(RUN).status).toBe('IN_PROGRESS')
      if (action === 'start and result') {
        Object.assign(system.port.run(RUN), { statusLabel: 'Failed', summary: 'by the action' })
        system.port.endRun(RUN, 'FAILURE')
      }
      const job = { name: 'deploy', status: 'completed', conclusion, runner_name: null } as const
      system.github.setJobs(run.id, 1, [{ ...job, steps: [] }])
      system.end(run, conclusion)
      if (webhook) await system.webhook(run)
      await system.pass(webhook ? 2_000 : 60_000)
      const isSeen = webhook || actions === 'read'
      if (isSeen) expect((await system.delivery(id)).state, 'the result arrived in time').toBe(expected.state)
      await system.pass(RUN_TIMEOUT + 60_000)

      const { state, reason, dueAt } = await system.delivery(id)
      const { status, statusLabel: label, summary, logs, link } = system.port.run(RUN)
      expect({ state, status, label, dueAt }).toEqual({ ...expected, dueAt: null })
      if (action === 'start and result') {
        const lines = logs.flatMap(({ message }) => message.split('\n'))
        expect([summary, lines]).toEqual(['by the action', [expect.stringMatching(/^Dispatched /)]])
        return
      }
      if (status === 'FAILURE') expect(summary).toBe(reason)
      const end = expected === NOT_STARTED ? 'actions' : `actions/runs/${run.id}`
      expect([link].flat()[0]).toMatch(new RegExp(`/acme/shop/${end}$`))
    },
  )
})

test('a run that started no job, in a repository with a lockfile: Port names the lockfile', async () => {
  const { system, run } = await startWithRun()
  const permissions = { contents: 'write', metadata: 'read', actions: 'read' } as const
  const lockfile = { path: '.github/workflows/actions.lock', name: '', eventTypes: [], content: 'version: 1' }
  system.github.addRepository('acme/shop', { permissions, workflows: [lockfile] })
  system.end(run, 'startup_failure')
  await system.pass(60_000)
  const { logs, status } = system.port.run(RUN)
  expect(status).toBe('FAILURE')
  expect(logs.at(-1)!.message).toMatch(
    /the workflow lockfile \.github\/workflows\/actions\.lock\. .*"gh actions-lock"/,
  )
})

const ALWAYS = { times: Number.POSITIVE_INFINITY }
const isList = ({ path }: { path: string }) => path.includes('/actions/runs')
const isRead = ({ method, path }: { method: string; path: string }) =>
  method === 'GET' && path.startsWith('/v1/actions/runs/')

test('a single 404 after a restart does not finish the delivery', async () => {
  const { system, id, run } = await startWithRun()
  await system.pass(START_TIMEOUT * 2)
  system.restart()
  system.github.fail({ times: 1, status: 404, body: { message: 'Not Found' }, match: isList })
  await system.pass(20_000)
  expect((await system.delivery(id)).state).toBe('running')
  system.end(run, 'success')
  await system.pass(90_000)
  expect(system.port.run(RUN).status).toBe('SUCCESS')
})

test('after Port rate limits a read, the relay sends no reads or messages until the pause ends', async () => {
  const system = await startSystem()
  const ids = [RUN, 'r_B1b2C3d4E5f6G7h8']
  const runs = []
  let reported = ''
  for (const id of ids) {
    reported = await system.dispatch(id)
    runs.push(system.run(`deploy ${id}`))
  }
  await system.pass(10_000)
  const headers = { 'retry-after': '120' }
  system.port.fail({ ...ALWAYS, status: 429, headers, match: isRead })
  for (const run of runs) system.end(run, 'failure')
  const before = system.port.requests.length
  await system.pass(30_000)
  expect(toShown(await system.delivery(reported), null, new Map(), system.now()).waits).toBe(
    'Waiting for Port: the workflow run has finished with failure',
  )
  await system.report(reported, [{ log: [{ level: 'INFO', message: 'A line of the action.' }] }])
  await system.pass(70_000)
  // Two requests may have been in progress at that time.
  expect(system.port.requests.length - before).toBeLessThanOrEqual(2)
  system.port.clearFailures()
  await system.pass(60_000)
  expect(ids.map(id => system.port.run(id).status)).toEqual(['FAILURE', 'FAILURE'])
})
