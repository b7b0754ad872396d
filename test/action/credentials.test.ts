import { expect, test } from 'vitest'
import { annotations, openStage, ownSteps } from './play.ts'

test('without credentials there is one warning that names them, the outputs are set, and Port is not asked', async () => {
  const { play, port } = await openStage()
  const played = await play({ vars: { PORT_API_URL: port.url }, secrets: {} })

  expect(played.conclusion).toBe('success')
  const { main, post } = ownSteps(played.jobs[0]!)
  expect(annotations(main)).toEqual([
    'warning: Port will not see how this job goes: set the inputs port-client-id and port-client-secret, or report: off. ' +
      'See docs/errors.md#credentials',
  ])
  expect(post.stdout).toBe('')
  expect(main.outputs.version).toBe('1.4.2')
  expect(port.requests).toEqual([])
})

test('credentials that Port refuses are one warning that names the inputs', async () => {
  const { play, port } = await openStage()
  const played = await play({ secrets: { PORT_CLIENT_SECRET: 'that-of-another' } })

  expect(played.conclusion).toBe('success')
  const { main, post } = ownSteps(played.jobs[0]!)
  expect(annotations(main)).toHaveLength(1)
  expect(annotations(main)[0]).toMatch(
    /^warning: Port could not be told: .* answered 401 to POST \/v1\/auth\/access_token/,
  )
  expect(annotations(main)[0]).toContain('it does not accept port-client-id and port-client-secret')
  expect(main.log).not.toContain('that-of-another')
  expect(post.stdout).toBe('')
  expect(port.requests).toHaveLength(1)
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
  const { play } = await openStage()
  const played = await play({
    secrets: {},
    with: { report: 'jobs', 'on-duplicate': 'stop', needs: 'build' },
  })

  expect(played.conclusion).toBe('failure')
  expect(annotations(ownSteps(played.jobs[0]!).main)).toEqual([
    [
      'error: report must be job, workflow, progress or off, not "jobs".',
      'needs must be ${{ toJSON(needs) }}.',
      'on-duplicate must be fail or continue, not "stop".',
      'port-client-id is given, and port-client-secret is empty: check the name of its secret or variable.',
    ].join('\n'),
  ])
})
