import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { deliveries } from '../../relay/cli/deliveries.ts'
import { cancel, redeliver } from '../../relay/cli/redeliver.ts'
import { startGitHubApi } from '../../tools/simulator/github/github.ts'
import { until } from '../../tools/simulator/http-server.ts'
import { openRelayHere, relayEnv, temporaryFolder } from '../support/relay.ts'
import { run } from '../support/run-command.ts'
import { send } from '../support/send.ts'

afterEach(() => vi.restoreAllMocks())

const RELAY_ADMIN_TOKEN = 'an-admin-token-of-some-length'

test('deliveries lists a failed one with its reason, and redeliver queues it again', async () => {
  const github = await startGitHubApi()
  const relay = await openRelayHere(
    relayEnv({ RELAY_ADMIN_TOKEN, GITHUB_API_URL: github.url, GITHUB_TOKEN: github.token }),
  )
  const env = { RELAY_ADMIN_TOKEN, PORT: new URL(relay.url).port }
  const { body } = await send(relay.url, { body: { run: { id: 'r_1' }, inputs: { who: 'Jane' } } })
  const filter = ['--state', 'failed', '--repository', 'acme/shop', '--limit', '5']
  let listed = { code: 0, stdout: '', stderr: '' }
  await until(async () => {
    listed = await run(deliveries, filter, env)
    return listed.stdout.includes(String(body.delivery))
  }, 'it has failed')
  expect(listed.stdout).toMatch(
    new RegExp(
      `^\\d{4}-\\d\\d-\\d\\dT[\\d:]+  ${body.delivery}  failed      r_1  acme/shop  port_action  GitHub cannot see acme/shop`,
    ),
  )
  github.addRepository('acme/shop')
  expect(await run(redeliver, [String(body.delivery)], env)).toEqual({
    code: 0,
    stdout: `Delivery ${body.delivery} is queued again.`,
    stderr: '',
  })
  await until(() => github.dispatches.length === 1, 'it is dispatched')
  await relay.stop()
  await github.close()
  expect(await run(deliveries, [], env)).toMatchObject({
    code: 1,
    stderr: `No relay responds at http://127.0.0.1:${env.PORT}: start it, or set RELAY_PUBLIC_URL (or PORT) to where it runs.`,
  })
})

test('cancel ends a queued delivery at once, and a running one with its workflow run', {
  timeout: 120_000,
}, async () => {
  const github = await startGitHubApi({ autoRun: true })
  onTestFinished(() => github.close())
  github.addRepository('acme/shop', {
    workflows: [
      {
        path: '.github/workflows/deploy.yml',
        name: 'Deploy',
        eventTypes: ['port_action'],
        runName: ({ run_id }) => `deploy ${run_id}`,
      },
    ],
  })
  const relay = await openRelayHere(
    relayEnv({ RELAY_ADMIN_TOKEN, GITHUB_API_URL: github.url, GITHUB_TOKEN: github.token }),
  )
  const env = { RELAY_ADMIN_TOKEN, PORT: new URL(relay.url).port }
  const deliver = async (runId: string) =>
    String((await send(relay.url, { body: { run: { id: runId }, inputs: {} } })).body.delivery)
  const reaches = (id: string, state: string) =>
    until(
      async () => (await run(deliveries, ['--state', state], env)).stdout.includes(id),
      `it is ${state}`,
      60_000,
    )

  const running = await deliver('r_1')
  await reaches(running, 'running')
  expect(await run(cancel, [running], env)).toEqual({
    code: 0,
    stdout: `Delivery ${running} is being cancelled: the relay cancels its workflow run on GitHub.`,
    stderr: '',
  })
  await reaches(running, 'cancelled')
  expect(github.cancellations).toHaveLength(1)

  const endLimit = github.failures.tooMany(1, { times: Number.POSITIVE_INFINITY })
  await deliver('r_2')
  // GitHub's answer to the dispatch of r_2 is awaited; r_3 waits behind it.
  const behind = await deliver('r_3')
  const { stdout } = await run(cancel, [behind, '--json'], env)
  expect(JSON.parse(stdout)).toEqual({ delivery: behind, state: 'cancelled' })
  endLimit()
  await until(() => github.dispatches.length === 2, 'the first of them is dispatched')
  const dispatched = github.dispatches.map(({ clientPayload }) => clientPayload.run_id)
  expect(dispatched).toEqual(['r_1', 'r_2'])

  for (const id of [running, behind]) {
    expect(await run(cancel, [id], env)).toEqual({
      code: 1,
      stdout: '',
      stderr: `Delivery ${id} is cancelled: only open deliveries can be canceled.`,
    })
  }
  expect(await run(cancel, ['none'], env)).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^Delivery none does not exist/),
  })
  expect(await run(cancel, [], env)).toMatchObject({
    code: 2,
    stderr: 'Name the delivery: cancel ID; `deliveries` lists them.',
  })
})

