import http from 'node:http'
import https from 'node:https'
import { type Attributes, SpanKind, SpanStatusCode } from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import {
  ATTR_ERROR_TYPE,
  ATTR_HTTP_REQUEST_METHOD,
  ATTR_HTTP_REQUEST_RESEND_COUNT,
  ATTR_HTTP_RESPONSE_HEADER,
  ATTR_HTTP_RESPONSE_STATUS_CODE,
  ATTR_HTTP_ROUTE,
  ATTR_SERVER_ADDRESS,
  ATTR_SERVICE_NAME,
  ATTR_SERVICE_VERSION,
} from '@opentelemetry/semantic-conventions'
import packageJson from '../../package.json' with { type: 'json' }
import { isObject, type JsonObject } from '../../port/types.ts'
import type { Config } from '../config/config.ts'
import type { HistoryEntry } from '../delivery/delivery.ts'
import { RUN_SPAN, spanId, traceId } from '../delivery/trace-context.ts'
import type { TracedDelivery } from '../store/store.ts'

const TIMEOUT_MS = 5_000
const NAME = 'port-webhook-relay'

export function createTraceExporter(
  { endpoint, headers }: NonNullable<Config['tracing']>,
  githubUrl: string,
) {
  const exporter = new OTLPTraceExporter({
    ...{ url: `${endpoint}/v1/traces`, headers, timeoutMillis: TIMEOUT_MS },
    // By default, the exporter would use an agent that ignores the relay's proxy.
    httpAgentOptions: protocol => (protocol === 'http:' ? http : https).globalAgent,
  })
  const { version } = packageJson
  const resource = {
    attributes: { [ATTR_SERVICE_NAME]: NAME, [ATTR_SERVICE_VERSION]: version },
  } as unknown as Origin['resource']
  const { hostname: githubHost } = new URL(githubUrl)
  const origin = { resource, instrumentationScope: { name: NAME, version }, githubHost }
  return {
    /** Sends the traces in one request. @returns the error, or null if the collector accepted the traces */
    send: (finished: [TracedDelivery, Entry[]][]): Promise<Error | null> =>
      new Promise(resolve => {
        const spans = finished.flatMap(([delivery, history]) => spansOf(delivery, history, origin))
        exporter.export(spans, ({ code, error }) =>
          resolve(code === 0 ? null : (error ?? new Error('the export failed'))),
        )
      }),
  }
}

/** Attribute names that OpenTelemetry calls unstable, and recommends copying instead of importing. */
const CICD = {
  action: 'cicd.pipeline.action.name',
  pipeline: 'cicd.pipeline.name',
  result: 'cicd.pipeline.result',
  runId: 'cicd.pipeline.run.id',
  runUrl: 'cicd.pipeline.run.url.full',
  taskRunId: 'cicd.pipeline.task.run.id',
  taskRunUrl: 'cicd.pipeline.task.run.url.full',
  taskResult: 'cicd.pipeline.task.run.result',
  owner: 'vcs.owner.name',
  repository: 'vcs.repository.name',
}

const RESULTS: Record<string, string> = {
  ...{ success: 'success', neutral: 'success', failure: 'failure', cancelled: 'cancellation' },
  ...{ skipped: 'skip', timed_out: 'timeout' },
}
const resultOf = (conclusion: unknown) => RESULTS[String(conclusion)] ?? 'error'
const BAD = ['failure', 'timeout', 'error']

export type Span = Parameters<OTLPTraceExporter['export']>[0][number]
type Entry = HistoryEntry & { at: number }

interface Part {
  /** The span's name, which is unique within the round. */
  key: string
  parent?: string
  name: string
  kind?: SpanKind
  from: number
  to: number
  attributes?: Attributes
  error?: string | null
  events?: Entry[]
}

export type Origin = Pick<Span, 'resource' | 'instrumentationScope'> & { githubHost: string }

/**
 * Creates the trace of a finished delivery. Jobs have IDs and links, but no names, because names can contain inputs.
 * The spans of redeliveries are children of the first round. A history entry without a span becomes an event without
 * details.
 */
