import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import pino from 'pino'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { readConfig } from '../../relay/config/config.ts'
import { createHandler } from '../../relay/lambda-handler.ts'
import { placeDeliveries } from '../admin/place-deliveries.ts'
import { builtRelay } from '../support/built-relay.ts'
import { startServices } from '../support/relay.ts'
import { send, sendRunWebhook, webhookRequest } from '../support/requests.ts'
import { newDatabase } from '../support/shared-postgres.ts'
import { contextFor, type Invoke, type Shape, scheduled, startGateway, toEvent } from './gateway.ts'

const SHAPES: Shape[] = ['function URL', 'HTTP API with a stage', 'REST API']
const WEBHOOK_SECRET = 'a secret of the webhook'
const TIMEOUT_MS = 30_000

/** The function with its own database, a fake Port, and a fake GitHub. */
async function openFunction(more: Record<string, string> = {}) {
  const { port, github, env: services } = await startServices()
  github.addRepository('acme/shop')
  const env: Record<string, string> = {
    ...services,
    PORT_CLIENT_SECRET: port.clientSecret,
    GITHUB_WEBHOOK_SECRET: WEBHOOK_SECRET,
    RELAY_REPOSITORY: 'acme/shop',
    RELAY_DATABASE: await newDatabase(),
    LOG_LEVEL: 'silent',
    ...more,
  }
  const handler = createHandler(readConfig(env), pino({ level: 'silent' }))
  const invoke: Invoke = event => handler(event, contextFor(TIMEOUT_MS))
  const client = new pg.Client(env.RELAY_DATABASE)
  await client.connect()
  onTestFinished(() => client.end())
  return {
    ...{ port, github, env, invoke },
    runId: () => port.createRun().id,
    body: (id: string) => ({ run: { id }, action: { identifier: 'deploy' }, inputs: { version: '1.4.2' } }),
    /** Makes all work due, including work that a killed invocation has leased. */
    async passTime(ms = 0) {
      // A delivery without a due time keeps NULL.
      await client.query('UPDATE deliveries SET lease_until = 0, due_at = due_at * 0')
      await client.query('UPDATE outboxes SET lease_until = 0, due_at = 0')
      await client.query('UPDATE deliveries SET dispatched_at = dispatched_at - $1', [ms])
    },
    /** Makes GitHub rate limit one dispatch. */
    rateLimit(seconds: number) {
      const headers = { 'retry-after': String(seconds) }
      github.fail({ match: ({ path }) => path.endsWith('/dispatches'), status: 429, headers })
    },
    async states() {
      return (await client.query('SELECT state FROM deliveries ORDER BY seq')).rows.map(row => row.state)
    },
  }
}

test.each(SHAPES)('verifies, persists, and dispatches a %s event in one invocation', async shape => {
  const { port, github, invoke, body, runId } = await openFunction()
  for (const [n, base64] of [false, true].entries()) {
    const url = await startGateway(invoke, { shape, base64 })
    const id = runId()
    const webhook = { path: '/webhook/acme/shop?event_type=de%20ploy', body: body(id) }
    expect(await send(url, { ...webhook, secret: 'another secret' })).toMatchObject({ status: 401 })
    expect(await send(url, { ...webhook, secret: port.clientSecret })).toMatchObject({
      status: 202,
      body: { run_id: id, repository: 'acme/shop', event_type: 'de ploy' },
    })
    const dispatch = { eventType: 'de ploy', clientPayload: { run_id: id } }
    expect(github.dispatches.slice(n)).toMatchObject([dispatch])
    expect(port.run(id).statusLabel).toBe('Waiting for GitHub')
    expect(await send(url, { ...webhook, secret: port.clientSecret })).toMatchObject({ status: 200 })
    expect(github.dispatches).toHaveLength(n + 1)
  }
})

test("GitHub's webhooks advance a delivery to its end, over several invocations", async () => {
  const { port, github, invoke, body, runId } = await openFunction()
  const url = await startGateway(invoke, { shape: 'REST API' })
  const id = runId()
  await send(url, { body: body(id), secret: port.clientSecret })
  const displayTitle = `deploy ${id}`
  const run = github.createRun({ repository: 'acme/shop', displayTitle, status: 'in_progress' })
  await sendRunWebhook(url, run, { github, secret: WEBHOOK_SECRET })
  expect(port.run(id)).toMatchObject({ status: 'IN_PROGRESS', statusLabel: 'Running' })
  github.setRun(run.id, { status: 'completed', conclusion: 'success' })
  await sendRunWebhook(url, run, { github, secret: WEBHOOK_SECRET })
  expect(port.run(id)).toMatchObject({ status: 'SUCCESS' })
})

