import { expect, test } from 'vitest'
import { action, openStage } from './play.ts'
import { transcript } from './transcript.ts'

test('the output payload of one workflow is the input payload of the next, which ends the Port run', async () => {
  const stage = await openStage()
  const first = await stage.play({ with: { report: 'off' } })
  const payload = first.jobs[0]!.steps.find(step => step.id === 'port')!.outputs.payload!
  expect(stage.run.status).toBe('IN_PROGRESS')
  stage.port.clearRequests()
  stage.github.clearRequests()
  const second = await stage.play({
    runId: 16_000_000_043,
    yaml: `
on: { workflow_dispatch: { inputs: { payload: { type: string } } } }
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:${action({ payload: '${{ inputs.payload }}' })}
`,
    event: { name: 'workflow_dispatch', payload: { inputs: { payload } } },
  })
  await expect(transcript(second, stage)).toMatchFileSnapshot('transcripts/handed-on.yml')
  expect(stage.run).toMatchObject({ status: 'SUCCESS', externalRunId: '16000000043' })
})
