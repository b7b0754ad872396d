import { expect, test } from 'vitest'
import type { PlayedRun } from '../../tools/simulator/runner/types.ts'
import { payloadFor, startSystem } from '../action/play.ts'

/*
 * Where a relay dies between sending and recording, and no run is to be seen in time, it sends again: GitHub
 * then starts two workflow runs for one run in Port. Both are played here, with the built action.
 */

const RUN_ID = 'r_Q0YotCZMKxDLdlaU'
const STEPS = `
- { name: Deploy, run: echo deploying }
- { name: Notify, run: echo notifying }
`
const ranSteps = (simulated: PlayedRun) =>
  simulated.jobs[0]?.steps.filter(step => ['Deploy', 'Notify'].includes(step.name)).map(step => step.outcome)

test('of two workflow runs for one Port run, the second stops before any step of its author runs, and Port hears of the first alone', async () => {
  const { simulate: play, port, run } = await startSystem()
  const clientPayload = payloadFor(RUN_ID)

  // The second begins while the first is at work.
  const first = play({
    steps: STEPS.replace('echo deploying', 'sleep 4'),
    clientPayload,
    runId: 16_000_000_042,
  })
  while (!run.externalRunId) await new Promise(resolve => setTimeout(resolve, 20))
  const second = await play({ steps: STEPS, clientPayload, runId: 16_000_000_043 })
  expect(second.conclusion).toBe('failure')
  expect(ranSteps(second)).toEqual(['skipped', 'skipped'])
  expect(run).toMatchObject({ status: 'IN_PROGRESS', externalRunId: '16000000042' })

  const ended = await first
  expect(ended.conclusion).toBe('success')
  expect(ranSteps(ended)).toEqual(['success', 'success'])
  expect(run).toMatchObject({ status: 'SUCCESS', externalRunId: '16000000042' })
  const endings = port.requests.filter(({ body }) => (body as { status?: string } | undefined)?.status)
  expect(endings).toHaveLength(1)
})

test('with on-duplicate: continue the second does its work too, and Port hears of the first alone', async () => {
  const { simulate: play, port, run } = await startSystem()
  const clientPayload = payloadFor(RUN_ID)
  const options = { clientPayload, with: { 'on-duplicate': 'continue' } }
  const first = play({ ...options, steps: STEPS.replace('echo deploying', 'sleep 4'), runId: 16_000_000_042 })
  while (!run.externalRunId) await new Promise(resolve => setTimeout(resolve, 20))
  const before = port.requests.filter(({ method }) => method !== 'GET').length
  const second = await play({ ...options, steps: STEPS, runId: 16_000_000_043 })
  expect(second.conclusion).toBe('success')
  expect(ranSteps(second)).toEqual(['success', 'success'])
  const words = port.requests
    .slice(before)
    .filter(({ body }) => JSON.stringify(body ?? '').includes('16000000043'))
  expect(words).toEqual([])
  await first
  expect(run).toMatchObject({ status: 'SUCCESS', externalRunId: '16000000042' })
})
