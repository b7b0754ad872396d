import { expect, test } from 'vitest'
import type { Delivery } from '../../relay/delivery/delivery.ts'
import { awaitDispatch } from '../../relay/intake/receive.ts'
import { until } from '../../tools/simulator/http-server.ts'
import { openReceiving } from '../support/receiving.ts'
import { openRelayHere, relayEnv } from '../support/relay.ts'
import { send } from '../support/send.ts'

const webhook = { path: '/webhook?wait=dispatch', body: { run: { id: 'r_1' }, inputs: {} } }
const delivery = (more: Partial<Delivery>) => ({ reason: null, dispatchedAt: null, ...more }) as Delivery

test('returns "queued" for a persisted delivery if the store stays unreadable', async () => {
  const get = () => Promise.reject(new Error('the database has gone'))
  expect(await awaitDispatch('d', { get }, { patience: 250 })).toBe('queued')
})

test("responds with the delivery's state if the store becomes readable in time", async () => {
  let polls = 0
  const get = async () => {
    if (++polls < 3) throw new Error('the database has gone')
    return delivery({ state: 'dispatched', dispatchedAt: 1 })
  }
  const relay = await openReceiving({ store: { get } })
  const response = await relay.post(webhook)
  expect([response.status, response.body.state]).toEqual([200, 'dispatched'])
  expect(await relay.written()).toHaveLength(1)
  expect(relay.logged.map(each => each.message)).toEqual(['the delivery is accepted'])
})

test('a replay gets 200 if GitHub accepted the dispatch, even if the workflow run failed later', async () => {
  const get = async () => delivery({ state: 'failed', reason: 'The run was cancelled', dispatchedAt: 1 })
  const relay = await openReceiving({ store: { get } })
  await relay.post(webhook)
  const replay = await relay.post(webhook)
  expect([replay.status, replay.body]).toEqual([
    200,
    expect.objectContaining({ state: 'failed', duplicate: true, run_id: 'r_1' }),
  ])
})

test('a stopping relay responds to waiting requests with 202 because the delivery is persisted', async () => {
  const relay = await openRelayHere(relayEnv())
  const response = send(relay.url, webhook)
  await until(() => relay.log().some(line => line.msg === 'the delivery is accepted'), 'the request waits')
  await relay.stop()
  expect(await response).toMatchObject({ status: 202, body: { run_id: 'r_1', state: 'queued' } })
})
