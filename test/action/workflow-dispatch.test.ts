import { expect, test } from 'vitest'
import { action, openStage, ownSteps, payloadFor } from './play.ts'

test('a workflow started by hand takes the payload from its input, and reports as any other', async () => {
  const { play, run } = await openStage()
  const played = await play({
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

  expect(played.conclusion).toBe('success')
  expect(ownSteps(played.jobs[0]!).main.outputs).toMatchObject({ version: '1.4.2', 'run-id': run.id })
  expect(run.status).toBe('SUCCESS')
})
