import { expect, test } from 'vitest'
import { annotations, openStage, ownSteps, payloadFor, RUN_PATH, told } from './play.ts'

test('a synchronous Port action is told nothing, and a notice names the setting to change', async () => {
  const { play, port } = await openStage()
  const run = port.createRun({ synchronized: true })
  const played = await play({ clientPayload: payloadFor(run.id) })

  expect(played.conclusion).toBe('success')
  const { main, post } = ownSteps(played.jobs[0]!)
  expect(annotations(main)).toEqual([
    `notice: Port's run ${run.id} is synchronous: Port takes the answer to its webhook as the result, so it is told ` +
      'nothing of this job. To have it reported, turn the Port action\'s "Synchronous" setting off.',
  ])
  expect(annotations(post)).toEqual([])
  expect(told(port).at(-1)).toBe(`GET /v1/actions/runs/${run.id}?version=v2`)
  expect(port.requests).toHaveLength(2)
})

test('where only the final status shows that a run is synchronous, a notice says so', async () => {
  const { play, port, run } = await openStage()
  run.synchronized = true
  const played = await play()

  expect(played.conclusion).toBe('success')
  expect(annotations(ownSteps(played.jobs[0]!).post)).toEqual([
    `notice: Port is told nothing more: Port (${new URL(port.url).host}) answered 422 to PATCH ${RUN_PATH} ` +
      '(run_synchronized_error: Cannot manually change status of a synchronized action run): run ' +
      `${run.id} is synchronous, so Port takes the answer to its webhook as the result; turn the action's ` +
      '"Synchronous" setting off to have it reported.',
  ])
})
