import { createServer } from 'node:http'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import * as conventions from '@opentelemetry/semantic-conventions/incubating'
import { expect, onTestFinished, test } from 'vitest'
import { traceId } from '../../relay/delivery/trace-context.ts'
import { openStore } from '../../relay/store/open.ts'
import type { GitHubRun } from '../../simulator/github/github.ts'
import { until } from '../../simulator/http-server.ts'
import { listenHere } from '../support/listen-here.ts'
import { relayEnv, startRelay, startServices } from '../support/relay.ts'
import { ADMIN_TOKEN, asAdmin, send, sendGitHubWebhook, sendRunWebhook } from '../support/requests.ts'
import { newDatabase } from '../support/shared-postgres.ts'

const WEBHOOK_SECRET = 'a-secret-of-the-app-of-some-length'
const FAILED = { status: 'completed', conclusion: 'failure' } as const

interface Span {
  traceId: string
  spanId: string
  parentSpanId?: string
  name: string
  attributes: { key: string; value: { stringValue?: string; intValue?: number } }[]
}

/** A collector for OTLP over HTTP with JSON. @see https://opentelemetry.io/docs/specs/otlp/#otlphttp */
async function startCollector() {
  const requests: { url: string | undefined; headers: object; text: string }[] = []
  const server = createServer(async (request, response) => {
    const text = Buffer.concat(await request.toArray()).toString()
    requests.push({ url: request.url, headers: request.headers, text })
    response.setHeader('content-type', 'application/json').end('{"partialSuccess":{}}')
  })
  const url = `http://127.0.0.1:${await listenHere(server)}`
  const spans = (): Span[] =>
    requests.flatMap(({ text }) => JSON.parse(text).resourceSpans[0].scopeSpans[0].spans)
  return { url, requests, spans, server }
}

async function open() {
  const { port, github, env: services } = await startServices({ autoRun: true })
  const runName = (payload: Record<string, unknown>) => `Deploy ${payload.run_id}`
  const workflow = { path: '.github/workflows/deploy.yml', name: 'Deploy', eventTypes: ['deploy'], runName }
  github.addRepository('acme/shop', { workflows: [workflow] })
  const env = relayEnv({
    ...{ ...services, RELAY_ADMIN_TOKEN: ADMIN_TOKEN, GITHUB_WEBHOOK_SECRET: WEBHOOK_SECRET },
  })
  port.createRun({ id: 'r_1' })
  const body = {
    ...{ run: { id: 'r_1' }, inputs: { version: 'an-input-value' } },
    trigger: { by: { user: { email: 'ada@example.com' } } },
  }
  const deliver = async (url: string) =>
    (await send(url, { path: '/webhook?event_type=deploy', body })).body.delivery as string
  const runOf = () => until(() => github.runs[0], 'the workflow run appears') as Promise<GitHubRun>
  return { port, github, env, deliver, runOf }
}

/** Returns `parent > name` for each span. Fails if the spans don't form a single tree. */
function treeOf(spans: Span[]): string[] {
  const byId = new Map(spans.map(span => [span.spanId, span]))
  expect(new Set(spans.map(span => span.traceId)).size).toBe(1)
  expect([...byId.values()].filter(span => !span.parentSpanId)).toHaveLength(1)
  return [...byId.values()].map(({ name, parentSpanId }) =>
    parentSpanId ? `${(byId.get(parentSpanId) as Span).name} > ${name}` : name,
  )
}

const attributesOf = ({ attributes }: Span) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue]))

