import { expect, test } from 'vitest'
import { action, openStage, payloadFor } from './play.ts'
import { transcript } from './transcript.ts'

test('a workflow started by hand takes the payload from its input, and reports as any other', async () => {
  const stage = await openStage()
  const played = await stage.play({
    yaml: `
on:
  workflow_dispatch:
    inputs:
      payload: { type: string, required: true }
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:${action({ payload: '${{ inputs.payload }}' })}
`,
    event: {
      name: 'workflow_dispatch',
      payload: { inputs: { payload: JSON.stringify(payloadFor('r_Q0YotCZMKxDLdlaU')) } },
    },
  })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/workflow-dispatch.yml')
  expect(stage.run.status).toBe('SUCCESS')
})
