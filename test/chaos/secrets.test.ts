import { createHmac } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { startGitHubApi } from '../../tools/simulator/github/github.ts'
import { until } from '../../tools/simulator/http-server.ts'
import { startPortApi } from '../../tools/simulator/port/port.ts'
import { relayEnv, startRelay } from '../support/relay.ts'
import { webhookRequest } from '../support/send.ts'

const CLIENT_SECRET = 'known-client-secret-5b1f0c'
const ROTATED = 'known-rotated-secret-77aa01'
const ADMIN_TOKEN = 'known-admin-token-90d2e4'
const STACK = /\n\s+at .+:\d+:\d+|node_modules|file:\/\//

test('no secret is found in what the relay prints, answers, writes or sends, whatever comes in', async () => {
  const [port, github] = await Promise.all([
    startPortApi({ clientSecret: CLIENT_SECRET }),
    startGitHubApi({ autoRun: true }),
  ])
  onTestFinished(async () => void (await Promise.all([port.close(), github.close()])))
  const runName = (payload: Record<string, unknown>) => String(payload.run_id)
  const workflow = { path: '.github/workflows/deploy.yml', name: 'Deploy', eventTypes: ['deploy'], runName }
  github.addRepository('acme/shop', { workflows: [workflow] })
  const env = relayEnv({
    PORT_CLIENT_ID: port.clientId,
    PORT_CLIENT_SECRET: CLIENT_SECRET,
    PORT_WEBHOOK_SECRETS: ROTATED,
    PORT_API_URL: port.url,
    GITHUB_API_URL: github.url,
    GITHUB_TOKEN: github.token,
    RELAY_ALLOWED_REPOSITORIES: 'acme/*',
    RELAY_ADMIN_TOKEN: ADMIN_TOKEN,
    RELAY_MAX_BODY: '8kb',
    LOG_LEVEL: 'trace',
  })
  const relay = await startRelay(env)
  const responses: string[] = []
  const signatures: string[] = []
  const ask = async (path: string, init?: RequestInit) => {
    const response = await fetch(relay.url + path, init)
    responses.push(`${JSON.stringify([...response.headers])}\n${await response.text()}`)
    return response.status
  }
  const timestamp = String(Math.floor(Date.now() / 1000))
  const post = async (webhook: Parameters<typeof webhookRequest>[0]) => {
    const { path, init } = webhookRequest({ secret: CLIENT_SECRET, timestamp, ...webhook })
    for (const secret of [CLIENT_SECRET, ROTATED]) {
      const hmac = createHmac('sha256', secret).update(`${webhook?.timestamp ?? timestamp}.`)
      signatures.push(hmac.update(init.body as Uint8Array).digest('base64'))
    }
    return ask(path, init)
  }
  const run = (id: string) => {
    port.createRun({ id })
    return { run: { id }, action: { identifier: 'deploy' }, inputs: { version: '1' } }
  }

  // Port fails, GitHub fails, then both recover.
  port.fail({ status: 500, times: 2 })
  port.fail({ status: 401, times: 1 })
  github.failures.serverError({ create: true })
  expect(await post({ body: run('r_1') })).toBe(202)
  expect(await post({ body: run('r_2'), secret: ROTATED })).toBe(202)
  expect(await post({ body: run('r_1') })).toBe(200)
  expect(await post({ body: run('r_3'), path: '/webhook/acme/unknown?wait=dispatch' })).toBe(502)
  // Every refusal.
  expect(await post({ secret: 'a wrong one' })).toBe(401)
  expect(await post({ headers: { 'x-port-signature': null } })).toBe(401)
  expect(await post({ timestamp: '1000000000' })).toBe(401)
  expect(await post({ timestamp: 'yesterday' })).toBe(401)
  expect(await post({ body: Buffer.from('{"broken') })).toBe(400)
  expect(await post({ body: Buffer.from([0xff, 0xfe]) })).toBe(400)
  expect(await post({ body: 'x'.repeat(9_000) })).toBe(413)
  expect(await post({ headers: { 'content-type': 'text/plain' } })).toBe(415)
  expect(await post({ path: '/webhook/other/shop' })).toBe(403)
  expect(await post({ body: { github: { repository: '../etc' } } })).toBe(422)
  expect(await ask('/webhook')).toBe(405)
  expect(await ask('/elsewhere')).toBe(404)
  const authorization = `Bearer ${ADMIN_TOKEN}`
  expect(await ask('/api/deliveries')).toBe(401)
  expect(await ask('/api/deliveries', { headers: { authorization: 'Bearer wrong' } })).toBe(401)
  expect(await ask('/api/deliveries', { headers: { authorization } })).toBe(200)
  expect(await ask('/api/deliveries?state=x', { headers: { authorization } })).toBe(400)
  expect(await ask('/api/deliveries/none', { headers: { authorization } })).toBe(404)
  for (const path of ['/healthz', '/readyz', '/metrics', '/']) await ask(path)
  await until(() => github.dispatches.length >= 2, 'they are dispatched')
  await until(() => port.run('r_3').status === 'FAILURE', 'Port is updated')

  const folder = dirname(env.RELAY_DATABASE!.slice('sqlite:'.length))
  const files = () => readdirSync(folder).map(name => readFileSync(join(folder, name)).toString('latin1'))
  const written = files()
  await relay.stop()
  const minted = port.requests.filter(({ path }) => path === '/v1/auth/access_token')
  const told = [...port.requests, ...github.requests].filter(request => !minted.includes(request))
  const places: Record<string, string> = {
    'what it printed': relay.printed(),
    'what it answered': responses.join('\n'),
    'its database': [...written, ...files()].join('\n'),
    'what it sent to Port and GitHub': JSON.stringify(told.map(({ path, body }) => [path, body])),
  }
  const secrets = { CLIENT_SECRET, ROTATED, ADMIN_TOKEN, token: github.token }
  for (const [place, text] of Object.entries(places)) {
    expect(text.length, place).toBeGreaterThan(100)
    for (const [name, secret] of Object.entries(secrets)) {
      for (const form of [secret, Buffer.from(secret).toString('base64'), encodeURIComponent(secret)]) {
        expect(text.includes(form), `${name} in ${place}`).toBe(false)
      }
    }
    for (const signature of signatures)
      expect(text.includes(signature), `a signature in ${place}`).toBe(false)
  }
  expect(places['what it answered']).not.toMatch(STACK)
  expect(places['what it sent to Port and GitHub']).not.toMatch(STACK)
  // The search finds what is there.
  expect(places['what it sent to Port and GitHub']).toContain('r_1')
  expect(places['its database']).toContain('r_1')
  expect(JSON.stringify(minted)).toContain(CLIENT_SECRET)
})
