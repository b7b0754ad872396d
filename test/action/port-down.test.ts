import { expect, test } from 'vitest'
import { annotations, openStage, ownSteps } from './play.ts'

test('Port being down leaves a green job green, with one warning at the start and one at the end', async () => {
  const { play, port } = await openStage()
  await port.failures.down()
  const played = await play()

  expect(played.conclusion).toBe('success')
  const { main, post } = ownSteps(played.jobs[0]!)
  const warning =
    `warning: Port could not be told: Port did not answer POST /v1/auth/access_token at ${port.url}: ECONNREFUSED. ` +
    'Check port-api-url, and whether this machine reaches it (proxy, firewall). See docs/errors.md#port'
  expect(annotations(main)).toEqual([warning])
  expect(annotations(post)).toEqual([warning])
  expect(main.outputs.version).toBe('1.4.2')
  // Tries 1, 2, 4 and 8 s apart; the start of a job waits no longer than 10 s.
  expect(Math.round(main.durationMs / 1000)).toBe(7)
  expect(Math.round(post.durationMs / 1000)).toBe(15)
}, 45_000)
