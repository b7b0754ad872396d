import { expect, test } from 'vitest'
import { until } from '../../tools/simulator/http-server.ts'
import { openRelayHere, relayEnv } from '../support/relay.ts'
import { send } from '../support/send.ts'
import { startServices } from '../support/services.ts'

const PATH = '/webhook/acme/shop?wait=dispatch'
const invocation = (id: string) => ({ run: { id }, action: { identifier: 'deploy' }, inputs: {} })

async function startSystem() {
  const { port, github, env } = await startServices({ autoRun: true })
  return { port, github, relay: await openRelayHere(relayEnv(env)) }
}

test('?wait=dispatch responds with 200 once GitHub accepts the dispatch, and the relay sends no final status', async () => {
  const { port, github, relay } = await startSystem()
  github.addRepository('acme/shop')
  const run = port.createRun({ id: 'r_1', synchronized: true })
  const response = await send(relay.url, { path: PATH, body: invocation('r_1') })
  expect(response).toEqual({
    status: 200,
    body: {
      delivery: expect.any(String),
      state: expect.stringMatching(/^(dispatched|running)$/),
      run_id: 'r_1',
      repository: 'acme/shop',
      event_type: 'deploy',
    },
  })
  expect(github.dispatches).toHaveLength(1)
  await until(() => run.logs.length > 0, 'Port is updated')
  expect(run.statusLabel).toBe('Waiting for GitHub')
  const again = await send(relay.url, { path: PATH, body: invocation('r_1') })
  expect([again.status, again.body.duplicate]).toEqual([200, true])
  expect(github.dispatches).toHaveLength(1)
  expect(port.requests.filter(({ body }) => (body as { status?: string })?.status)).toEqual([])
})

test('?wait=dispatch responds with 502 if GitHub rejects the dispatch; other messages are sent even though Port rejects the status', async () => {
  const { port, relay } = await startSystem()
  const run = port.createRun({ id: 'r_1', synchronized: true })
  const response = await send(relay.url, { path: PATH, body: invocation('r_1') })
  const detail =
    "GitHub can't find acme/shop: it doesn't exist, or the relay's token lacks Contents: write on it."
  expect(response).toEqual({
    status: 502,
    body: { type: 'about:blank', title: 'Bad Gateway', status: 502, detail },
  })
  await until(() => run.logs.length > 0, "Port's log has the reason")
  expect(run.logs.map(log => log.message)).toEqual([expect.stringContaining(String(detail))])
  const next = port.createRun({ id: 'r_2' })
  await send(relay.url, { body: invocation('r_2') })
  await until(() => next.status === 'FAILURE', 'the next run is updated')
  expect(run.status).toBe('IN_PROGRESS')
  const asked = port.requests.filter(({ method, path }) => method === 'PATCH' && path.includes('r_1'))
  expect(asked.length).toBeLessThanOrEqual(2)
})
