import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import packageJson from '../../package.json' with { type: 'json' }
import { until } from '../../simulator/http-server.ts'
import { NO_OUTCOME } from '../store/place.ts'
import { type Env, openRelayHere, relayEnv, startServices, temporaryFolder } from '../support/relay.ts'
import { ADMIN_TOKEN, send, VIEW_TOKEN } from '../support/requests.ts'
import { declaredIn, readSeries, samplesOf } from './read-series.ts'

/** Every series in docs/runbook.md, and its label. */
const SERIES = () => {
  const docs = readFileSync(join(import.meta.dirname, '../../docs/runbook.md'), 'utf8')
  const section = docs.slice(docs.indexOf('\n## Metrics\n'))
  const rows = section.matchAll(/^\| `(\w+)` +\| (?:`(\w+)`)? +\|/gm)
  return [...rows].map(([, name = '', label = '']) => [name, label] as const)
}

async function open(env: Env = {}) {
  const database = join(temporaryFolder(), 'relay.db')
  const { port, github, env: services } = await startServices({ autoRun: true })
  const workflow = { path: '.github/workflows/deploy.yml', name: 'Deploy', eventTypes: ['deploy'] }
  github.addRepository('acme/shop', {
    workflows: [{ ...workflow, runName: payload => String(payload.run_id) }],
  })
  const relay = await openRelayHere(
    relayEnv({
      ...services,
      RELAY_DATABASE: `sqlite:${database}`,
      ...{ RELAY_ALLOWED_REPOSITORIES: 'acme/*', RELAY_DISPATCH_RATE: '0' },
      ...{ RELAY_VIEW_TOKEN: VIEW_TOKEN, RELAY_ADMIN_TOKEN: ADMIN_TOKEN },
      ...env,
    }),
  )
  const read = async () => readSeries(await scrape(relay.url))
  /** Creates a Port run, and sends its webhook. */
  const deliver = (id: string, webhook: Parameters<typeof send>[1] = {}) => {
    port.createRun({ id })
    return send(relay.url, { body: { run: { id }, action: { identifier: 'deploy' } }, ...webhook })
  }
  return { port, github, relay, read, database, deliver }
}

