import { expect, test } from 'vitest'
import { openStage } from './play.ts'
import { transcript } from './transcript.ts'

const OTHER = '16000000007'

test('a second workflow run for the same Port run stops before any step of its author runs', async () => {
  const stage = await openStage()
  stage.run.externalRunId = OTHER
  const played = await stage.play()
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/duplicate.yml')
  expect(stage.run.status).toBe('IN_PROGRESS')
})

test('with on-duplicate: continue it goes on, and tells Port nothing', async () => {
  const stage = await openStage()
  stage.run.externalRunId = OTHER
  const played = await stage.play({ with: { 'on-duplicate': 'continue' } })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/duplicate-continue.yml')
})

test("an external run id that is no run of GitHub's is a person's own, and no duplicate", async () => {
  const { play, run } = await openStage()
  run.externalRunId = 'build-7'
  expect((await play()).conclusion).toBe('success')
  expect(run).toMatchObject({ status: 'SUCCESS', externalRunId: '16000000042' })
})
