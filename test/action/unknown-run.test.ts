import { expect, test } from 'vitest'
import { openStage, payloadFor } from './play.ts'
import { transcript } from './transcript.ts'

test('a run that Port does not know is a warning that names region and organisation, and no more is told', async () => {
  const stage = await openStage()
  const played = await stage.play({ clientPayload: payloadFor('r_of_another_org') })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/unknown-run.yml')
})
