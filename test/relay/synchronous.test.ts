import { expect, test } from 'vitest'
import type { Delivery } from '../../relay/delivery/delivery.ts'
import { awaitDispatch } from '../../relay/intake/receive.ts'
import { until } from '../../simulator/http-server.ts'
import { openReceiving } from '../support/receiving.ts'
import { openRelayHere, relayEnv, startServices } from '../support/relay.ts'
import { send } from '../support/requests.ts'

const PATH = '/webhook/acme/shop?wait=dispatch'
const invocation = (id: string) => ({ run: { id }, action: { identifier: 'deploy' }, inputs: {} })
const webhook = { path: PATH, body: invocation('r_1') }

async function startSystem() {
  const { port, github, env } = await startServices({ autoRun: true })
  return { port, github, relay: await openRelayHere(relayEnv(env)) }
}

test('?wait=dispatch responds with 200 once GitHub accepts the dispatch, and the relay sends no final status', async () => {
  const { port, github, relay } = await startSystem()
  github.addRepository('acme/shop')
  const run = port.createRun({ id: 'r_1', synchronized: true })
  expect(await send(relay.url, webhook)).toEqual({
    status: 200,
    body: {
      ...{ delivery: expect.any(String), state: expect.stringMatching(/^(dispatched|running)$/) },
      ...{ run_id: 'r_1', repository: 'acme/shop', event_type: 'deploy' },
    },
  })
  await until(() => run.logs.length > 0, 'Port is updated')
  expect(run.statusLabel).toBe('Waiting for GitHub')
  expect(await send(relay.url, webhook)).toMatchObject({ status: 200, body: { duplicate: true } })
  expect(github.dispatches).toHaveLength(1)
  expect(port.requests.filter(({ body }) => (body as { status?: string })?.status)).toEqual([])
})

test('?wait=dispatch responds with 502 if GitHub rejects the dispatch; other messages are sent even though Port rejects the status', async () => {
  const { port, relay } = await startSystem()
  const run = port.createRun({ id: 'r_1', synchronized: true })
  const detail =
    "GitHub can't find acme/shop: it doesn't exist, or the relay's token has no access to it. Correct the repository's name in Port or in the relay's settings, or give the token access to the repository."
  expect(await send(relay.url, webhook)).toEqual({
    status: 502,
    body: { type: 'about:blank', title: 'Bad Gateway', status: 502, detail },
  })
  await until(() => run.logs.length > 0, "Port's log has the reason")
  expect(run.logs.map(log => log.message)).toEqual([expect.stringContaining(detail)])
  const next = port.createRun({ id: 'r_2' })
  await send(relay.url, { body: invocation('r_2') })
  await until(() => next.status === 'FAILURE', 'the next run is updated')
  expect(run.status).toBe('IN_PROGRESS')
  const asked = port.requests.filter(({ method, path }) => method === 'PATCH' && path.includes('r_1'))
  expect(asked.length).toBeLessThanOrEqual(2)
})

test('the state of a persisted delivery is "queued" if the store stays unreadable', async () => {
  const get = () => Promise.reject(new Error('the database has gone'))
  expect(await awaitDispatch('d', { get }, { patience: 250 })).toBe('queued')
})

test('a replay gets 200 if GitHub accepted the dispatch, even if the workflow run failed later', async () => {
  const get = async () => ({ state: 'failed', reason: 'It was cancelled', dispatchedAt: 1 }) as Delivery
  const relay = await openReceiving({ store: { get } })
  await relay.post(webhook)
  const body = { state: 'failed', duplicate: true, run_id: 'r_1' }
  expect(await relay.post(webhook)).toMatchObject({ status: 200, body })
})

test('a stopping relay responds to waiting requests with 202 because the delivery is persisted', async () => {
  const relay = await openRelayHere(relayEnv())
  const response = send(relay.url, webhook)
  await until(() => relay.log().some(line => line.msg === 'the delivery is accepted'), 'the request waits')
  await relay.stop()
  expect(await response).toMatchObject({ status: 202, body: { run_id: 'r_1', state: 'queued' } })
})
