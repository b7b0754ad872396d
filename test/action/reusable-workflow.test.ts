import { expect, test } from 'vitest'
import { action, openStage, repositoryWith } from './play.ts'
import { transcript } from './transcript.ts'

test('a reusable workflow takes the payload from its caller, and ends the Port run', async () => {
  const repository = repositoryWith({
    '.github/workflows/called.yml': `
on:
  workflow_call:
    inputs: { payload: { type: string, required: true } }
    secrets: { PORT_CLIENT_SECRET: { required: true } }
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:${action({ payload: '${{ inputs.payload }}' })}
      - run: test "$VERSION" = 1.4.2
        env: { VERSION: "\${{ steps.port.outputs.version }}" }
`,
  })
  const stage = await openStage()
  const played = await stage.play({
    ...repository,
    yaml: `
on: { repository_dispatch: { types: [deploy_service] } }
jobs:
  call:
    uses: ./.github/workflows/called.yml
    with: { payload: "\${{ toJSON(github.event.client_payload) }}" }
    secrets: inherit
`,
  })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/reusable-workflow.yml')
  expect(stage.run.status).toBe('SUCCESS')
})
