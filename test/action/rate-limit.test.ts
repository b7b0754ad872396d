import { expect, test } from 'vitest'
import { openStage, ownSteps } from './play.ts'
import { transcript } from './transcript.ts'

test('429 is answered by waiting as long as Port says, and then trying again', async () => {
  const stage = await openStage()
  stage.port.failures.rateLimit({ retryAfter: 1, times: 1 })
  const played = await stage.play()
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/rate-limit.yml')
  const [first, second] = stage.port.requests
  expect(second!.at - first!.at).toBeGreaterThanOrEqual(990)
  expect(stage.run.status).toBe('SUCCESS')
})

test('a limit that lasts longer than a job may wait is a warning at once, and the job stays green', async () => {
  const stage = await openStage()
  const reset = Math.ceil(Date.now() / 1000) + 300
  stage.port.failures.rateLimit({ reset, times: Number.POSITIVE_INFINITY })
  const played = await stage.play()
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/rate-limit-too-long.yml')
  const { main, post } = ownSteps(played.jobs[0]!)
  for (const step of [main, post]) expect(step.stdout).toContain(new Date(reset * 1000).toISOString())
})