test('the schedule processes retries, polls, and messages to Port that become due later', async () => {
  const { port, github, invoke, body, runId, passTime, states, rateLimit } = await openFunction()
  const url = await startGateway(invoke, { shape: 'function URL' })
  const id = runId()
  rateLimit(1)
  expect(await send(url, { body: body(id), secret: port.clientSecret })).toMatchObject({ status: 202 })
  expect(await states()).toEqual(['queued'])
  expect(github.dispatches).toEqual([])

  await new Promise(resolve => setTimeout(resolve, 1_100))
  await port.stop()
  await passTime()
  expect(await invoke(scheduled)).toBeUndefined()
  expect(await states()).toEqual(['dispatched'])
  expect(github.dispatches).toHaveLength(1)

  await port.start()
  const run = github.createRun({ repository: 'acme/shop', displayTitle: `deploy ${id}` })
  github.setRun(run.id, { status: 'completed', conclusion: 'failure' })
  await passTime()
  await invoke(scheduled)
  expect(await states()).toEqual(['finished'])
  expect(port.run(id)).toMatchObject({ status: 'FAILURE', statusLabel: 'Failed' })
})

test('RELAY_ALERT_URL is refused', async () => {
  const { env } = await openFunction()
  const config = readConfig({ ...env, RELAY_ALERT_URL: 'https://alerts.example.com' })
  expect(() => createHandler(config, pino({ level: 'silent' }))).toThrow(/RELAY_ALERT_URL.*remove it/)
})

test('RELAY_DISPATCH_RATE starts with two dispatches', async () => {
  const { env, github, invoke } = await openFunction({ RELAY_DISPATCH_RATE: '1' })
  await placeDeliveries({ kind: 'postgres', url: env.RELAY_DATABASE! }, [{}, {}, {}])
  await invoke(scheduled)
  expect(github.dispatches).toHaveLength(2)
})

test('while the database is unavailable, refuses webhooks with 503, and the scheduled invocation fails', async () => {
  const { env, port, body, runId } = await openFunction()
  const away = readConfig({ ...env, RELAY_DATABASE: 'postgres://nobody:none@127.0.0.1:9/none' })
  const handler = createHandler(away, pino({ level: 'silent' }))
  const invoke: Invoke = event => handler(event, contextFor(TIMEOUT_MS))
  const url = await startGateway(invoke, { shape: 'function URL' })
  const response = await send(url, { body: body(runId()), secret: port.clientSecret })
  expect(response).toMatchObject({ status: 503, body: { detail: expect.stringContaining('RELAY_DATABASE') } })
  await expect(invoke(scheduled)).rejects.toThrow(/^The PostgreSQL database none on 127\.0\.0\.1:9/)
})

test('refuses to use a SQLite file as the database', () => {
  const config = readConfig({ PORT_CLIENT_SECRET: 's', GITHUB_TOKEN: 't', RELAY_REPOSITORY: 'acme/shop' })
  expect(() => createHandler(config, pino({ level: 'silent' }))).toThrow(/must be postgres/)
})

describe("an invocation of the bundle, when GitHub doesn't respond in time,", () => {
  // The build takes longer than the tested work.
  beforeAll(builtRelay, 600_000)

  /** Runs an invocation in a separate process, which is killed at its time limit or as soon as GitHub creates a run. */
  async function invokeBundle(TIMEOUT_MS: string, isKilled = false) {
    const { port, github, env, body, runId, ...opened } = await openFunction()
    const id = runId()
    const { path, init } = webhookRequest({ body: body(id), secret: port.clientSecret })
    const headers = Object.fromEntries(init.headers as [string, string][])
    const request = { url: path, method: 'POST', headers }
    const event = toEvent(request, Buffer.from(init.body as Uint8Array), { shape: 'function URL' })
    const isDispatch = (each: { path: string }) => each.path.endsWith('/dispatches')
    github.fail({ match: isDispatch, takesEffect: true, delayMs: 60_000 })
    const BUNDLE = join(await builtRelay(), 'lambda/index.mjs')
    const args = [join(import.meta.dirname, 'run-invocation.ts'), JSON.stringify(event)]
    const running = promisify(execFile)(process.execPath, args, { env: { ...env, TIMEOUT_MS, BUNDLE } })
    github.onDispatch(() => {
      github.createRun({ repository: 'acme/shop', displayTitle: `deploy ${id}` })
      if (isKilled) running.child.kill('SIGKILL')
    })
    const ended = await running.then(
      ({ stdout }) => JSON.parse(stdout).response.statusCode,
      error => error.signal,
    )
    return { port, github, id, ended, ...opened }
  }

  /** Expects that scheduled invocations alone finish the accepted delivery, which is dispatched once. */
  async function followed({ port, github, id, passTime, invoke }: Awaited<ReturnType<typeof invokeBundle>>) {
    expect(github.dispatches).toHaveLength(1)
    github.setRun(github.runs[0]!.id, { status: 'completed', conclusion: 'success' })
    for (const _ of [1, 2, 3]) {
      await passTime()
      await invoke(scheduled)
    }
    expect(github.dispatches).toHaveLength(1)
    expect(port.run(id).status).toBe('SUCCESS')
  }

  test('responds before its time limit and leaves the search for the workflow run to the next invocation', async () => {
    const invoked = await invokeBundle('12000')
    expect(invoked.ended).toBe(202)
    await followed(invoked)
  })

  test('loses no delivery if it is killed', async () => {
    const invoked = await invokeBundle('60000', true)
    expect(invoked.ended).toBe('SIGKILL')
    expect(await invoked.states()).toEqual(['queued'])
    await followed(invoked)
  })
})