test('a relay that takes over a delivery from a killed relay exports a single trace through the proxy, without inputs', async () => {
  const { port, github, env, deliver, runOf } = await open()
  const [collector, database] = await Promise.all([startCollector(), newDatabase()])
  const traced = {
    ...{ ...env, RELAY_DATABASE: database, HTTP_PROXY: collector.url },
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector.example:4318',
    OTEL_EXPORTER_OTLP_HEADERS: 'api-key=a%20key',
  }
  const [first, second] = await Promise.all([startRelay(traced), startRelay(traced)])
  const store = await openStore({ kind: 'postgres', url: database })
  onTestFinished(store.close)
  const delivery = await deliver(first.url)
  const run = await runOf()
  const isRecorded = ({ log }: typeof first) => log().some(({ attempt }) => attempt === 1)
  await until(() => [first, second].some(isRecorded), 'the dispatch is recorded')
  // If a relay is killed while it sends messages, its lease blocks the messages for a minute.
  await until(async () => !(await store.waitingMessages(delivery)), 'Port has the messages')
  const [dispatched, left] = isRecorded(first) ? [first, second] : [second, first]
  await dispatched.kill()
  const failed = { ...FAILED, completed_at: new Date().toISOString() }
  const named = ['build an-input-value', 'test'].map(name => ({ name, ...failed }))
  const jobs = github.setJobs(run.id, 1, named)
  github.setRun(run.id, FAILED)
  await sendRunWebhook(left.url, run, { github, secret: WEBHOOK_SECRET })
  const webhook = { repository: { full_name: 'acme/shop' }, workflow_job: { run_id: run.id, ...jobs[0] } }
  await sendGitHubWebhook(left.url, 'workflow_job', webhook, WEBHOOK_SECRET)
  await until(() => port.run('r_1').status === 'FAILURE', 'Port has the result')
  await until(() => collector.spans().length > 0, 'the trace is exported', 60_000)

  const spans = collector.spans()
  const dispatch = 'delivery > POST /repos/{owner}/{repo}/dispatches'
  expect(treeOf(spans)).toEqual([
    ...['delivery', 'delivery > webhook', 'delivery > queue', dispatch, 'delivery > RUN deploy'],
    ...['RUN deploy > RUN job', 'RUN deploy > RUN job', 'delivery > report to Port'],
  ])
  const runSpan = spans.find(({ name }) => name === 'RUN deploy') as Span
  const { traceparent } = github.dispatches[0]!.clientPayload.port as { traceparent: string }
  expect(traceparent).toBe(`00-${traceId(delivery)}-${runSpan.spanId}-01`)
  expect(attributesOf(runSpan)).toEqual({
    ...{ 'cicd.pipeline.action.name': 'RUN', 'cicd.pipeline.name': 'deploy', 'error.type': 'failure' },
    ...{ 'cicd.pipeline.result': 'failure', 'cicd.pipeline.run.id': String(run.id) },
    'cicd.pipeline.run.url.full': `${github.serverUrl}/acme/shop/actions/runs/${run.id}`,
    ...{ 'vcs.owner.name': 'acme', 'vcs.repository.name': 'shop' },
  })
  const defined = new Set<unknown>(Object.values(conventions))
  const names = new Set(spans.flatMap(each => each.attributes.map(({ key }) => key)))
  expect(
    [...names].filter(name => !defined.has(name) && !/^port\.|^http\.response\.header\./.test(name)),
  ).toEqual([])
  const [request] = collector.requests
  expect(request?.url).toBe('http://collector.example:4318/v1/traces')
  expect(request?.headers).toMatchObject({ 'content-type': 'application/json', 'api-key': 'a key' })
  expect(request?.text).not.toMatch(/an-input-value|ada@example/)
})

test('if the collector is unreachable, traces are sent later, with redeliveries in the same trace', async () => {
  const { port, github, env, deliver, runOf } = await open()
  const { url, server, spans } = await startCollector()
  const cut = (socket: Socket) => void socket.destroy()
  server.on('connection', cut)
  const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: url }
  const fast = ['--import', join(import.meta.dirname, '../support/scale-clock.ts')]
  const relay = await startRelay({ ...env, ...endpoint, CLOCK_SCALE: '20', RELAY_TOLERANCE: '20h' }, fast)
  github.fail({ match: ({ path }) => path.endsWith('/dispatches'), status: 404, times: 1 })
  const delivery = await deliver(relay.url)
  await until(() => port.run('r_1').status === 'FAILURE', 'Port has the result')
  const hasFailed = () => relay.log().some(({ msg }) => msg.startsWith('the trace collector'))
  await until(hasFailed, 'the export fails', 60_000)
  server.off('connection', cut)
  await until(() => spans().length > 0, 'the trace is exported', 60_000)
  port.createRun({ id: 'r_1' })
  await asAdmin(`${relay.url}/api/deliveries/${delivery}/redeliver`, { method: 'POST' })
  const run = await runOf()
  github.setRun(run.id, { status: 'completed', conclusion: 'success' })
  await sendRunWebhook(relay.url, run, { github, secret: WEBHOOK_SECRET })
  const isAgain = () => spans().some(({ name }) => name === 'RUN deploy')
  await until(isAgain, 'the trace of the redelivery is exported', 60_000)
  expect(treeOf(spans())).toEqual(
    expect.arrayContaining(['delivery > delivery', 'delivery > RUN deploy', 'delivery > webhook']),
  )
})

test('tracing is off by default: no traceparent, and no exporter is loaded', async () => {
  const { github, env, deliver } = await open()
  const refuse = `import { registerHooks } from 'node:module'
    registerHooks({ resolve: (name, context, next) => {
      if (name.startsWith('@opentelemetry/exporter')) process.exit(9)
      return next(name, context)
    } })`
  const relay = await startRelay(env, ['--import', `data:text/javascript,${encodeURIComponent(refuse)}`])
  await deliver(relay.url)
  await until(() => github.dispatches.length > 0, 'the delivery is dispatched')
  expect(github.dispatches[0]!.clientPayload.port).not.toHaveProperty('traceparent')
  expect(await relay.stop()).toBe(0)
})