export function spansOf(delivery: TracedDelivery, history: Entry[], origin: Origin): Span[] {
  const rounds: { queuedAt: number; entries: Entry[] }[] = [{ queuedAt: delivery.receivedAt, entries: [] }]
  for (const entry of history) {
    if (entry.type === 'redelivered') rounds.push({ queuedAt: entry.at, entries: [] })
    else rounds.at(-1)?.entries.push(entry)
  }
  const first = { id: delivery.id, queuedAt: delivery.receivedAt }
  const trace = { traceId: traceId(delivery.id), traceFlags: 1 }
  return rounds.flatMap(({ queuedAt, entries }, i) => {
    const round = { id: delivery.id, queuedAt }
    const isLast = i === rounds.length - 1
    return partsOf(delivery, entries, { queuedAt, isFirst: i === 0, isLast, ...origin }).map((part): Span => {
      const { key, parent, name, kind = SpanKind.INTERNAL, from, to, attributes = {}, error = null } = part
      const parentId = parent ? spanId(round, parent) : i > 0 ? spanId(first, ROOT) : null
      return {
        ...{ name, kind, startTime: toHrTime(from), endTime: toHrTime(Math.max(from, to)), attributes },
        spanContext: () => ({ ...trace, spanId: spanId(round, key) }),
        ...(parentId && { parentSpanContext: { ...trace, spanId: parentId } }),
        status: { code: error === null ? SpanStatusCode.UNSET : SpanStatusCode.ERROR },
        events: (part.events ?? []).map(({ type, at }) => ({ name: type, time: toHrTime(at) })),
        ...{ links: [], duration: toHrTime(Math.max(0, to - from)), ended: true },
        ...{ resource: origin.resource, instrumentationScope: origin.instrumentationScope },
        ...{ droppedAttributesCount: 0, droppedEventsCount: 0, droppedLinksCount: 0 },
      }
    })
  })
}

const ROOT = 'delivery'

type Round = { queuedAt: number; isFirst: boolean; isLast: boolean; githubHost: string }

function partsOf(delivery: TracedDelivery, entries: Entry[], round: Round): Part[] {
  const { queuedAt, isFirst, isLast } = round
  const changes = entries.filter(each => each.type !== 'jobFinished')
  const end = changes.at(-1)?.at ?? queuedAt
  const last: JsonObject = changes.findLast(({ details }) => 'state' in details)?.details ?? {}
  const attempts = dispatches(delivery, changes, end, round)
  const children: Part[] = [
    ...(isFirst ? [webhook(delivery)] : []),
    { key: 'queue', parent: ROOT, name: 'queue', from: queuedAt, to: attempts[0]?.from ?? end },
    ...attempts,
    ...runAndJobs(delivery, entries, end),
    ...(isLast ? notification(delivery, end) : []),
  ]
  const isBad = last.state === 'failed' || BAD.includes(resultOf(last.conclusion ?? 'success'))
  const root: Part = {
    ...{ key: ROOT, name: ROOT, from: queuedAt, to: Math.max(end, ...children.map(each => each.to)) },
    attributes: {
      'port.delivery.id': delivery.id,
      ...(delivery.runId !== null && { 'port.run.id': delivery.runId }),
      ...(delivery.action !== null && { 'port.action': delivery.action }),
      ...repositoryOf(delivery),
    },
    error: isBad ? String(last.conclusion ?? last.state) : null,
    events: changes.filter(({ details }) => !('duration_ms' in details)),
  }
  return [root, ...children]
}

function repositoryOf({ repository }: TracedDelivery): Attributes {
  const [owner = '', name = ''] = repository.split('/')
  return { [CICD.owner]: owner, [CICD.repository]: name }
}

/** Returns the span of the webhook. Its duration is zero, because the relay doesn't record how long the webhook took. */
const webhook = ({ receivedAt }: TracedDelivery): Part => ({
  ...{ key: 'webhook', parent: ROOT, name: 'webhook', kind: SpanKind.SERVER },
  ...{ from: receivedAt, to: receivedAt },
  attributes: { [ATTR_HTTP_ROUTE]: '/webhook', [ATTR_HTTP_RESPONSE_STATUS_CODE]: 202 },
})

