import { html } from 'hono/html'
import { boundRun } from '../../deliveries/transition/runs.ts'
import type { Job, JobReader } from '../../github/read-jobs.ts'
import { createTokenBuckets } from '../../http/token-bucket.ts'
import type { Delivery } from '../../store/delivery.ts'
import type { Html } from './format.ts'

const KEPT_MS = 15_000
const MAX_KEPT = 100
/** Requests a minute of all people together: the dispatches need GitHub's limit more. */
const PER_MINUTE = 20

/** The jobs and steps of a delivery's workflow run, as GitHub shows them now; asked for by a person. */
export function createSteps(github: Pick<JobReader, 'jobs'>): (delivery: Delivery) => Promise<Html> {
  const kept = new Map<string, { at: number; jobs: Promise<Job[]> }>()
  const bound = createTokenBuckets(PER_MINUTE)

  function read({ repository }: Delivery, id: number, attempt: number): Promise<Job[]> | null {
    const key = `${repository}/${id}/${attempt}`
    const known = kept.get(key)
    if (known && performance.now() - known.at < KEPT_MS) return known.jobs
    if (bound.take('') > 0) return null
    const jobs = github.jobs(repository, id, attempt).then(found => found.jobs)
    kept.delete(key)
    kept.set(key, { at: performance.now(), jobs })
    if (kept.size > MAX_KEPT) kept.delete(kept.keys().next().value as string)
    return jobs
  }

  return async delivery => {
    const run = boundRun(delivery)
    if (!run) return html`<p>Its workflow run is not known yet.</p>`
    try {
      const jobs = await read(delivery, run.id, run.attempt)
      if (!jobs) return html`<p>The steps were asked for too often: wait a minute.</p>`
      return html`<h2>Steps</h2><div class="card">${jobs.length === 0 && html`<p>No job has begun.</p>`}${jobs.map(
        job => html`<h3>${job.name} ${outcome(job.conclusion, job.started)}</h3>
<ol class="plain steps">${job.steps.map(step => html`<li>${step.name} ${outcome(step.conclusion, true)}</li>`)}</ol>`,
      )}</div>`
    } catch {
      return html`<p>GitHub does not show the steps now: the relay needs <em>Actions: read</em>, and no limit may hold.</p>`
    }
  }
}

const outcome = (conclusion: string | null, started: boolean) =>
  html`<span class="state ${conclusion === 'failure' ? 'failed' : conclusion === 'success' ? 'finished' : 'queued'}">${conclusion ?? (started ? 'not ended' : 'waits')}</span>`
