import { expect, test } from 'vitest'
import { action, openStage } from './play.ts'
import { transcript } from './transcript.ts'

test('not as the first step it works, and a warning names the step before it and says why first is better', async () => {
  const stage = await openStage()
  const played = await stage.play({
    yaml: `
on: { repository_dispatch: { types: [deploy_service] } }
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:
      - { name: Check out, run: echo here }${action()}
`,
  })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/not-first.yml')
  expect(stage.run.status).toBe('SUCCESS')
})