test('the admin API cancels with RELAY_ADMIN_TOKEN alone', async () => {
  const RELAY_VIEW_TOKEN = 'a view token of some length'
  const github = await startGitHubApi()
  onTestFinished(() => github.close())
  github.addRepository('acme/shop')
  // Nothing is dispatched, and GitHub says so.
  github.failures.tooMany(60, { times: Number.POSITIVE_INFINITY })
  const relay = await openRelayHere(
    relayEnv({
      ...{ RELAY_ADMIN_TOKEN, RELAY_VIEW_TOKEN },
      ...{ GITHUB_API_URL: github.url, GITHUB_TOKEN: github.token },
    }),
  )
  const { body } = await send(relay.url, { body: { run: { id: 'r_1' }, inputs: {} } })
  const ask = async (token?: string, id = body.delivery) => {
    const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {}
    const response = await fetch(`${relay.url}/api/deliveries/${id}/cancel`, { method: 'POST', headers })
    return response.status
  }
  expect(await ask()).toBe(401)
  expect(await ask(RELAY_VIEW_TOKEN)).toBe(403)
  expect(await ask(RELAY_ADMIN_TOKEN, 'none')).toBe(404)
  const read = { headers: { authorization: `Bearer ${RELAY_ADMIN_TOKEN}` } }
  const shown = async () =>
    (await (await fetch(`${relay.url}/api/deliveries/${body.delivery}`, read)).json()) as {
      cancel_requested_at: string | null
      state: string
    }
  expect(await shown()).toMatchObject({ state: 'queued', cancel_requested_at: null })
  expect(await ask(RELAY_ADMIN_TOKEN)).toBe(202)
  await until(async () => (await shown()).state === 'cancelled', 'it is cancelled')
  expect(await ask(RELAY_ADMIN_TOKEN)).toBe(409)
})

test('the commands say what they need', async () => {
  expect(await run(deliveries)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('RELAY_ADMIN_TOKEN is needed'),
  })
})

test('the commands read their variables as the relay does: an empty one is unset, a file may hold the token', async () => {
  const relay = await openRelayHere(relayEnv({ RELAY_ADMIN_TOKEN }))
  const file = join(temporaryFolder(), 'token')
  writeFileSync(file, `\ufeff${RELAY_ADMIN_TOKEN}\r\n`)
  const env = { PORT: new URL(relay.url).port, RELAY_PUBLIC_URL: '' }
  const listed = await run(deliveries, [], { ...env, RELAY_ADMIN_TOKEN: '', RELAY_ADMIN_TOKEN_FILE: file })
  expect(listed).toEqual({ code: 0, stdout: 'No delivery matches.', stderr: '' })
  expect(await run(deliveries, [], { ...env, RELAY_ADMIN_TOKEN_FILE: '/missing' })).toMatchObject({
    code: 1,
    stderr: 'RELAY_ADMIN_TOKEN_FILE: /missing cannot be read (ENOENT).',
  })
  expect(await run(deliveries, [], { ...env, RELAY_ADMIN_TOKEN: ' ' })).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('RELAY_ADMIN_TOKEN is needed'),
  })
})

