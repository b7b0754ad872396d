import { Hono } from 'hono'
import { type Fault, type ReceivedRequest, startFakeServer } from '../http-server.ts'
import { openRouteSchemas } from '../route-schemas.ts'
import { authenticate, failureResponse, type GitHubEnv, limits, refuse, requestId } from './access.ts'
import { appRoutes } from './app-routes.ts'
import { leaveKeyPairs } from './key-pairs.ts'
import { manifestFlow } from './manifest.ts'
import { pageRoutes } from './page.ts'
import { repositoryRoutes, workflowDispatchRoute } from './repository-routes.ts'
import { awaitReview, blobRoutes, review, runControlRoutes, runRoutes } from './run-routes.ts'
import { createRun, findRun, seconds, setJobs } from './runs.ts'
import { rateOf } from './shown.ts'
import { addApp, addRepository, addToken, newGitHubState, renameRepository } from './state.ts'
import type {
  CheckAnnotation,
  Dispatch,
  GitHubApiOptions,
  GitHubRun,
  NewGitHubJob,
  NewGitHubRun,
  NewRepository,
  NewToken,
  PendingDeployment,
  Permissions,
  Review,
  WorkflowDispatch,
} from './types.ts'

export type { Dispatch, GitHubApp, GitHubRun } from './types.ts'

export type GitHubApi = Awaited<ReturnType<typeof startGitHubApi>>
type When = Pick<Fault, 'match' | 'times'>

/**
 * Starts the fake GitHub on a free port. It serves the REST API routes that the relay and the action use, and returns
 * the same errors as GitHub. Validates requests and responses with the schemas of GitHub's OpenAPI description.
 */
