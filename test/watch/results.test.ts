import { describe, expect, test } from 'vitest'
import { RUN, RUN_TIMEOUT, startSystem, startWithRun } from '../support/system.ts'

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

const DISABLED = { name: 'Deploy', state: 'disabled_manually' } as const
test.each([
  ['the only workflow is disabled', [DISABLED], 'all workflows in the repository are disabled (Deploy)'],
  ['the repository has no workflow', [], 'the repository has no workflows'],
])(
  'if no workflow listens because %s, the delivery fails, and the reason describes the repository',
  async (_, workflows, known) => {
    const system = await startSystem()
    const id = await system.dispatch(RUN)
    system.workflows(workflows)
    await system.pass(RUN_TIMEOUT)
    expect((await system.delivery(id)).reason).toContain(known)
    expect(system.port.run(RUN)).toMatchObject({ status: 'FAILURE', statusLabel: 'Not started' })
  },
)
