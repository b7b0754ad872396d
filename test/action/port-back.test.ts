import { expect, test } from 'vitest'
import { openStage } from './play.ts'
import { transcript } from './transcript.ts'

test('a run that Port could not be told of at the start is reported whole at the end, link included', async () => {
  const stage = await openStage()
  stage.port.fail({
    match: ({ method }) => method === 'GET',
    status: 503,
    headers: { 'retry-after': '0' },
    times: 5,
  })
  const played = await stage.play()
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/port-back.yml')
  expect(stage.run).toMatchObject({ status: 'SUCCESS', link: [stage.runUrl()], externalRunId: '16000000042' })
})
