import { expect, test } from 'vitest'
import { annotations, openStage, ownSteps, payloadFor } from './play.ts'

test('a run that Port does not know is a warning that names region and organisation, and no more is told', async () => {
  const { play, port } = await openStage()
  const played = await play({ clientPayload: payloadFor('r_of_another_org') })

  expect(played.conclusion).toBe('success')
  const { main, post } = ownSteps(played.jobs[0]!)
  expect(annotations(main)).toEqual([
    `warning: Port could not be told: Port (${new URL(port.url).host}) answered 404 to GET ` +
      '/v1/actions/runs/r_of_another_org (not_found: The action run with the provided identifier was not found): it ' +
      'knows no run r_of_another_org; check that port-client-id and port-client-secret belong to the organisation ' +
      'of that run, and that port-api-url is its region. See docs/errors.md#port',
  ])
  expect(annotations(post)).toEqual([])
  expect(port.requests).toHaveLength(2)
})
