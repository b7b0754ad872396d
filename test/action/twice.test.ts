import { expect, test } from 'vitest'
import { action, openStage } from './play.ts'
import { transcript } from './transcript.ts'

test('the action used twice in a job gives its outputs twice, and reports once', async () => {
  const stage = await openStage()
  const played = await stage.play({
    yaml: `
on: { repository_dispatch: { types: [deploy_service] } }
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:${action({ progress: 'false' })}
      - run: echo between >> "$PORT_LOG"${action({}, 'again')}
      - run: test "$A" = "$B"
        env:
          A: \${{ steps.port.outputs.payload }}
          B: \${{ steps.again.outputs.payload }}
`,
  })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/twice.yml')
})