async function scrape(url: string, token = VIEW_TOKEN): Promise<string> {
  const response = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${token}` } })
  expect([response.status, response.headers.get('content-type')]).toEqual([
    200,
    'text/plain; version=0.0.4; charset=utf-8',
  ])
  return response.text()
}

describe('GET /metrics', () => {
  test('has every series in docs/runbook.md from the first scrape, with the documented label and no other', async () => {
    const { relay } = await open()
    const text = await scrape(relay.url, ADMIN_TOKEN)
    expect([...declaredIn(text).keys()].sort()).toEqual(
      SERIES()
        .map(([name]) => name)
        .sort(),
    )
    for (const [name, label] of SERIES()) {
      const labels = samplesOf(text, name).flatMap(each => Object.keys(each.labels))
      expect([...new Set(labels)].filter(each => each !== 'le').join(), name).toBe(
        // GitHub and Port haven't responded yet.
        name === 'credential_ok' ? '' : label,
      )
    }
    expect(readSeries(text).build_info).toEqual({ [packageJson.version]: 1 })
    expect((await fetch(`${relay.url}/metrics`, { method: 'POST' })).status).toBe(405)
  })

  test('counts webhook and delivery events', async () => {
    const { github, relay, read, deliver } = await open()
    await deliver('r_1')
    await deliver('r_1')
    await deliver('r_2', { secret: 'wrong' })
    await deliver('r_3', { path: '/webhook/other/shop' })
    await deliver('r_4', { path: '/webhook/acme/unknown' })
    expect((await send(relay.url, { path: '/webhook/cancel', body: { run_id: 'r_9' } })).status).toBe(200)
    await fetch(`${relay.url}/webhook`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
    })
    await fetch(`${relay.url}/webhook`)
    await fetch(`${relay.url}/report`, { method: 'POST', body: '{}' })
    await until(async () => (await read()).deliveries!.running === 1, 'the workflow run is bound')
    const now = await read()
    const webhooks = {
      accepted: 2,
      duplicate: 1,
      cancellation: 1,
      unsigned: 2,
      401: 1,
      403: 1,
      404: 0,
      405: 0,
    }
    expect(now.webhooks_total).toMatchObject(webhooks)
    expect(now.webhook_duration_seconds_count).toEqual({ '': 3 })
    expect(now.dispatch_attempts_total).toEqual({ accepted: 1, rejected: 1, deferred: 0, response_lost: 0 })
    expect(now.runs_bound_total).toEqual({ response: 0, report: 0, port: 0, title: 1, candidate: 0 })
    expect(now.deliveries).toEqual({ queued: 0, dispatched: 0, running: 1, failed: 1 })
    expect(now.deliveries_ended_total).toEqual({ ...NO_OUTCOME, not_started: 1 })
    expect(now.accept_to_dispatch_seconds_count).toEqual({ '': 1 })
    expect(now.accept_to_run_seconds_count).toEqual({ '': 1 })
    expect(now.reports_total).toMatchObject({ accepted: 0, 404: 1 })
    expect(now.credential_ok).toEqual({ github: 1, port: 1 })
    for (const side of ['github', 'port'])
      expect(now.last_success_timestamp_seconds![side]).toBeGreaterThan(Date.now() / 1000 - 3_600)
    expect(now.paused_until_timestamp_seconds).toEqual({ github: 0, port: 0 })
    expect(now.port_requests_total!.ok).toBeGreaterThan(0)
    expect(now.github_requests_total).toMatchObject({ rejected: 2, unreachable: 0 })
    expect(Math.abs(now.github_clock_offset_seconds!['']!)).toBeLessThan(2)
    expect(github.dispatches).toHaveLength(1)
  })

  test('shows the number and age of waiting messages while Port is down', async () => {
    const { port, relay, read, deliver } = await open({ RELAY_START_TIMEOUT: '1h' })
    await port.stop()
    await deliver('r_1')
    await until(async () => {
      const { outbox_messages, port_requests_total } = await read()
      return outbox_messages!['']! > 0 && port_requests_total!.unreachable! > 1
    }, 'messages wait')
    // The log has one line per minute about all failed requests.
    const lines = relay.log().filter(({ msg }) => msg === 'a request to Port failed')
    expect(lines).toMatchObject([
      { level: 40, count: 1, reason: expect.stringMatching(/^nothing accepts .* \(ECONNREFUSED\)$/) },
    ])
    const before = (await read()).outbox_oldest_age_seconds!['']!
    await until(async () => (await read()).outbox_oldest_age_seconds!['']! > before, 'the messages get older')
    await port.start()
    await until(async () => (await read()).outbox_messages![''] === 0, 'Port is updated')
    expect((await read()).outbox_oldest_age_seconds).toEqual({ '': 0 })
  })

  test("shows a rejected GitHub credential, the rate-limit pause, and GitHub's header values", async () => {
    const { github, relay, read, deliver } = await open()
    const expires = Math.floor(Date.now() / 1000) + 3 * 24 * 3600
    const headers = {
      'x-github-request-id': 'ABCD:1',
      'x-ratelimit-remaining': '17',
      'x-ratelimit-reset': String(Math.floor(Date.now() / 1000) + 3000),
      'github-authentication-token-expiration': new Date(expires * 1000).toISOString(),
    }
    const of = { match: ({ path }: { path: string }) => path.endsWith('/dispatches'), times: 1 }
    github.fail({ ...of, status: 422, body: { message: 'Too large' }, headers })
    await deliver('r_1')
    await until(async () => (await read()).github_rate_limit_remaining!['']! === 17, 'the limit is known')
    // GitHub's rate limit for anonymous requests, which says nothing about the credential.
    const anonymous = { ...headers, 'x-ratelimit-remaining': '9' }
    github.fail({ ...of, status: 401, body: { message: 'Bad credentials' }, headers: anonymous })
    await deliver('r_2')
    await until(async () => (await read()).credential_ok?.github === 0, 'the credential is rejected')
    const now = await read()
    const pause = now.paused_until_timestamp_seconds!.github! - Date.now() / 1000
    expect(pause).toBeGreaterThan(1)
    expect(pause).toBeLessThan(61)
    expect(now.github_requests_total!.unauthorized).toBe(1)
    expect(now.github_rate_limit_remaining).toEqual({ '': 17 })
    expect(now.github_token_expiry_timestamp_seconds).toEqual({ '': expires })
    // The queue's age is also shown during the pause.
    await until(async () => (await read()).oldest_due_age_seconds!.dispatch! > 0, 'the queue becomes older')
    const msg = "GitHub rejects the relay's credential: deliveries are waiting"
    const line = relay.log().find(each => each.msg === msg)
    expect(line).toMatchObject({ level: 50, count: 1, reason: expect.stringContaining('401') })
  })

  test('contains the series about this relay even if the database is unavailable', async () => {
    const { read, database, deliver } = await open()
    await deliver('r_1')
    rmSync(database)
    const now = await read()
    expect(now.webhooks_total).toMatchObject({ accepted: 1 })
    expect([now.deliveries, now.oldest_due_age_seconds]).toEqual([undefined, undefined])
    expect([now.outbox_messages, now.database_ok]).toEqual([{ '': Number.NaN }, { '': 0 }])
  })
})
