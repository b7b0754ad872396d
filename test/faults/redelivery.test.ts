import { expect, onTestFinished, test } from 'vitest'
import type { Json } from '../../port/types.ts'
import { startGitHubApi } from '../../tools/simulator/github/github.ts'
import { until } from '../../tools/simulator/http-server.ts'
import { openRelayHere, relayEnv, runRelay } from '../support/relay.ts'
import { send } from '../support/send.ts'

const TOKEN = 'an-admin-token-of-some-length'
const REASON =
  "GitHub cannot see acme/shop: it does not exist, or the relay's token lacks Contents: write on it."

async function openFailed(more: Record<string, string> = {}) {
  const github = await startGitHubApi()
  onTestFinished(() => github.close())
  const env = relayEnv({
    GITHUB_API_URL: github.url,
    GITHUB_TOKEN: github.token,
    RELAY_ADMIN_TOKEN: TOKEN,
    ...more,
  })
  const relay = await openRelayHere(env)
  const { body } = await send(relay.url, { body: { run: { id: 'r_1' }, inputs: { secret: 'of a person' } } })
  const id = String(body.delivery)
  const api = async (path: string, method = 'GET', token = TOKEN) => {
    const response = await fetch(`${relay.url}/api/deliveries${path}`, {
      method,
      headers: { authorization: `Bearer ${token}` },
    })
    return { status: response.status, body: (await response.json()) as Record<string, Json> }
  }
  return { github, relay, env, id, api }
}

test('a failed delivery keeps why and each event, and is redelivered by API: once, by those who may', async () => {
  const { github, id, api } = await openFailed()
  await until(async () => (await api(`/${id}`)).body.state === 'failed', 'it fails')
  const { body: shown } = await api(`/${id}`)
  expect(shown).toMatchObject({ delivery: id, state: 'failed', reason: REASON, run_id: 'r_1' })
  expect(shown.events).toEqual([
    { time: expect.stringMatching(/^\d{4}-.*Z$/), type: 'accepted', details: {} },
    {
      time: expect.stringMatching(/^\d{4}-.*Z$/),
      type: 'dispatchRejected',
      details: {
        ...{ attempt: 1, reason: REASON, state: 'failed' },
        ...{ status: 404, github_request_id: expect.any(String) },
      },
    },
  ])
  expect(JSON.stringify(shown)).not.toContain('of a person')
  expect((await api('?state=failed')).body.deliveries).toHaveLength(1)

  expect((await api(`/${id}/redeliver`, 'POST', 'wrong')).status).toBe(401)
  expect((await api('/none/redeliver', 'POST')).status).toBe(404)
  github.addRepository('acme/shop')
  expect(await api(`/${id}/redeliver`, 'POST')).toEqual({
    status: 202,
    body: { delivery: id, state: 'queued' },
  })
  await until(() => github.dispatches.length === 1, 'it is dispatched')
  await until(async () => (await api(`/${id}`)).body.state === 'dispatched', 'that is recorded')
  expect(await api(`/${id}/redeliver`, 'POST')).toMatchObject({
    status: 409,
    body: {
      detail: `Delivery ${id} is dispatched: only failed or cancelled deliveries can be redelivered.`,
    },
  })
  const { events } = (await api(`/${id}`)).body as { events: { type: string }[] }
  expect(events.map(({ type }) => type)).toEqual([
    'accepted',
    'dispatchRejected',
    'redelivered',
    'dispatchAccepted',
  ])
  expect(github.dispatches.map(each => each.clientPayload.run_id)).toEqual(['r_1'])
})

test('the commands deliveries and redeliver do the same', async () => {
  const { github, relay, env, id, api } = await openFailed()
  await until(async () => (await api(`/${id}`)).body.state === 'failed', 'it fails')
  const cli = (args: string[], token = TOKEN) =>
    runRelay({ ...env, RELAY_ADMIN_TOKEN: token, PORT: new URL(relay.url).port }, args)

  const listed = await cli(['deliveries', '--state', 'failed'])
  expect(listed).toMatchObject({ code: 0, stderr: '' })
  expect(listed.stdout).toMatch(
    new RegExp(`^\\d{4}-\\d\\d-\\d\\dT\\S+  ${id}  failed +r_1  acme/shop  port_action  GitHub cannot see`),
  )
  expect(await cli(['redeliver', id], 'a-wrong-token-of-some-length')).toEqual({
    code: 1,
    stdout: '',
    stderr: 'Send RELAY_ADMIN_TOKEN as "Authorization: Bearer …".\n',
  })
  expect((await cli(['redeliver'])).code).toBe(2)
  github.addRepository('acme/shop')
  expect(await cli(['redeliver', id])).toEqual({
    code: 0,
    stdout: `Delivery ${id} is queued again.\n`,
    stderr: '',
  })
  await until(() => github.dispatches.length === 1, 'it is dispatched')
  expect((await cli(['redeliver', id])).stderr).toContain(
    'only failed or cancelled deliveries can be redelivered',
  )
})

test('without RELAY_ADMIN_TOKEN the admin API is not there', async () => {
  const { api, id } = await openFailed({ RELAY_ADMIN_TOKEN: '' })
  for (const [path, method] of [
    ['', 'GET'],
    [`/${id}`, 'GET'],
    [`/${id}/redeliver`, 'POST'],
  ] as const) {
    expect((await api(path, method)).status).toBe(404)
  }
})
