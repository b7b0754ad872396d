import { expect, test } from 'vitest'
import { openStage, ownSteps } from './play.ts'
import { transcript } from './transcript.ts'

test('a job that succeeds gives every Port input as an output, and ends the Port run as SUCCESS', async () => {
  const stage = await openStage()
  const played = await stage.play()
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/success.yml')
  expect(stage.run.status).toBe('SUCCESS')
})

test('the client secret and the token of Port are masked, in main and in post', async () => {
  const { play, port } = await openStage()
  const { main, post } = ownSteps((await play()).jobs[0]!)
  const token = port.requests.at(-1)!.headers.authorization!.replace('Bearer ', '')
  for (const step of [main, post]) {
    expect(step.stdout).toContain(`::add-mask::${port.clientSecret}\n`)
    expect(step.stdout).toContain(`::add-mask::${token}\n`)
    expect(step.log).not.toContain(port.clientSecret)
  }
})
