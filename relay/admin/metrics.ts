import { setTimeout as sleep } from 'node:timers/promises'
import type { Context } from 'hono'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import packageJson from '../../package.json' with { type: 'json' }
import { RESPONSE_OUTCOMES, type ResponseOutcome } from '../config/outgoing.ts'
import { type Delivery, type Evidence, OUTCOMES, type Transition } from '../delivery/delivery.ts'
import type { DispatchOutcome } from '../github/errors.ts'
import { PROBLEM_STATUSES, Problem } from '../http/problem.ts'
import type { RouteDeps } from '../route-deps.ts'
import type { Roles } from './auth.ts'
import { readStored } from './health.ts'
import { STALLED_MS } from './problems.ts'
import type { PublicAddress } from './public-address.ts'
import { SIDES, type Side, type Sides } from './sides.ts'

const ATTEMPTS: readonly DispatchOutcome['kind'][] = ['accepted', 'rejected', 'deferred', 'response_lost']
const EVIDENCE: readonly Evidence[] = ['response', 'report', 'port', 'title', 'candidate']
const REFUSALS = PROBLEM_STATUSES.map(String)
const WEBHOOKS = ['accepted', 'duplicate', 'cancellation', 'unsigned', ...REFUSALS]

/** Histogram buckets in seconds, for responses to webhooks (FAST) and for delays that users notice (SLOW). */
const FAST = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const SLOW = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 14_400]

/** The help text of each metric, by its name without the prefix `port_relay_`. Shared: all relays on one database report the same value. */
const HELP = {
  webhooks_total: "Port's webhooks by result: accepted, duplicate, cancellation, unsigned, or the status",
  webhook_duration_seconds: 'Time until an accepted webhook was persisted; excludes ?wait=dispatch',
  deliveries: 'Deliveries by state (at most 10000 per state, and 10000 frozen ones; shared)',
  oldest_due_age_seconds: 'Time since the oldest unfinished work became due (shared)',
  stalled_queues:
    'Repositories (at most 100) without a dispatch for five minutes, although not paused (shared)',
  deliveries_without_runner: 'Workflow runs (at most 200) that have waited ten minutes for a runner (shared)',
  public_url_ok: '1 if RELAY_PUBLIC_URL leads to this relay, 0 if two checks in a row failed; NaN if unknown',
  database_ok: '1 if the database accepted the last test write, 0 if not',
  frozen_deliveries: 'Queued deliveries (at most 10000) that a deploy freeze holds back (shared)',
  dispatch_attempts_total: 'Dispatches sent to GitHub',
  accept_to_dispatch_seconds: 'Time from acceptance, redelivery, or the end of a freeze to the dispatch',
  accept_to_run_seconds: 'Time from acceptance, redelivery, or the end of a freeze to a bound workflow run',
  deliveries_ended_total: 'Deliveries that finished, by outcome',
  runs_bound_total: 'Workflow runs bound to deliveries, by evidence',
  outbox_messages: 'Unsent messages to Port (at most 10000; shared)',
  outbox_oldest_age_seconds: 'Age of the oldest unsent message to Port (shared)',
  port_requests_total: "Requests to Port's API",
  github_requests_total: "Requests to GitHub's API",
  github_rate_limit_remaining:
    'Requests that GitHub still allows; with an App, the lowest of all installations',
  paused_until_timestamp_seconds: 'When the relay sends requests to this service again; 0 if not paused',
  credential_ok: '1 if the last response accepted the credential, 0 if it rejected the credential',
  last_success_timestamp_seconds: 'Time of the last successful request to this service; 0 for none',
  reports_total: "The action's reports by result: accepted, or the status of the refusal",
  build_info: "Always 1; the label shows the relay's version",
  github_token_expiry_timestamp_seconds: 'When GITHUB_TOKEN expires; NaN with an App, or if unknown',
  github_clock_offset_seconds: "GitHub's clock minus this machine's; NaN before GitHub's first response",
}

