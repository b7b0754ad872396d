import { html } from 'hono/html'
import packageJson from '../../package.json' with { type: 'json' }
import { createTtlCache } from '../cache.ts'
import { LIMITS } from '../config/limits.ts'
import type { Listed } from '../delivery/delivery.ts'
import { boundRun } from '../delivery/match.ts'
import { toShown } from '../delivery/shown-wait.ts'
import type { Job, JobReader } from '../github/jobs.ts'
import type { Refusals } from '../http/refusals.ts'
import { createTokenBuckets } from '../http/request.ts'
import type { RouteDeps } from '../route-deps.ts'
import { createAdminApi } from './api.ts'
import type { Roles } from './auth.ts'
import type { Html } from './dashboard/format.ts'
import { createDashboard } from './dashboard/pages.ts'
import type { HealthReader } from './health.ts'
import { createRedelivery } from './redelivery.ts'
import { createSessions } from './sessions.ts'
import type { Sides } from './sides.ts'

export type Admin = ReturnType<typeof createAdmin>

export function createAdmin(
  deps: RouteDeps & { roles: Roles; sides: Sides; refusals: Refusals; health: HealthReader },
) {
  const { config, roles, store, apply, freezes, port, github, pauses, sides, log, throttled } = deps
  const { trustedProxies } = config
  const { refusals, health } = deps
  const show = (delivery: Listed, heads: ReadonlyMap<string, Listed>) => {
    const ofPort = sides.problems().flatMap(({ side, text }) => (side === 'port' ? text : []))
    return toShown(delivery, pauses.find(delivery.repository), heads, store.clock(), ofPort.join(' '))
  }
  const redelivery = createRedelivery({ store, apply, port })
  const shared = { roles, store, freezes, refusals, show, redelivery }
  return {
    refusals,
    api: createAdminApi(shared),
    dashboard: createDashboard({
      ...{ ...shared, health, port, trustedProxies, log, throttled },
      about: {
        host: config.publicUrl && new URL(config.publicUrl).host,
        version: packageJson.version,
        database: config.database.kind === 'postgres' ? 'PostgreSQL' : 'SQLite',
      },
      sessions: createSessions(config, deps.clock, store),
      steps: createSteps(github),
      webhookUrl: origin =>
        `${config.publicUrl ?? origin}/webhook${config.targets.repository === null ? '/OWNER/REPOSITORY' : ''}`,
      serverUrl: github.serverUrl,
      portRunUrl: portRunUrl(config.port.apiUrl),
    }),
  }
}

/** Creates a function that returns the URL of an action run in Port; null for node runs, which have no documented page, and for other servers. */
function portRunUrl(apiUrl: string): (runId: string) => string | null {
  const [, host] = /^https:\/\/api\.((?:us\.)?port\.io|getport\.io)$/.exec(apiUrl) ?? []
  const page = `https://app.${host}/organization/run`
  return runId => (host && runId.startsWith('r_') ? `${page}?runId=${encodeURIComponent(runId)}` : null)
}

const KEPT_MS = 15_000
const MAX_KEPT = 100

function createSteps(github: Pick<JobReader, 'jobs'>): (delivery: Listed) => Promise<Html> {
  const kept = createTtlCache<Promise<Job[]>>(KEPT_MS, () => performance.now(), MAX_KEPT)
  const bound = createTokenBuckets(LIMITS.stepsRate)

  function read({ repository }: Listed, id: number, attempt: number): Promise<Job[]> | null {
    const key = `${repository}/${id}/${attempt}`
    const known = kept.get(key)
    if (known) return known
    if (bound.take('') > 0) return null
    const jobs = github.jobs(repository, id, attempt).then(found => found.jobs)
    kept.set(key, jobs)
    return jobs
  }

  return async delivery => {
    const run = boundRun(delivery)
    if (!run) return html`<p>The workflow run isn't known yet.</p>`
    try {
      const jobs = await read(delivery, run.id, run.attempt)
      if (!jobs) return html`<p>Too many requests for steps: wait a minute.</p>`
      return html`<h2>Steps</h2><div class="card">${jobs.length === 0 && html`<p>No job has started.</p>`}${jobs.map(
        job => html`<h3>${job.name} ${outcome(job.conclusion, job.started)}</h3>
<ol class="ruled steps">${job.steps.map(step => html`<li>${step.name} ${outcome(step.conclusion, true)}</li>`)}</ol>`,
      )}</div>`
    } catch {
      return html`<p>GitHub doesn't return the steps: it is unreachable or rate limiting the relay, or the relay's credential lacks the permission <em>Actions: read</em>.</p>`
    }
  }
}

const outcome = (conclusion: string | null, started: boolean) =>
  html`<span class="state ${conclusion === 'failure' ? 'failed' : conclusion === 'success' ? 'succeeded' : 'queued'}">${conclusion ?? (started ? 'running' : 'waiting')}</span>`
