import { type Context, Hono } from 'hono'
import type { RouteSchemas } from '../route-schemas.ts'
import { type GitHubEnv, openRepository, refusal, refuse } from './access.ts'
import { tagged } from './repository-routes.ts'
import { endRun, findRun } from './runs.ts'
import { shower } from './shown.ts'
import type { GitHubState } from './state.ts'
import type { Access, GitHubRun, PendingDeployment, Repository, Review } from './types.ts'

const RUNS = 'GET /repos/{owner}/{repo}/actions/runs'
/** The maximum number of results that GitHub's run search returns. */
const MAX_FOUND = 1000

/** The routes for workflow runs, their jobs, and the jobs' logs. */
export function runRoutes(state: GitHubState, schemas: RouteSchemas): Hono<GitHubEnv> {
  const app = new Hono<GitHubEnv>()
  const show = shower(state, schemas)
  const open = (c: Context<GitHubEnv>) => openRepository(state, c, ['actions', 'read'])
  const runOf = (c: Context<GitHubEnv>, { fullName }: Repository): GitHubRun => {
    const run = state.runsById.get(Number(c.req.param('run')))
    if (run?.repository !== fullName) throw refusal(404, 'Not Found')
    return run
  }
  const notFound = () => refuse(404, 'Not Found')
  const respond = (c: Context<GitHubEnv>, route: string, body: object, headers?: Record<string, string>) => {
    const response = tagged(body, c.req.header('if-none-match'), headers)
    // A 304 isn't checked, because an earlier response had the same body.
    if (response.status === 200) schemas.response(route, 200, body)
    return response
  }

  app.get('/:owner/:repo/actions/runs', c => {
    const repository = open(c)
    const { event, created, page: _, per_page, ...filters } = c.req.query()
    const [, from = '', to = '~'] = /^([\dTZ:-]+)\.\.([\dTZ:-]+)$/.exec(created ?? '') ?? []
    if (Object.keys(filters).length > 0 || (created && !from))
      throw new Error(`The fake GitHub can't filter runs by ${JSON.stringify({ ...filters, created })}`)
    const found = state.runs
      .filter(run => run.repository === repository.fullName && run.event === (event ?? run.event))
      .filter(run => run.createdAt >= from && run.createdAt <= to)
      .reverse()
      .sort((a, b) => Number(b.createdAt > a.createdAt) - Number(b.createdAt < a.createdAt))
      .slice(0, MAX_FOUND)
    const { page, link } = paginate(c, found)
    const body = { total_count: found.length, workflow_runs: page.map(run => show.run(run, repository)) }
    return respond(c, RUNS, body, link)
  })

  app.get('/:owner/:repo/actions/runs/:run{[0-9]+}', c => {
    const repository = open(c)
    return respond(c, `${RUNS}/{run_id}`, show.run(runOf(c, repository), repository))
  })

  app.get('/:owner/:repo/actions/runs/:run{[0-9]+}/attempts/:attempt{[0-9]+}/jobs', c => {
    const repository = open(c)
    const run = runOf(c, repository)
    const attempt = Number(c.req.param('attempt'))
    if (attempt > run.runAttempt) return notFound()
    const all = (state.jobs.get(`${run.id}/${attempt}`) ?? []).map(job =>
      show.job(job, run, attempt, repository),
    )
    const { page, link } = paginate(c, all)
    const body = { total_count: all.length, jobs: page }
    return respond(c, `${RUNS}/{run_id}/attempts/{attempt_number}/jobs`, body, link)
  })

  /** Returns a concurrency group, whose first run is in progress. @param member the only run to show */
  const showGroup = (name: string, runs: readonly number[], member?: number) => ({
    group_name: name,
    group_members: runs
      .map((run_id, position) => ({ run_id, position, status: position === 0 ? 'in_progress' : 'pending' }))
      .filter(({ run_id }) => member === undefined || run_id === member),
  })
  app.get('/:owner/:repo/actions/runs/:run{[0-9]+}/concurrency_groups', c => {
    open(c)
    const id = Number(c.req.param('run'))
    const found = [...state.concurrencyGroups].filter(([, runs]) => runs.includes(id))
    const shown = found.map(([name, runs]) => showGroup(name, runs, id))
    return c.json({ total_count: shown.length, concurrency_groups: shown })
  })
  app.get('/:owner/:repo/actions/concurrency_groups/:name', c => {
    open(c)
    const name = c.req.param('name')
    const runs = state.concurrencyGroups.get(name)
    return runs ? c.json(showGroup(name, runs)) : notFound()
  })

  app.get('/:owner/:repo/check-runs/:job{[0-9]+}/annotations', c => {
    openRepository(state, c, ['checks', 'read'])
    const { page, link } = paginate(c, state.annotations.get(Number(c.req.param('job'))) ?? [])
    const body = page.map(each => ({
      ...{ end_line: each.start_line, start_column: null, end_column: null, title: null, raw_details: null },
      ...{ blob_href: '', ...each },
    }))
    return tagged(body, c.req.header('if-none-match'), link)
  })
  app.get('/:owner/:repo/actions/jobs/:job{[0-9]+}/logs', c => {
    const repository = open(c)
    const id = Number(c.req.param('job'))
    const known = [...state.jobs].some(
      ([key, list]) =>
        list.some(job => job.id === id) &&
        state.runsById.get(Number(key.split('/')[0]))?.repository === repository.fullName,
    )
    if (!known) return notFound()
    // Like GitHub's blob store, this URL has another origin than the API. Clients must not send their token to this origin.
    const blobs = state.serverUrl.replace('127.0.0.1', 'localhost')
    return new Response(null, {
      status: 302,
      headers: { location: `${blobs}/_blobs/job-logs/${id}?sig=fake` },
    })
  })
  return app
}

