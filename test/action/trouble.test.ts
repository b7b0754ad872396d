import { expect, test } from 'vitest'
import { annotations, openStage, ownSteps, payloadFor } from './play.ts'
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
  expect(annotations(ownSteps(played.jobs[0]!).main)[0]).toMatch(/^error: Reporting to Port failed/)
})

test('one credential without the other, and every other wrong input, is told at once', async () => {
  const stage = await openStage()
  const played = await stage.play({
    secrets: {},
    with: { report: 'jobs', 'on-duplicate': 'stop', needs: 'build' },
  })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/wrong-inputs.yml')
})

test('a run that Reporting to Port failed of at the start is reported whole at the end, link included', async () => {
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

test('a run that Port does not know is a warning that names region and organisation, and no more is told', async () => {
  const stage = await openStage()
  const played = await stage.play({ clientPayload: payloadFor('r_of_another_org') })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/unknown-run.yml')
})

test('a token that may not read actions costs the steps alone, and one notice names the permission', async () => {
  const stage = await openStage()
  const token = stage.github.createToken({
    kind: 'integration',
    permissions: { actions: 'none', contents: 'read' },
  })
  const played = await stage.play({ token })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/no-actions-permission.yml')
  expect(stage.run.status).toBe('SUCCESS')
})

test('GitHub being down costs the steps alone', async () => {
  const { play, run, github } = await openStage()
  const played = await play({
    onStep: ({ step }) => {
      if (step.kind === 'post' && step.status === 'in_progress') github.fail({ cut: 'before' })
    },
  })

  expect(annotations(ownSteps(played.jobs[0]!).post)).toEqual([
    expect.stringMatching(/^notice: The steps of this job are not reported to Port: /),
  ])
  expect(run.status).toBe('SUCCESS')
})
