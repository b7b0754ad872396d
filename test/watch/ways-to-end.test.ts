import { describe, expect, test } from 'vitest'
import { RUN_TIMEOUT, type System, startSystem } from '../support/system.ts'
import { END_NOT_SEEN, NOT_SEEN, runId, WAYS, type Way } from './ways-to-end.ts'

/** What the action did: nothing; its start alone, as when its post never ran; or all that it does. */
type Action = 'nothing' | 'its start' | 'start and end'

const cases = WAYS.flatMap(way =>
  (way.jobsRan ? (['nothing', 'its start', 'start and end'] as const) : (['nothing'] as const)).flatMap(
    action =>
      [true, false].flatMap(webhook =>
        (['read', 'none'] as const).map(actions => ({ way, action, webhook, actions })),
      ),
  ),
)

describe.each(cases)(
  '$way.name · the action reported $action · webhook: $webhook · Actions: $actions',
  ({ way, action, webhook, actions }) => {
    test('Port says how it ended', async () => {
      const system = await startSystem({ actions })
      const expected = expectation(way, action, webhook, actions)
      const id = await system.dispatch(runId)
      const run = way.start(system)
      if (run) {
        await system.pass(10_000)
        system.github.setRun(run.id, { status: 'in_progress' })
        if (action !== 'nothing') start(system, run.id)
        await system.pass(20_000)
        expect(system.port.run(runId).status).toBe('IN_PROGRESS')
        if (action === 'start and end') finish(system)
        way.end(system, run)
        if (webhook) {
          await system.webhook(run)
          await system.pass(2_000)
          expect((await system.delivery(id)).state, 'known within 2 s of the webhook').toBe(expected.state)
        } else if (actions === 'read') {
          await system.pass(60_000)
          expect((await system.delivery(id)).state, 'known within 60 s').toBe(expected.state)
        }
      }
      await system.pass(RUN_TIMEOUT + 60_000)

      const { state, reason, dueAt } = await system.delivery(id)
      const shown = system.port.run(runId)
      expect({ state, dueAt }).toEqual({ state: expected.state, dueAt: null })
      expect({ status: shown.status, statusLabel: shown.statusLabel }).toEqual({
        status: expected.status,
        statusLabel: expected.label,
      })
      if (action === 'start and end') {
        expect(shown.logs.map(log => log.message).join('\n')).not.toContain('The workflow run in')
        expect(shown.summary).toBe('as the action summed it up')
        return
      }
      const log = shown.logs.map(({ message }) => message).join('\n')
      expect(log.split('\n')).toContain(expected.sentence)
      if (expected.status === 'FAILURE') {
        expect(shown.summary).toBe(expected.sentence)
        expect(reason).toBe(expected.sentence)
      }
      if (actions === 'read') for (const line of way.log ?? []) expect(log.split('\n')).toContain(line)
      const page = `${system.github.serverUrl}/acme/shop/actions`
      const [link] = [shown.link].flat()
      if (!run || expected.sentence === NOT_SEEN) expect(link).toBe(page)
      else expect(link).toMatch(new RegExp(`/acme/shop/actions/runs/${run.id}$`))
    })
  },
)

function expectation(way: Way, action: Action, webhook: boolean, actions: 'read' | 'none') {
  if (action === 'start and end') {
    return { state: 'finished', status: 'FAILURE', label: 'Failed', sentence: '' }
  }
  if (actions === 'read') return way.ending
  if (way.makesRun && webhook) return { ...way.ending, sentence: way.withoutJobs ?? way.ending.sentence }
  if (action === 'its start') {
    return { state: 'failed', status: 'FAILURE', label: 'Not followed further', sentence: END_NOT_SEEN }
  }
  return { state: 'failed', status: 'FAILURE', label: 'Not started', sentence: NOT_SEEN }
}

const start = ({ port, github }: System, githubRun: number) =>
  Object.assign(port.run(runId), {
    externalRunId: String(githubRun),
    statusLabel: 'Running',
    link: [`${github.serverUrl}/acme/shop/actions/runs/${githubRun}`],
  })

function finish({ port }: System): void {
  Object.assign(port.run(runId), { statusLabel: 'Failed', summary: 'as the action summed it up' })
  port.endRun(runId, 'FAILURE')
}