export async function startGitHubApi(options: GitHubApiOptions = {}) {
  const state = newGitHubState(options)
  const schemas = openRouteSchemas('github')
  const token = addToken(state, { value: options.token })

  const api = new Hono<GitHubEnv>()
  api.use('*', async (c, next) => {
    // The fake GitHub refuses a request without a version. GitHub would use a default version.
    if (
      /^port-webhook-/.test(c.req.header('user-agent') ?? '') &&
      c.req.header('x-github-api-version') !== '2022-11-28'
    )
      return refuse(400, 'The header X-GitHub-Api-Version is missing.')
    for (const [name, value] of Object.entries(c.env.forwarded ?? {}))
      c.set(name as 'request', value as never)
    await next()
    c.header('date', new Date(state.now()).toUTCString())
    c.header('x-github-request-id', requestId())
    c.header('x-github-media-type', 'github.v3; format=json')
    const isCounted = c.res.status !== 304 && c.req.path !== '/rate_limit'
    if (c.var.grant && isCounted) c.var.grant.used += 1
    for (const [name, value] of Object.entries(rateOf(state, c.var.grant))) {
      c.header(`x-ratelimit-${name}`, String(value))
    }
    c.header('x-ratelimit-resource', 'core')
  })
  const manifests = manifestFlow(state, schemas)
  api.route('/', appRoutes(state, schemas))
  api.route('/', manifests.api)
  api.get('/rate_limit', c => {
    const authorization = c.req.header('authorization')
    if (authorization) c.set('grant', authenticate(state, authorization))
    const core = rateOf(state, c.var.grant)
    const search = { limit: 30, remaining: 30, reset: core.reset, used: 0 }
    const body = { resources: { core, search }, rate: core }
    schemas.response('GET /rate_limit', 200, body)
    return c.json(body)
  })
  api.use('/repos/*', async (c, next) => {
    const grant = authenticate(state, c.req.header('authorization'))
    c.set('grant', grant)
    if (rateOf(state, grant).remaining === 0) return Response.json(limits.primary(), { status: 403 })
    const [, fullName = '', rest = ''] = /\/repos\/([^/]+\/[^/]+)(.*)$/.exec(c.req.path) ?? []
    const movedTo = state.moved.get(decodeURIComponent(fullName).toLowerCase())
    if (movedTo === undefined) return next()
    const location = `${state.url}/repositories/${movedTo}${rest}${new URL(c.req.url).search}`
    const status = c.req.method === 'GET' ? 301 : 307
    return refuse(status, status === 301 ? 'Moved Permanently' : 'Temporary Redirect', undefined, {
      location,
    })
  })
  api.all('/repositories/*', c => {
    const url = new URL(c.req.url)
    const [, id, rest = ''] = /\/repositories\/(\d+)(.*)$/.exec(url.pathname) ?? []
    const repository = [...state.repositories.values()].find(one => one.id === Number(id))
    if (!repository) return refuse(404, 'Not Found')
    url.pathname = `/repos/${repository.fullName}${rest}`
    const { method, raw } = c.req
    return api.fetch(new Request(url, { method, headers: raw.headers }), { ...c.env, forwarded: c.var })
  })
  api.route('/repos', repositoryRoutes(state, schemas))
  api.route('/repos', workflowDispatchRoute(state, schemas))
  api.route('/repos', runRoutes(state, schemas))
  api.route('/repos', runControlRoutes(state, schemas))
  api.all('*', () => refuse(404, 'Not Found'))

  const app = new Hono<GitHubEnv>()
  app.route('/', blobRoutes(state))
  app.route('/', manifests.pages)
  app.route('/', pageRoutes(state))
  app.route(options.enterprise ? '/api/v3' : '/', api)
  const server = await startFakeServer(app, status => {
    const { body, headers } = failureResponse(status)
    return { body, headers: { ...headers, date: new Date(state.now()).toUTCString() } }
  })
  state.serverUrl = server.origin
  state.url = options.enterprise ? `${server.origin}/api/v3` : server.origin

  return {
    ...server,
    /** The base URL of the REST API. */
    url: state.url,
    serverUrl: state.serverUrl,
    /** A personal token with each repository's `permissions`. */
    token,
    addRepository: (fullName: string, repository?: NewRepository) =>
      addRepository(state, fullName, repository),
    renameRepository: (from: string, to: string) => renameRepository(state, from, to),
    createToken: (given?: NewToken) => addToken(state, given),
    createApp: (given?: { permissions?: Permissions; repositories?: string[] }) => addApp(state, given),
    dispatches: state.dispatches,
    /** Calls `listener` after each accepted dispatch; returns the function that removes the listener. */
    onDispatch: (listener: (dispatch: Dispatch) => unknown) => {
      state.listeners.add(listener)
      return () => void state.listeners.delete(listener)
    },
    workflowDispatches: state.workflowDispatches,
    onWorkflowDispatch: (listener: (dispatch: WorkflowDispatch) => unknown) => {
      state.workflowListeners.add(listener)
      return () => void state.workflowListeners.delete(listener)
    },
    runs: state.runs,
    createRun: (run: NewGitHubRun) => createRun(state, run),
    setRun: (id: number, patch: Partial<GitHubRun>): GitHubRun =>
      Object.assign(findRun(state, id), { updatedAt: seconds(state.now()) }, patch),
    cancellations: state.cancellations,
    /** Makes a run continue after a request to cancel it, as jobs with `if: always()` do. */
    setUnstoppable: (runId: number) => void state.unstoppable.add(runId),
    awaitReview: (runId: number, pending: PendingDeployment[]) => awaitReview(state, runId, pending),
    review: (runId: number, decision: Review) => review(state, runId, decision),
    setJobs: (runId: number, attempt: number, jobs: NewGitHubJob[]) => setJobs(state, runId, attempt, jobs),
    setJobLog: (jobId: number, text: string) => void state.jobLogs.set(jobId, text),
    /** Sets the workflow runs of a concurrency group, the one in progress first. */
    setConcurrencyGroup: (name: string, runIds: number[]) => void state.concurrencyGroups.set(name, runIds),
    setAnnotations: (jobId: number, annotations: CheckAnnotation[]) =>
      void state.annotations.set(jobId, annotations),
    /** Ready-made failures; by default, limits match every request, and `serverError` and `cut` match dispatches. */
    failures: {
      secondaryLimit: (wait: number, when?: When) => {
        const id = requestId()
        const headers = { 'retry-after': String(wait), 'x-github-request-id': id }
        return server.fail({ ...when, status: 403, headers, body: limits.secondary(id) })
      },
      tooMany: (retryAfter: number, when?: When) =>
        server.fail({ ...when, status: 429, headers: { 'retry-after': String(retryAfter) } }),
      serverError: ({ create, status = 500, ...when }: { create: boolean; status?: number } & When) =>
        server.fail({ match: isDispatch, ...when, status, takesEffect: create }),
      cut: ({ create, ...when }: { create: boolean } & When) =>
        server.fail({ match: isDispatch, ...when, cut: create ? 'after' : 'before' }),
    },
    close: async () => {
      for (const timer of state.timers) clearTimeout(timer)
      await server.close()
      leaveKeyPairs(state.keyPairs)
    },
  }
}

const isDispatch = ({ method, path }: ReceivedRequest) => method === 'POST' && path.endsWith('/dispatches')
