import { expect, onTestFinished, test } from 'vitest'
import { Problem } from '../../relay/http/problem.ts'
import { awaitDispatch } from '../../relay/intake/receive.ts'
import { startGitHubApi } from '../../tools/simulator/github/github.ts'
import { until } from '../../tools/simulator/http-server.ts'
import { startPortApi } from '../../tools/simulator/port/port.ts'
import { relayEnv, startRelay } from '../support/relay.ts'
import { send } from '../support/send.ts'
import { SECRET } from '../support/sign.ts'

const PATH = '/webhook/acme/shop?wait=dispatch'
const invocation = (id: string) => ({ run: { id }, action: { identifier: 'deploy' }, inputs: {} })

async function startSystem() {
  const [port, github] = await Promise.all([
    startPortApi({ clientSecret: SECRET }),
    startGitHubApi({ autoRun: true }),
  ])
  onTestFinished(async () => void (await Promise.all([port.close(), github.close()])))
  const relay = await startRelay(
    relayEnv({
      PORT_CLIENT_ID: port.clientId,
      PORT_API_URL: port.url,
      GITHUB_API_URL: github.url,
      GITHUB_TOKEN: github.token,
    }),
  )
  return { port, github, relay }
}

test('?wait=dispatch answers 200 once GitHub has accepted, and Port, which takes the answer as the result, is not asked to end the run', async () => {
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

test('it answers 502 with the sentence where GitHub rejects for good, and trouble with the status of the synchronous run stops nothing', async () => {
  const { port, relay } = await startSystem()
  const run = port.createRun({ id: 'r_1', synchronized: true })
  const response = await send(relay.url, { path: PATH, body: invocation('r_1') })
  const detail =
    "GitHub cannot see acme/shop: it does not exist, or the relay's token lacks Contents: write on it."
  expect(response).toEqual({
    status: 502,
    body: { type: 'about:blank', title: 'Bad Gateway', status: 502, detail },
  })
  await until(() => run.logs.length > 0, "Port's log has the reason")
  expect(run.logs.map(log => log.message)).toEqual([expect.stringContaining(String(detail))])
  // What comes after it is still sent.
  const next = port.createRun({ id: 'r_2' })
  await send(relay.url, { body: invocation('r_2') })
  await until(() => next.status === 'FAILURE', 'the next run is updated')
  expect(run.status).toBe('IN_PROGRESS')
  const asked = port.requests.filter(({ method, path }) => method === 'PATCH' && path.includes('r_1'))
  expect(asked.length).toBeLessThanOrEqual(2)
})

test('it answers 202 where GitHub has not answered in time, and 200 or 502 as soon as it has', async () => {
  let state = 'queued'
  const store = { get: async () => ({ state, reason: 'GitHub said no' }) as never }
  expect(await awaitDispatch('d', store, { patience: 150 })).toBe('queued')
  setTimeout(() => (state = 'dispatched'), 150)
  expect(await awaitDispatch('d', store, { patience: 5_000 })).toBe('dispatched')
  state = 'failed'
  const refused = await awaitDispatch('d', store, { patience: 5_000 }).catch(error => error)
  expect(refused).toBeInstanceOf(Problem)
  expect(refused).toMatchObject({ status: 502, message: 'GitHub said no' })
})

test('a relay that GitHub asks to wait answers 202 after its patience, and dispatches later', async () => {
  const { github, relay, port } = await startSystem()
  github.addRepository('acme/shop')
  port.createRun({ id: 'r_1', synchronized: true })
  github.failures.secondaryLimit(22)
  const response = await send(relay.url, { path: PATH, body: invocation('r_1') })
  expect([response.status, response.body.state]).toEqual([202, 'queued'])
  await until(() => github.dispatches.length === 1, 'it is dispatched after the limit')
}, 60_000)
