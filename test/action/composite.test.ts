import { expect, test } from 'vitest'
import { openStage, repositoryWith } from './play.ts'
import { transcript } from './transcript.ts'

test('inside a composite action it reports the job all the same, and hands its outputs on', async () => {
  const repository = repositoryWith({
    'port/action.yml': `
name: Port
description: What all workflows of acme begin with.
inputs:
  id: { description: Client id., required: true }
  secret: { description: Client secret., required: true }
  url: { description: API., required: true }
outputs:
  version: { description: Version., value: "\${{ steps.port.outputs.version }}" }
runs:
  using: composite
  steps:
    - uses: ./
      id: port
      with:
        port-client-id: \${{ inputs.id }}
        port-client-secret: \${{ inputs.secret }}
        port-api-url: \${{ inputs.url }}
`,
  })
  const stage = await openStage()
  const played = await stage.play({
    ...repository,
    yaml: `
on: { repository_dispatch: { types: [deploy_service] } }
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:
      - uses: ./port
        id: start
        with: { id: "\${{ vars.PORT_CLIENT_ID }}", secret: "\${{ secrets.PORT_CLIENT_SECRET }}", url: "\${{ vars.PORT_API_URL }}" }
      - name: Deploy
        run: |
          echo "to $VERSION" >> "$PORT_LOG"
          exit 1
        env: { VERSION: "\${{ steps.start.outputs.version }}" }
`,
  })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/composite.yml')
  expect(stage.run).toMatchObject({ status: 'FAILURE', statusLabel: 'Failed' })
})