export type Metrics = ReturnType<typeof createMetrics>

/** Creates the metrics. No label contains values that senders choose, such as a repository, an action, or a delivery. */
export function createMetrics() {
  const registry = new Registry()
  const named = <L extends string>(name: keyof typeof HELP, labelNames: readonly L[] = []) => ({
    ...{ name: `port_relay_${name}`, help: HELP[name], labelNames, registers: [registry] },
  })
  /** Each label value starts at 0, so that the first increase is visible. */
  const counter = <L extends string>(name: keyof typeof HELP, label: L, values: readonly string[]) => {
    const made = new Counter(named(name, [label]))
    const add = (value: string, amount: number) => made.inc({ [label]: value } as Record<L, string>, amount)
    for (const value of values) add(value, 0)
    return (value: string) => add(values.includes(value) ? value : 'other', 1)
  }
  const gauge = <L extends string = never>(name: keyof typeof HELP, labels?: readonly L[]) =>
    new Gauge(named(name, labels))
  const histogram = (name: keyof typeof HELP, buckets: number[]) => new Histogram({ ...named(name), buckets })

  const webhooks = counter('webhooks_total', 'result', WEBHOOKS)
  const webhookDuration = histogram('webhook_duration_seconds', FAST)
  const deliveries = gauge('deliveries', ['state'])
  const oldestDue = gauge('oldest_due_age_seconds', ['work'])
  const stalled = gauge('stalled_queues')
  const withoutRunner = gauge('deliveries_without_runner')
  const frozen = gauge('frozen_deliveries')
  const publicUrlOk = gauge('public_url_ok')
  const databaseOk = gauge('database_ok')
  const attempts = counter('dispatch_attempts_total', 'outcome', ATTEMPTS)
  const toDispatch = histogram('accept_to_dispatch_seconds', SLOW)
  const toRun = histogram('accept_to_run_seconds', SLOW)
  const ended = counter('deliveries_ended_total', 'outcome', OUTCOMES)
  const bound = counter('runs_bound_total', 'evidence', EVIDENCE)
  const messages = gauge('outbox_messages')
  const oldestMessage = gauge('outbox_oldest_age_seconds')
  const requests = {
    port: counter('port_requests_total', 'outcome', RESPONSE_OUTCOMES),
    github: counter('github_requests_total', 'outcome', RESPONSE_OUTCOMES),
  }
  const remaining = gauge('github_rate_limit_remaining')
  const pausedUntil = gauge('paused_until_timestamp_seconds', ['side'])
  const credentialOk = gauge('credential_ok', ['side'])
  const lastSuccess = gauge('last_success_timestamp_seconds', ['side'])
  const reports = counter('reports_total', 'result', ['accepted', ...REFUSALS])
  const buildInfo = gauge('build_info', ['version'])
  buildInfo.set({ version: packageJson.version }, 1)
  const tokenExpiry = gauge('github_token_expiry_timestamp_seconds')
  const clockOffset = gauge('github_clock_offset_seconds')

  async function read({ store, github, pauses, port, sides, address, clock, ...sources }: Sources) {
    const { throttled, checkDatabase } = sources
    const now = store.clock()
    const stored = await readShared(store, pauses.scope).catch(error => {
      throttled.error({ err: error, work: 'metrics' }, 'database unavailable; retrying')
      return null
    })
    const check = await Promise.race([checkDatabase(), sleep(READ_MS, null, { ref: false })])
    deliveries.reset()
    oldestDue.reset()
    credentialOk.reset()
    lastSuccess.reset()
    for (const [state, amount] of Object.entries(stored?.counts ?? {})) deliveries.set({ state }, amount)
    const age = (since: number | null) => (since === null ? 0 : Math.max(0, now - since) / 1000)
    for (const [work, since] of Object.entries(stored?.dueSince ?? {})) oldestDue.set({ work }, age(since))
    stalled.set(stored?.stalled.filter(each => now - each.stalledSince >= STALLED_MS).length ?? Number.NaN)
    withoutRunner.set(stored?.waiting.length ?? Number.NaN)
    frozen.set(stored?.frozen ?? Number.NaN)
    messages.set(stored?.messages ?? Number.NaN)
    oldestMessage.set(stored ? age(stored.oldestMessage) : Number.NaN)
    const reached = address.status()?.kind
    publicUrlOk.set(reached === 'relay' ? 1 : reached === 'failed' ? 0 : Number.NaN)
    databaseOk.set(Number(check?.ok ?? false))
    remaining.set(github.facts.rateLimitRemaining() ?? Number.NaN)
    tokenExpiry.set((github.facts.tokenExpiresAt() ?? Number.NaN) / 1000)
    clockOffset.set((github.clockOffset() ?? Number.NaN) / 1000)
    /** Converts a time of the store's clock to seconds of the wall clock. */
    const onWall = (time: number) => (time - now + clock()) / 1000
    const paused = {
      github: Math.max(0, ...pauses.allPaused().map(({ pausedUntil }) => pausedUntil)),
      port: port.pausedUntil(),
    }
    for (const side of SIDES) {
      pausedUntil.set({ side }, paused[side] > now ? onWall(paused[side]) : 0)
      const isOk = sides.isAccepted(side)
      if (isOk !== null) credentialOk.set({ side }, Number(isOk))
      const last = sides.lastSuccess(side)
      if (sides.isUsed(side)) lastSuccess.set({ side }, last === null ? 0 : onWall(last))
    }
  }

  return {
    webhook: (result: 'cancellation' | 'unsigned' | number) => webhooks(String(result)),
    /** @param seconds the time until the response; null if the response waited for the dispatch */
    accepted(result: 'accepted' | 'duplicate', seconds: number | null): void {
      webhooks(result)
      if (seconds !== null) webhookDuration.observe(seconds)
    },
    attempt: (outcome: DispatchOutcome['kind']) => attempts(outcome),
    transition(before: Delivery, { change }: Transition, now: number): void {
      const state = change.state ?? before.state
      const waited = (now - (before.unfrozenAt ?? before.queuedAt)) / 1000
      if (before.state === 'queued' && (state === 'dispatched' || state === 'running'))
        toDispatch.observe(waited)
      if (before.state !== 'running' && state === 'running') toRun.observe(waited)
      for (const run of change.runs ?? []) {
        if (!before.runs.some(each => each.id === run.id)) bound(run.evidence)
      }
      if (change.outcome) ended(change.outcome)
    },
    request: (side: Side, outcome: ResponseOutcome) => requests[side](outcome),
    report: (status: number) => reports(status < 300 ? 'accepted' : String(status)),
    async render(sources: Sources): Promise<string> {
      await read(sources)
      return registry.metrics()
    },
    contentType: registry.contentType,
  }
}

type Sources = Omit<RouteDeps, 'config' | 'apply' | 'freezes' | 'log'> & {
  sides: Sides
  address: Pick<PublicAddress, 'status'>
}

/** The time limit for reading the database. If reading takes longer, the response contains the metrics of this process, and no others. */
const READ_MS = 2_000

export function createMetricsRoute(deps: Sources & { metrics: Metrics; roles: Roles }) {
  const { metrics, roles } = deps
  return async (c: Context): Promise<Response> => {
    if (!roles.isOpen) throw new Problem(404, 'The metrics are off: set RELAY_VIEW_TOKEN to turn them on.')
    roles.ofRequest(c, 'Send RELAY_VIEW_TOKEN or RELAY_ADMIN_TOKEN as "Authorization: Bearer …".')
    const text = await metrics.render(deps)
    return c.body(text, 200, { 'content-type': metrics.contentType, 'cache-control': 'no-store' })
  }
}

async function readShared(store: Sources['store'], scope: string) {
  const read = await Promise.race([readStored(store, scope), sleep(READ_MS, null, { ref: false })])
  if (!read) throw new Error(`no response within ${READ_MS} ms`)
  return read
}
