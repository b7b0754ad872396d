import { type Context, Hono } from 'hono'
import type { RouteSchemas } from '../route-schemas.ts'
import { type GitHubEnv, openRepository, refuse } from './access.ts'
import { tagged } from './repository-routes.ts'
import { endRun, findRun, withinCreated } from './runs.ts'
import { shower } from './shown.ts'
import { type GitHubState, isShown } from './state.ts'
import type { Access, GitHubRun, PendingDeployment, Repository, Review } from './types.ts'

const RUNS = 'GET /repos/{owner}/{repo}/actions/runs'
/** The maximum number of results that GitHub's run search returns. */
const MAX_FOUND = 1000

/** The routes for workflow runs, their jobs, and the jobs' logs. */
export function runRoutes(state: GitHubState, schemas: RouteSchemas): Hono<GitHubEnv> {
  const app = new Hono<GitHubEnv>()
  const show = shower(state, schemas)
  const open = (c: Context<GitHubEnv>): Repository | Response =>
    openRepository(state, c.var.grant, `${c.req.param('owner')}/${c.req.param('repo')}`, ['actions', 'read'])
  const runOf = (c: Context<GitHubEnv>, repository: Repository): GitHubRun | undefined => {
    const run = state.runsById.get(Number(c.req.param('run')))
    return run?.repository === repository.fullName && isShown(state, run) ? run : undefined
  }
  const notFound = () => refuse(404, 'Not Found')
  const respond = (c: Context<GitHubEnv>, route: string, body: object, headers?: Record<string, string>) => {
    const response = tagged(body, c.req.header('if-none-match'), headers)
    // A 304 means that an earlier response had the same body.
    if (response.status === 200) schemas.response(route, 200, body)
    return response
  }

  app.get('/:owner/:repo/actions/runs', c => {
    const repository = open(c)
    if (repository instanceof Response) return repository
    const query = c.req.query()
    if (query.created !== undefined && withinCreated(query.created, '2026-01-01T00:00:00Z') === undefined) {
      return refuse(422, `Validation Failed: "${query.created}" is not a recognized date/time format.`)
    }
    const { order = runs => runs } = state.options
    const newestFirst = state.runs
      .filter(run => run.repository === repository.fullName && matches(run, query) && isShown(state, run))
      .reverse()
      .sort((a, b) => Number(b.createdAt > a.createdAt) - Number(b.createdAt < a.createdAt))
      .slice(0, MAX_FOUND)
    const found = order(newestFirst)
    const { page, link } = paginate(c, found)
    const body = { total_count: found.length, workflow_runs: page.map(run => show.run(run, repository)) }
    return respond(c, RUNS, body, link)
  })

  app.get('/:owner/:repo/actions/runs/:run{[0-9]+}', c => {
    const repository = open(c)
    if (repository instanceof Response) return repository
    const run = runOf(c, repository)
    if (!run) return notFound()
    const body = show.run(run, repository)
    return respond(c, `${RUNS}/{run_id}`, body)
  })

  const jobs = (c: Context<GitHubEnv>, route: string, attempt?: number) => {
    const repository = open(c)
    if (repository instanceof Response) return repository
    const run = runOf(c, repository)
    if (!run || (attempt ?? 1) > run.runAttempt) return notFound()
    const attempts =
      c.req.query('filter') === 'all'
        ? Array.from({ length: run.runAttempt }, (_, index) => index + 1)
        : [attempt ?? run.runAttempt]
    const all = attempts.flatMap(n =>
      (state.jobs.get(`${run.id}/${n}`) ?? []).map(job => show.job(job, run, n, repository)),
    )
    const { page, link } = paginate(c, all)
    const body = { total_count: all.length, jobs: page }
    return respond(c, route, body, link)
  }
  app.get('/:owner/:repo/actions/runs/:run{[0-9]+}/jobs', c => jobs(c, `${RUNS}/{run_id}/jobs`))
  app.get('/:owner/:repo/actions/runs/:run{[0-9]+}/attempts/:attempt{[0-9]+}/jobs', c =>
    jobs(c, `${RUNS}/{run_id}/attempts/{attempt_number}/jobs`, Number(c.req.param('attempt'))),
  )

  /** The first run of a group is in progress. @param member shows only the membership of this run */
  const showGroup = (name: string, runs: readonly number[], member?: number) => ({
    group_name: name,
    group_members: runs
      .map((run_id, position) => ({ run_id, position, status: position === 0 ? 'in_progress' : 'pending' }))
      .filter(({ run_id }) => member === undefined || run_id === member),
  })
  app.get('/:owner/:repo/actions/runs/:run{[0-9]+}/concurrency_groups', c => {
    const repository = open(c)
    if (repository instanceof Response) return repository
    const id = Number(c.req.param('run'))
    const found = [...state.concurrencyGroups].filter(([, runs]) => runs.includes(id))
    const shown = found.map(([name, runs]) => showGroup(name, runs, id))
    return c.json({ total_count: shown.length, concurrency_groups: shown })
  })
  app.get('/:owner/:repo/actions/concurrency_groups/:name', c => {
    const repository = open(c)
    if (repository instanceof Response) return repository
    const name = c.req.param('name')
    const runs = state.concurrencyGroups.get(name)
    return runs ? c.json(showGroup(name, runs)) : notFound()
  })

  app.get('/:owner/:repo/check-runs/:job{[0-9]+}/annotations', c => {
    const name = `${c.req.param('owner')}/${c.req.param('repo')}`
    const repository = openRepository(state, c.var.grant, name, ['checks', 'read'])
    if (repository instanceof Response) return repository
    const { page, link } = paginate(c, state.annotations.get(Number(c.req.param('job'))) ?? [])
    const body = page.map(each => ({
      ...{ end_line: each.start_line, start_column: null, end_column: null, title: null, raw_details: null },
      ...{ blob_href: '', ...each },
    }))
    return tagged(body, c.req.header('if-none-match'), link)
  })
  app.get('/:owner/:repo/actions/jobs/:job{[0-9]+}/logs', c => {
    const repository = open(c)
    if (repository instanceof Response) return repository
    const id = Number(c.req.param('job'))
    const known = [...state.jobs].some(
      ([key, list]) =>
        list.some(job => job.id === id) &&
        state.runsById.get(Number(key.split('/')[0]))?.repository === repository.fullName,
    )
    if (!known) return notFound()
    // Like GitHub's blob store, this URL has another origin than the API. Clients must not send their token to it.
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

function matches(run: GitHubRun, query: Record<string, string>): boolean {
  const { event, status, created, branch, actor, head_sha: sha } = query
  if (event !== undefined && run.event !== event) return false
  if (status !== undefined && run.status !== status && run.conclusion !== status) return false
  if (branch !== undefined && run.headBranch !== branch) return false
  if (actor !== undefined && run.actor !== actor) return false
  if (sha !== undefined && run.headSha !== sha) return false
  return created === undefined || withinCreated(created, run.createdAt) === true
}

function paginate<T>(c: Context<GitHubEnv>, all: T[]): { page: T[]; link: Record<string, string> } {
  const size = Math.min(Math.max(Number(c.req.query('per_page') ?? 30) || 30, 1), 100)
  const number = Math.max(Number(c.req.query('page') ?? 1) || 1, 1)
  const last = Math.max(Math.ceil(all.length / size), 1)
  const to = (page: number, rel: string) => {
    const url = new URL(c.req.url)
    url.searchParams.set('page', String(page))
    return `<${url}>; rel="${rel}"`
  }
  const links = [
    ...(number > 1 ? [to(number - 1, 'prev'), to(1, 'first')] : []),
    ...(number < last ? [to(number + 1, 'next'), to(last, 'last')] : []),
  ]
  return {
    page: all.slice((number - 1) * size, number * size),
    link: links.length > 0 ? { link: links.join(', ') } : {},
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
  const open = (c: Context<GitHubEnv>, access: Access): { run: GitHubRun; of: Repository } | Response => {
    const fullName = `${c.req.param('owner')}/${c.req.param('repo')}`
    const repository = openRepository(state, c.var.grant, fullName, ['actions', access])
    if (repository instanceof Response) return repository
    const run = state.runsById.get(Number(c.req.param('run')))
    const isThere = run?.repository === repository.fullName && isShown(state, run)
    return isThere ? { run, of: repository } : refuse(404, 'Not Found', DOCS)
  }

  for (const route of ['cancel', 'force-cancel'] as const) {
    app.post(`/:owner/:repo/actions/runs/:run{[0-9]+}/${route}`, c => {
      const opened = open(c, 'write')
      if (opened instanceof Response) return opened
      const { run } = opened
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
    const opened = open(c, 'write')
    if (opened instanceof Response) return opened
    const { run } = opened
    const docs = DOCS.replace('cancel-a-workflow-run', 're-run-failed-jobs-from-a-workflow-run')
    const jobs = state.jobs.get(`${run.id}/${run.runAttempt}`) ?? []
    const refusal =
      run.status !== 'completed'
        ? 'This workflow is already running'
        : state.now() - Date.parse(run.createdAt) > MOST_RERUN_MS
          ? 'Unable to retry this workflow run because it was created over a month ago'
          : run.runAttempt > MOST_RERUNS || jobs.every(job => job.conclusion === 'success')
            ? 'This workflow run cannot be retried'
            : null
    if (refusal !== null) return refuse(403, refusal, docs)
    Object.assign(run, { status: 'queued', conclusion: null, runAttempt: run.runAttempt + 1 })
    // Jobs that succeeded aren't run again, and are part of the new attempt.
    const kept = jobs.filter(job => job.conclusion === 'success')
    state.jobs.set(
      `${run.id}/${run.runAttempt}`,
      kept.map(job => ({ ...job, id: state.nextId() })),
    )
    schemas.response(`POST ${RUN}/rerun-failed-jobs`, 201, {})
    return c.json({}, 201)
  })

  app.get('/:owner/:repo/actions/runs/:run{[0-9]+}/pending_deployments', c => {
    const opened = open(c, 'read')
    if (opened instanceof Response) return opened
    const pending = state.pendingDeployments.get(opened.run.id) ?? []
    const body = pending.map(each => show.pendingDeployment(each, opened.of))
    schemas.response(`GET ${RUN}/pending_deployments`, 200, body)
    return c.json(body)
  })

  app.get('/:owner/:repo/actions/runs/:run{[0-9]+}/approvals', c => {
    const opened = open(c, 'read')
    if (opened instanceof Response) return opened
    const body = (state.reviews.get(opened.run.id) ?? []).map(each => show.review(each, opened.of))
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
