import { expect, test } from 'vitest'
import { openStage } from './play.ts'
import { transcript } from './transcript.ts'

const STEPS = `
- { name: Build image, run: echo building }
- { name: Deploy, run: exit 3 }
- { name: Notify, run: echo never }
`

test('a job that fails ends the Port run as FAILURE, and shows which step failed and which were skipped', async () => {
  const stage = await openStage()
  const played = await stage.play({ steps: STEPS })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/failure.yml')
  expect(stage.run.status).toBe('FAILURE')
})
