import { expect, test } from 'vitest'
import { action, openStage } from './play.ts'
import { transcript } from './transcript.ts'

test.each([
  ['exit 0', 'SUCCESS'],
  ['test "$REGION" = eu', 'FAILURE'],
])(
  'legs of a matrix show progress, and a last job that needs them ends the Port run: %s',
  async (script, status) => {
    const stage = await openStage()
    const played = await stage.play({
      yaml: `
on: { repository_dispatch: { types: [deploy_service] } }
jobs:
  deploy:
    runs-on: ubuntu-latest
    strategy: { fail-fast: false, matrix: { region: [eu, us] } }
    steps:${action({ report: 'progress', 'status-label': 'Deploying' })}
      - { run: '${script}', env: { REGION: "\${{ matrix.region }}" } }
  report:
    needs: deploy
    if: always()
    runs-on: ubuntu-latest
    steps:${action({ needs: '${{ toJSON(needs) }}' })}
`,
    })
    await expect(transcript(played, stage)).toMatchFileSnapshot(`transcripts/matrix-${status}.yml`)
    expect(stage.run.status).toBe(status)
  },
)

test('in a matrix, a warning says that the first leg to end ends the Port run', async () => {
  const stage = await openStage()
  const played = await stage.play({
    yaml: `
on: { repository_dispatch: { types: [deploy_service] } }
jobs:
  deploy:
    runs-on: ubuntu-latest
    strategy: { matrix: { region: [eu] } }
    steps:${action()}
`,
  })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/matrix-leg.yml')
})
