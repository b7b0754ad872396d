import { expect, test } from 'vitest'
import { annotations, openStage, ownSteps, RUN_PATH, told } from './play.ts'

test('a Port run that somebody ends while the job runs gets no report more, and the job stays green', async () => {
  const { play, port, run } = await openStage()
  const played = await play({
    onStep: ({ step }) => {
      if (step.name === 'Build image' && step.status === 'completed') port.endRun(run.id, 'FAILURE')
    },
  })

  expect(played.conclusion).toBe('success')
  expect(annotations(ownSteps(played.jobs[0]!).post)).toEqual([
    `notice: Port is told nothing more: Port (${new URL(port.url).host}) answered 422 to POST ${RUN_PATH}/logs ` +
      `(run_exhausted: Action run already finished execution): run ${run.id} has already ended.`,
  ])
  expect(told(port).at(-1)).toMatch(`POST ${RUN_PATH}/logs`)
  expect(run.status).toBe('FAILURE')
})
