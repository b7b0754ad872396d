import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { until } from '../../tools/simulator/http-server.ts'
import { openRelayHere, relayEnv } from '../support/relay.ts'
import { send } from '../support/send.ts'
import { startServices } from '../support/services.ts'

const RELAY_ADMIN_TOKEN = 'an-admin-token-of-some-length'

test('two spellings of a repository share a queue, so the second delivery waits for the first', async () => {
  const { github, env } = await startServices()
  github.addRepository('acme/shop')
  const more = { RELAY_ALLOWED_REPOSITORIES: 'Acme/*', RELAY_ADMIN_TOKEN, RELAY_DISPATCH_RATE: '0' }
  const relay = await openRelayHere(relayEnv({ ...env, ...more }))
  github.fail({ delayMs: 600, takesEffect: true, status: 204, body: '' })
  const accepted = []
  for (const [n, repository] of ['Acme/Shop', 'acme/shop', 'ACME/SHOP'].entries()) {
    const { status, body } = await send(relay.url, {
      body: { run: { id: `r_${n}` }, action: { identifier: 'go' }, inputs: {}, github: { repository } },
    })
    accepted.push([status, body.repository])
    await until(() => github.requests.length > 0, 'GitHub receives the first dispatch, and responds slowly')
  }
  await sleep(200)
  expect(github.requests).toHaveLength(1)
  expect(accepted).toEqual(Array.from({ length: 3 }, () => [202, 'acme/shop']))
  await until(() => github.dispatches.length === 3, 'all deliveries are dispatched')
  expect(github.dispatches.map(each => each.clientPayload.run_id)).toEqual(['r_0', 'r_1', 'r_2'])

  const listed = await fetch(`${relay.url}/api/deliveries?repository=ACME/Shop`, {
    headers: { authorization: `Bearer ${RELAY_ADMIN_TOKEN}` },
  })
  expect(((await listed.json()) as { deliveries: unknown[] }).deliveries).toHaveLength(3)
})
