import { expect, test } from 'vitest'
import { rerunWorkflow } from '../support/player/rerun-workflow.ts'
import { annotations, openStage, ownSteps, RUN_PATH, told } from './play.ts'

test('a re-run after the Port run has ended says so, gives the outputs, and tells Port nothing', async () => {
  const stage = await openStage()
  const first = await stage.play()
  stage.port.clearRequests()
  stage.github.clearRequests()
  const second = await rerunWorkflow(first)

  expect(second).toMatchObject({ conclusion: 'success', attempt: 2 })
  const { main, post } = ownSteps(second.jobs[0]!)
  expect(main.outputs).toEqual(ownSteps(first.jobs[0]!).main.outputs)
  expect(annotations(main)).toEqual([
    `notice: Port's run ${stage.run.id} has already ended (success), as after a re-run, or when somebody ended it ` +
      'by hand. This job goes on, and Port is told nothing of it.',
  ])
  expect(annotations(post)).toEqual([])
  expect(told(stage.port).map(line => line.replace(/ \{.*/, ''))).toEqual([
    'POST /v1/auth/access_token',
    `GET ${RUN_PATH}?version=v2`,
  ])
  expect(told(stage.github)).toEqual([])
})

test('a re-run while the Port run is still in progress reports it, with the link to its own attempt', async () => {
  const stage = await openStage()
  const first = await stage.play({ with: { report: 'progress' } })
  expect(stage.run.status).toBe('IN_PROGRESS')
  const second = await rerunWorkflow(first)

  expect(second.conclusion).toBe('success')
  expect(annotations(ownSteps(second.jobs[0]!).main)).toEqual([])
  expect(stage.run.link).toEqual([stage.runUrl(2)])
})
