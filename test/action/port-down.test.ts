import { expect, test } from 'vitest'
import { openStage, ownSteps } from './play.ts'
import { transcript } from './transcript.ts'

test('Port being down leaves a green job green, with one warning at the start and one at the end', async () => {
  const stage = await openStage()
  await stage.port.failures.down()
  const played = await stage.play()
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/port-down.yml')
  const { main, post } = ownSteps(played.jobs[0]!)
  // Tries 1, 2, 4 and 8 s apart; the start of a job waits no longer than 10 s, so it leaves the last one out.
  expect(main.durationMs).toBeGreaterThanOrEqual(7_000)
  expect(main.durationMs).toBeLessThan(10_000)
  expect(post.durationMs).toBeGreaterThanOrEqual(15_000)
  expect(post.durationMs).toBeLessThan(20_000)
}, 45_000)
