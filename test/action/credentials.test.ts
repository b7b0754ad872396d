import { expect, test } from 'vitest'
import { annotations, openStage, ownSteps } from './play.ts'
import { transcript } from './transcript.ts'

test('without credentials there is one warning that names them, the outputs are set, and Port is not asked', async () => {
  const stage = await openStage()
  const played = await stage.play({ vars: { PORT_API_URL: stage.port.url }, secrets: {} })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/credentials-none.yml')
})

test('credentials that Port refuses are one warning that names the inputs', async () => {
  const stage = await openStage()
  const played = await stage.play({ secrets: { PORT_CLIENT_SECRET: 'that-of-another' } })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/credentials-refused.yml')
  expect(ownSteps(played.jobs[0]!).main.log).not.toContain('that-of-another')
})

test('with fail-on-report-error the job fails when Port cannot be told', async () => {
  const { play } = await openStage()
  const played = await play({
    secrets: { PORT_CLIENT_SECRET: 'that-of-another' },
    with: { 'fail-on-report-error': 'true' },
  })

  expect(played.conclusion).toBe('failure')
  expect(annotations(ownSteps(played.jobs[0]!).main)[0]).toMatch(/^error: Port could not be told/)
})

test('one credential without the other, and every other wrong input, is told at once', async () => {
  const stage = await openStage()
  const played = await stage.play({
    secrets: {},
    with: { report: 'jobs', 'on-duplicate': 'stop', needs: 'build' },
  })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/wrong-inputs.yml')
})
