import { expect, test } from 'vitest'
import { LOST, startLostRunner } from '../support/lost-runner.ts'

// Port shows the result of the last attempt, whoever re-runs a failed run, and whenever a relay is killed.

const WHO = ['nobody', 'a user', 'the relay', 'a user and the relay'] as const
/** The requests of the poll that finishes or re-runs the run. A user re-runs the run during one of them. */
const STEPS = ['run', 'jobs', 'annotations', 'rerunFailedJobs'] as const
const KILLS = ['not killed', 'killed before it', 'killed after it'] as const
const SEEN = ['polls', 'webhooks that arrive twice, late, and out of order'] as const

type Case = [(typeof WHO)[number], (typeof STEPS)[number], (typeof KILLS)[number], (typeof SEEN)[number]]

async function play([who, step, kill, seen]: Case, relays: number) {
  const given = await startLostRunner('action', who.includes('relay') ? 0 : null)
  const { system, id, run, runId, fail, requests, log } = given
  await fail(LOST)
  const first = structuredClone(run)
  const hub = system.hub as Record<typeof step, (...given: never[]) => Promise<unknown>>
  const original = hub[step]
  const reached = Promise.withResolvers<void>()
  hub[step] = async (...parameters) => {
    hub[step] = original
    const act = () => original(...parameters)
    if (kill === 'killed after it') await act()
    if (who.includes('user') && run.runAttempt === 1)
      Object.assign(run, { status: 'queued', conclusion: null, runAttempt: 2 })
    reached.resolve()
    return kill === 'not killed' ? act() : new Promise(() => {})
  }
  const killed = system.engine()
  if (relays === 2) system.restart()
  system.advance(20_000)
  if (seen !== 'polls') await system.webhook(run)
  const polls = async () => {
    for (let poll = 0; poll < 4; poll++) {
      await killed.poll(await system.delivery(id))
      system.advance(1_000)
    }
    expect(kill).toBe('not killed')
  }
  await Promise.race([polls(), ...(kill === 'not killed' ? [] : [reached.promise])])
  await reached.promise
  if (relays === 1 && kill !== 'not killed') system.restart()
  if (seen !== 'polls') await Promise.all([first, run, first].map(system.webhook))
  await system.pass(60_000)
  const between = system.port.run(runId).status
  if (run.runAttempt === 2) {
    system.end(run, 'success')
    if (seen !== 'polls') await Promise.all([run, first, run].map(system.webhook))
  }
  await system.pass(60_000)
  expect(log()).not.toMatch(/can't be run again|lacks/)
  return [run.runAttempt, requests(), between, system.port.run(runId).status]
}

const CASES = WHO.flatMap(who =>
  STEPS.flatMap(step =>
    KILLS.flatMap(kill => SEEN.map((seen, i): [...Case, number] => [who, step, kill, seen, (i % 2) + 1])),
  ),
).filter(
  ([who, step, kill]) =>
    // Without `rerun: lost-runner`, the relay requests no re-run. Without a user and a kill, nothing happens during a step.
    (who.includes('relay') || step !== 'rerunFailedJobs') &&
    (who.includes('user') || kill !== 'not killed' || step === 'run'),
)

test.each(CASES)(
  'a run is re-run by %s during the request %s, the relay is %s, and GitHub is read by %s',
  async (...given) => {
    const [who, step, kill, seen, relays] = given
    const [attempts, requests, between, shown] = await play([who, step, kill, seen], relays)
    expect([attempts, between, shown]).toEqual(
      who === 'nobody' ? [1, 'FAILURE', 'FAILURE'] : [2, 'IN_PROGRESS', 'SUCCESS'],
    )
    expect(requests).toBeLessThanOrEqual(who.includes('relay') ? 1 : 0)
  },
)
