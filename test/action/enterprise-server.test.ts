import { expect, test } from 'vitest'
import { openStage } from './play.ts'
import { transcript } from './transcript.ts'

test("on Enterprise Server the URLs are that server's, and the job is found by its runner", async () => {
  const stage = await openStage({ enterprise: true })
  const played = await stage.play({ checkRunId: false, runnerName: 'rack-7' })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/enterprise-server.yml')
  expect(stage.run).toMatchObject({ status: 'SUCCESS', link: [stage.runUrl()] })
})