/** The blob store that job logs are redirected to. */
export function blobRoutes(state: GitHubState): Hono<GitHubEnv> {
  const app = new Hono<GitHubEnv>()
  const xml = (status: 400 | 404, code: string, message: string) =>
    new Response(
      `<?xml version="1.0" encoding="utf-8"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`,
      { status, headers: { 'content-type': 'application/xml' } },
    )
  app.get('/_blobs/job-logs/:job', c => {
    // Azure's blob store refuses a request that contains both a signature and a foreign token.
    if (c.req.header('authorization')) {
      return xml(
        400,
        'InvalidAuthenticationInfo',
        'Authentication information is not given in the correct format.',
      )
    }
    const id = Number(c.req.param('job'))
    const ended = [...state.jobs.values()].flat().some(job => job.id === id && job.status === 'completed')
    const text = state.jobLogs.get(id)
    if (!ended || text === undefined) return xml(404, 'BlobNotFound', 'The specified blob does not exist.')
    return c.text(text)
  })
  return app
}

function paginate<T>(c: Context<GitHubEnv>, all: T[]): { page: T[]; link: Record<string, string> } {
  const size = Math.min(Math.max(Number(c.req.query('per_page') ?? 30) || 30, 1), 100)
  const number = Math.max(Number(c.req.query('page') ?? 1) || 1, 1)
  const last = Math.max(Math.ceil(all.length / size), 1)
  const next = new URL(c.req.url)
  next.searchParams.set('page', String(number + 1))
  return {
    page: all.slice((number - 1) * size, number * size),
    link: number < last ? { link: `<${next}>; rel="next"` } : {},
  }
}

const RUN = '/repos/{owner}/{repo}/actions/runs/{run_id}'
const MOST_RERUNS = 50
const MOST_RERUN_MS = 30 * 86_400_000
const DOCS = 'https://docs.github.com/rest/actions/workflow-runs#cancel-a-workflow-run'

