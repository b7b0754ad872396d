import { type Context, Hono } from 'hono'
import type { RouteSchemas } from '../route-schemas.ts'
import { openRepository } from './access.ts'
import type { GitHubEnv } from './env.ts'
import { refuse } from './errors.ts'
import { endRun, findRun } from './runs.ts'
import { shower } from './shown.ts'
import { type GitHubState, isShown } from './state.ts'
import type { Access, GitHubRun, PendingDeployment, Repository, Review } from './types.ts'

const RUN = '/repos/{owner}/{repo}/actions/runs/{run_id}'
const DOCS = 'https://docs.github.com/rest/actions/workflow-runs#cancel-a-workflow-run'

/** Ending runs, and what they wait for. */
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
      schemas.answer(`POST ${RUN}/${route}`, 202, {})
      return c.json({}, 202)
    })
  }

  app.get('/:owner/:repo/actions/runs/:run{[0-9]+}/pending_deployments', c => {
    const opened = open(c, 'read')
    if (opened instanceof Response) return opened
    const pending = state.pendingDeployments.get(opened.run.id) ?? []
    const body = pending.map(each => show.pendingDeployment(each, opened.of))
    schemas.answer(`GET ${RUN}/pending_deployments`, 200, body)
    return c.json(body)
  })

  app.get('/:owner/:repo/actions/runs/:run{[0-9]+}/approvals', c => {
    const opened = open(c, 'read')
    if (opened instanceof Response) return opened
    const body = (state.reviews.get(opened.run.id) ?? []).map(each => show.review(each, opened.of))
    schemas.answer(`GET ${RUN}/approvals`, 200, body)
    return c.json(body)
  })
  return app
}

/** Makes a run wait for reviewers. */
export function awaitReview(state: GitHubState, runId: number, pending: PendingDeployment[]): void {
  Object.assign(findRun(state, runId), { status: 'waiting' })
  state.pendingDeployments.set(runId, pending)
}

/** A reviewer decides: approved, the run goes on when nothing else is pending; rejected, it has failed. */
export function review(state: GitHubState, runId: number, decision: Review): void {
  const run = findRun(state, runId)
  state.reviews.set(runId, [...(state.reviews.get(runId) ?? []), decision])
  const pending = state.pendingDeployments.get(runId) ?? []
  const left = pending.filter(({ environment }) => environment !== decision.environment)
  state.pendingDeployments.set(runId, left)
  if (decision.state === 'rejected') endRun(state, run, 'failure')
  else if (left.length === 0) Object.assign(run, { status: 'queued' })
}
