import { expect, test } from 'vitest'
import { annotations, openStage, ownSteps, RUN_PATH, told } from './play.ts'

test('429 is answered by waiting as long as Port says, and then trying again', async () => {
  const { play, port, run } = await openStage()
  port.failures.rateLimit({ retryAfter: 1, times: 1 })
  const played = await play()

  expect(played.conclusion).toBe('success')
  const { main, post } = ownSteps(played.jobs[0]!)
  expect([...annotations(main), ...annotations(post)]).toEqual([])
  expect(port.requests[1]!.at - port.requests[0]!.at).toBeGreaterThanOrEqual(990)
  expect(
    told(port)
      .slice(0, 3)
      .map(line => line.replace(/ \{.*/, '')),
  ).toEqual(['POST /v1/auth/access_token', 'POST /v1/auth/access_token', `GET ${RUN_PATH}?version=v2`])
  expect(run.status).toBe('SUCCESS')
})

test('a limit that lasts longer than a job may wait is a warning at once, and the job stays green', async () => {
  const { play, port } = await openStage()
  const reset = Math.ceil(Date.now() / 1000) + 300
  port.failures.rateLimit({ reset, times: Number.POSITIVE_INFINITY })
  const played = await play()

  expect(played.conclusion).toBe('success')
  const { main, post } = ownSteps(played.jobs[0]!)
  const until = new Date(reset * 1000).toISOString()
  for (const step of [main, post]) {
    expect(annotations(step)).toHaveLength(1)
    expect(annotations(step)[0]).toMatch(
      /^warning: Port could not be told: Port \(127\.0\.0\.1:\d+\) answered 429/,
    )
    expect(annotations(step)[0]).toContain(
      `the organisation's rate limit is reached; try again after ${until}.`,
    )
  }
  // One try at the start, one at the end.
  expect(port.requests.map(({ path }) => path)).toEqual(Array(2).fill('/v1/auth/access_token'))
})
