import { expect, test } from 'vitest'
import { rerunWorkflow } from '../support/player/rerun-workflow.ts'
import { openStage, ownSteps } from './play.ts'
import { transcript } from './transcript.ts'

test('a re-run after the Port run has ended says so, gives the outputs, and tells Port nothing', async () => {
  const stage = await openStage()
  const first = await stage.play()
  stage.port.clearRequests()
  stage.github.clearRequests()
  const second = await rerunWorkflow(first)
  await expect(transcript(second, stage)).toMatchFileSnapshot('transcripts/rerun.yml')
  expect(ownSteps(second.jobs[0]!).main.outputs).toEqual(ownSteps(first.jobs[0]!).main.outputs)
})

test('a re-run while the Port run is still in progress reports it, with the link to its own attempt', async () => {
  const stage = await openStage()
  const first = await stage.play({ with: { report: 'progress' } })
  expect(stage.run.status).toBe('IN_PROGRESS')
  stage.port.clearRequests()
  stage.github.clearRequests()
  const second = await rerunWorkflow(first)
  await expect(transcript(second, stage)).toMatchFileSnapshot('transcripts/rerun-in-progress.yml')
  expect(stage.run.link).toEqual([stage.runUrl(2)])
})
