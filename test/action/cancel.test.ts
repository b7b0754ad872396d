import { expect, test } from 'vitest'
import { openStage } from './play.ts'
import { transcript } from './transcript.ts'

test('a job that is cancelled ends the Port run as FAILURE with the label Cancelled', async () => {
  const stage = await openStage()
  const played = await stage.play({
    steps: '- { name: Deploy, run: echo deploying && sleep 60 }',
    cancelAt: 'Deploy',
    cancelGraceMs: 100,
  })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/cancel.yml')
  expect(stage.run).toMatchObject({ status: 'FAILURE', statusLabel: 'Cancelled' })
})