/** The routes that cancel runs and run them again, and that approve pending deployments. */
export function runControlRoutes(state: GitHubState, schemas: RouteSchemas): Hono<GitHubEnv> {
  const app = new Hono<GitHubEnv>()
  const show = shower(state, schemas)
  const open = (c: Context<GitHubEnv>, access: Access): GitHubRun => {
    const { fullName } = openRepository(state, c, ['actions', access])
    const run = state.runsById.get(Number(c.req.param('run')))
    if (run?.repository !== fullName) throw refusal(404, 'Not Found', DOCS)
    return run
  }

  for (const route of ['cancel', 'force-cancel'] as const) {
    app.post(`/:owner/:repo/actions/runs/:run{[0-9]+}/${route}`, c => {
      const run = open(c, 'write')
      if (run.status === 'completed') {
        return refuse(409, 'Cannot cancel a workflow run that is completed.', DOCS)
      }
      state.cancellations.push({ runId: run.id, isForced: route === 'force-cancel' })
      if (route === 'force-cancel' || !state.unstoppable.has(run.id)) endRun(state, run, 'cancelled')
      schemas.response(`POST ${RUN}/${route}`, 202, {})
      return c.json({}, 202)
    })
  }

  app.post('/:owner/:repo/actions/runs/:run{[0-9]+}/rerun-failed-jobs', c => {
    const run = open(c, 'write')
    const docs = DOCS.replace('cancel-a-workflow-run', 're-run-failed-jobs-from-a-workflow-run')
    const jobs = state.jobs.get(`${run.id}/${run.runAttempt}`) ?? []
    const why =
      run.status !== 'completed'
        ? 'This workflow is already running'
        : state.now() - Date.parse(run.createdAt) > MOST_RERUN_MS
          ? 'Unable to retry this workflow run because it was created over a month ago'
          : run.runAttempt > MOST_RERUNS || jobs.every(job => job.conclusion === 'success')
            ? 'This workflow run cannot be retried'
            : null
    if (why !== null) return refuse(403, why, docs)
    Object.assign(run, { status: 'queued', conclusion: null, runAttempt: run.runAttempt + 1 })
    // Jobs that succeeded are part of the new attempt, but don't run again.
    const kept = jobs.filter(job => job.conclusion === 'success')
    state.jobs.set(
      `${run.id}/${run.runAttempt}`,
      kept.map(job => ({ ...job, id: state.nextId() })),
    )
    schemas.response(`POST ${RUN}/rerun-failed-jobs`, 201, {})
    return c.json({}, 201)
  })

  app.get('/:owner/:repo/actions/runs/:run{[0-9]+}/pending_deployments', c => {
    const body = (state.pendingDeployments.get(open(c, 'read').id) ?? []).map(show.pendingDeployment)
    schemas.response(`GET ${RUN}/pending_deployments`, 200, body)
    return c.json(body)
  })

  app.get('/:owner/:repo/actions/runs/:run{[0-9]+}/approvals', c => {
    const body = (state.reviews.get(open(c, 'read').id) ?? []).map(show.review)
    schemas.response(`GET ${RUN}/approvals`, 200, body)
    return c.json(body)
  })
  return app
}

/** Makes a run wait for reviewers. */
export function awaitReview(state: GitHubState, runId: number, pending: PendingDeployment[]): void {
  Object.assign(findRun(state, runId), { status: 'waiting' })
  state.pendingDeployments.set(runId, pending)
}

/** Applies a reviewer's decision. An approved run continues if nothing else is pending. A rejected run fails. */
export function review(state: GitHubState, runId: number, decision: Review): void {
  const run = findRun(state, runId)
  state.reviews.set(runId, [...(state.reviews.get(runId) ?? []), decision])
  const pending = state.pendingDeployments.get(runId) ?? []
  const left = pending.filter(({ environment }) => environment !== decision.environment)
  state.pendingDeployments.set(runId, left)
  if (decision.state === 'rejected') endRun(state, run, 'failure')
  else if (left.length === 0) Object.assign(run, { status: 'queued' })
}
