import { expect, test } from 'vitest'
import { openStage, payloadFor } from './play.ts'
import { transcript } from './transcript.ts'

test('a synchronous Port action is told nothing, and a notice names the setting to change', async () => {
  const stage = await openStage()
  const run = stage.port.createRun({ id: 'r_synchronous', synchronized: true })
  const played = await stage.play({ clientPayload: payloadFor(run.id) })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/synchronized.yml')
})

test('where only the final status shows that a run is synchronous, a notice says so', async () => {
  const stage = await openStage()
  stage.run.synchronized = true
  const played = await stage.play()
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/synchronized-at-end.yml')
})