test('an empty PORT is the default one', async () => {
  const asked = vi.spyOn(globalThis, 'fetch').mockResolvedValue(Response.json({ deliveries: [] }))
  await run(deliveries, [], { RELAY_ADMIN_TOKEN, PORT: '' })
  expect(String(asked.mock.calls[0]![0])).toMatch(/^http:\/\/127\.0\.0\.1:8080\/api\/deliveries/)
})

test('the admin API says what a query must be, and takes each address by its method alone', async () => {
  const relay = await openRelayHere(relayEnv({ RELAY_ADMIN_TOKEN }))
  const ask = async (path: string, method = 'GET') => {
    const headers = { authorization: `Bearer ${RELAY_ADMIN_TOKEN}` }
    const response = await fetch(`${relay.url}/api/deliveries${path}`, { method, headers })
    const { detail } = (await response.json()) as { detail?: string }
    return [response.status, response.headers.get('allow') ?? detail]
  }
  const before = 'before must be a whole number above 0, from "next" in the previous response.'
  const limit = 'limit must be a whole number from 1 to 200.'
  for (const text of ['abc', '', '-1', '1e3', '0', '9007199254740992']) {
    expect(await ask(`?before=${text}`), text).toEqual([400, before])
  }
  for (const text of ['abc', '', '0', '201', '1.5']) {
    expect(await ask(`?limit=${text}`), text).toEqual([400, limit])
  }
  expect(await ask('?repository=shop')).toEqual([400, 'repository must be owner/name.'])
  expect(await ask('?before=9007199254740991&limit=200&repository=acme/shop')).toEqual([200, undefined])
  expect(await ask('', 'DELETE')).toEqual([405, 'GET, HEAD'])
  expect(await ask('/d', 'PUT')).toEqual([405, 'GET, HEAD'])
  expect(await ask('/d/redeliver')).toEqual([405, 'POST'])
  expect(await ask('/d/cancel')).toEqual([405, 'POST'])
})

test('an admin API without a token is closed', async () => {
  const relay = await openRelayHere(relayEnv())
  const response = await fetch(`${relay.url}/api/deliveries`)
  expect(response.status).toBe(404)
  expect(await response.json()).toMatchObject({
    detail: 'The admin API is closed: set RELAY_ADMIN_TOKEN to open it.',
  })
})

test('the admin API takes its token as Bearer alone, and compares it whole', async () => {
  const relay = await openRelayHere(relayEnv({ RELAY_ADMIN_TOKEN }))
  const ask = async (authorization?: string) => {
    const headers = authorization === undefined ? {} : { authorization }
    return (await fetch(`${relay.url}/api/deliveries`, { headers })).status
  }
  for (const scheme of ['Bearer', 'bearer']) expect(await ask(`${scheme} ${RELAY_ADMIN_TOKEN}`)).toBe(200)
  for (const given of [
    undefined,
    RELAY_ADMIN_TOKEN,
    `Basic ${RELAY_ADMIN_TOKEN}`,
    `Bearer  ${RELAY_ADMIN_TOKEN}`,
    `Bearer ${RELAY_ADMIN_TOKEN}x`,
    `Bearer ${RELAY_ADMIN_TOKEN.slice(0, -1)}`,
    'Bearer',
  ]) {
    expect(await ask(given), given).toBe(401)
  }
})

test('RELAY_VIEW_TOKEN reads and changes nothing', async () => {
  const RELAY_VIEW_TOKEN = 'a view token of some length'
  const relay = await openRelayHere(relayEnv({ RELAY_VIEW_TOKEN }))
  const headers = { authorization: `Bearer ${RELAY_VIEW_TOKEN}` }
  expect((await fetch(`${relay.url}/api/deliveries`, { headers })).status).toBe(200)
  expect((await fetch(`${relay.url}/api/deliveries`)).status).toBe(401)
  const change = await fetch(`${relay.url}/api/deliveries/d/redeliver`, { method: 'POST', headers })
  expect(change.status).toBe(403)
  expect(await change.json()).toMatchObject({
    detail: 'RELAY_VIEW_TOKEN may only read: send RELAY_ADMIN_TOKEN.',
  })
})
