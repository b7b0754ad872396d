import { expect, test } from 'vitest'
import { openStage } from './play.ts'
import { transcript } from './transcript.ts'

test('a Port run that somebody ends while the job runs gets no report more, and the job stays green', async () => {
  const stage = await openStage()
  const played = await stage.play({
    onStep: ({ step }) => {
      if (step.name === 'Build image' && step.status === 'completed')
        stage.port.endRun(stage.run.id, 'FAILURE')
    },
  })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/ended-by-hand.yml')
  expect(stage.run.status).toBe('FAILURE')
})