function dispatches(delivery: TracedDelivery, changes: Entry[], end: number, round: Round): Part[] {
  const { workflow, attemptedAt, attempts } = delivery
  const path = workflow === null ? 'dispatches' : 'actions/workflows/{workflow_id}/dispatches'
  const dispatch = (number: number, from: number, to: number, details: JsonObject, error: string | null) => ({
    ...{ key: `dispatch ${number}`, parent: ROOT, kind: SpanKind.CLIENT, from, to, error },
    name: `POST /repos/{owner}/{repo}/${path}`,
    attributes: {
      [ATTR_HTTP_REQUEST_METHOD]: 'POST',
      [ATTR_SERVER_ADDRESS]: round.githubHost,
      ...(number > 1 && { [ATTR_HTTP_REQUEST_RESEND_COUNT]: number - 1 }),
      ...(typeof details.status === 'number' && { [ATTR_HTTP_RESPONSE_STATUS_CODE]: details.status }),
      ...(typeof details.github_request_id === 'string' && {
        [ATTR_HTTP_RESPONSE_HEADER('x-github-request-id')]: [details.github_request_id],
      }),
      ...(error !== null && { [ATTR_ERROR_TYPE]: error }),
    },
  })
  const known = changes
    .filter(({ details }) => typeof details.duration_ms === 'number')
    .map(({ type, at, details }) => {
      const error = type === 'dispatchAccepted' ? null : String(details.status ?? type)
      return dispatch(Number(details.attempt), at - Number(details.duration_ms), at, details, error)
    })
  if (!round.isLast || attemptedAt === null || known.some(each => each.key === `dispatch ${attempts}`))
    return known
  // The history lacks the response if the relay was killed, or if the run reported before the response was recorded.
  const to = changes.find(each => each.at >= attemptedAt && 'github_run_id' in each.details)?.at ?? end
  return [...known, dispatch(attempts, attemptedAt, to, {}, null)]
}

function runAndJobs(
  { runs, workflow, eventType, repository }: TracedDelivery,
  entries: Entry[],
  end: number,
): Part[] {
  const named = entries.filter(({ type, details }) => type !== 'jobFinished' && 'github_run_id' in details)
  const id = Number(named.at(-1)?.details.github_run_id)
  if (!id) return []
  const run = runs.find(each => each.id === id)
  const last = entries.findLast(({ details }) => 'state' in details)?.details
  const result = resultOf(last?.conclusion ?? run?.conclusion)
  const error = BAD.includes(result) ? result : null
  const jobs = new Map<number, JsonObject>()
  for (const { type, details } of entries) {
    const found = type === 'jobFinished' ? [details] : Array.isArray(details.jobs) ? details.jobs : []
    for (const job of found) if (isObject(job)) jobs.set(Number(job.job_id), job)
  }
  const accepted = entries.findLast(each => each.type === 'dispatchAccepted')
  const from = Math.min(accepted?.at ?? Number.POSITIVE_INFINITY, named[0]?.at ?? end)
  const pipeline = workflow ?? eventType ?? ''
  return [
    {
      ...{ key: RUN_SPAN, parent: ROOT, name: `RUN ${pipeline}`, kind: SpanKind.SERVER },
      ...{ from, to: end, error },
      attributes: {
        [CICD.action]: 'RUN',
        [CICD.pipeline]: pipeline,
        [CICD.runId]: String(id),
        ...(run?.url && { [CICD.runUrl]: run.url }),
        [CICD.result]: result,
        ...repositoryOf({ repository } as TracedDelivery),
        ...(error && { [ATTR_ERROR_TYPE]: error }),
      },
    },
    ...[...jobs.values()].map((job): Part => {
      const [jobResult, jobId] = [resultOf(job.conclusion), String(job.job_id)]
      const jobError = BAD.includes(jobResult) ? jobResult : null
      return {
        ...{ key: `job ${jobId}`, parent: RUN_SPAN, name: 'RUN job', error: jobError },
        ...{ from: Number(job.started_at), to: Number(job.finished_at) },
        attributes: {
          [CICD.taskRunId]: jobId,
          ...(run?.url && { [CICD.taskRunUrl]: `${run.url}/job/${jobId}` }),
          [CICD.taskResult]: jobResult,
          ...(jobError && { [ATTR_ERROR_TYPE]: jobError }),
        },
      }
    }),
  ]
}

function notification({ notifiedAt }: TracedDelivery, end: number): Part[] {
  if (notifiedAt === null || notifiedAt < end) return []
  return [
    { key: 'report', parent: ROOT, name: 'report to Port', kind: SpanKind.CLIENT, from: end, to: notifiedAt },
  ]
}

const toHrTime = (ms: number): [seconds: number, nanoseconds: number] => [
  Math.floor(ms / 1000),
  Math.round((ms % 1000) * 1e6),
]
