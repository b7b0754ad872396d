import { Hono } from 'hono'
import { type ReceivedRequest, startFakeServer } from '../http-server.ts'
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
import type { GitHubApi, GitHubApiOptions } from './types.ts'

export type { Dispatch, GitHubApi, GitHubApp, GitHubRun } from './types.ts'

/**
 * Starts the fake GitHub on a free port. It serves the REST API routes that the relay and the action use, and returns
 * the same errors as GitHub. Validates requests and responses with the schemas of GitHub's OpenAPI description.
 */
export async function startGitHubApi(options: GitHubApiOptions = {}): Promise<GitHubApi> {
  const state = newGitHubState(options)
  const schemas = openRouteSchemas('github')
  const token = addToken(state, { value: options.token })

  const api = new Hono<GitHubEnv>()
  api.use('*', async (c, next) => {
    // GitHub would use a default version. The fake GitHub refuses the request.
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
    const grant = authenticate(state, c.req.header('authorization'))
    if (!(grant instanceof Response)) c.set('grant', grant)
    else if (c.req.header('authorization')) return grant
    const core = rateOf(state, c.var.grant)
    const search = { limit: 30, remaining: 30, reset: core.reset, used: 0 }
    const body = { resources: { core, search }, rate: core }
    schemas.response('GET /rate_limit', 200, body)
    return c.json(body)
  })
  api.use('/repos/*', async (c, next) => {
    const grant = authenticate(state, c.req.header('authorization'))
    if (grant instanceof Response) return grant
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
    url: state.url,
    serverUrl: state.serverUrl,
    token,
    addRepository: (fullName, repository) => addRepository(state, fullName, repository),
    renameRepository: (from, to) => renameRepository(state, from, to),
    createToken: given => addToken(state, given),
    createApp: given => addApp(state, given),
    dispatches: state.dispatches,
    onDispatch: listener => {
      state.listeners.add(listener)
      return () => void state.listeners.delete(listener)
    },
    workflowDispatches: state.workflowDispatches,
    onWorkflowDispatch: listener => {
      state.workflowListeners.add(listener)
      return () => void state.workflowListeners.delete(listener)
    },
    runs: state.runs,
    createRun: run => createRun(state, run),
    setRun: (id, patch) => Object.assign(findRun(state, id), { updatedAt: seconds(state.now()) }, patch),
    cancellations: state.cancellations,
    setUnstoppable: runId => void state.unstoppable.add(runId),
    awaitReview: (runId, pending) => awaitReview(state, runId, pending),
    review: (runId, decision) => review(state, runId, decision),
    setJobs: (runId, attempt, jobs) => setJobs(state, runId, attempt, jobs),
    setJobLog: (jobId, text) => void state.jobLogs.set(jobId, text),
    setConcurrencyGroup: (name, runIds) => void state.concurrencyGroups.set(name, runIds),
    setAnnotations: (jobId, annotations) => void state.annotations.set(jobId, annotations),
    failures: {
      secondaryLimit: (wait, when) => {
        const id = requestId()
        const headers = { 'retry-after': String(wait), 'x-github-request-id': id }
        return server.fail({ ...when, status: 403, headers, body: limits.secondary(id) })
      },
      primaryLimit: (reset, when) => {
        const headers = {
          'x-ratelimit-limit': '5000',
          'x-ratelimit-remaining': '0',
          'x-ratelimit-used': '5000',
          'x-ratelimit-reset': String(reset),
          'x-ratelimit-resource': 'core',
        }
        return server.fail({ ...when, status: 403, headers, body: limits.primary() })
      },
      tooMany: (retryAfter, when) =>
        server.fail({ ...when, status: 429, headers: { 'retry-after': String(retryAfter) } }),
      serverError: ({ create, status = 500, ...when }) =>
        server.fail({ match: isDispatch, ...when, status, takesEffect: create }),
      cut: ({ create, ...when }) =>
        server.fail({ match: isDispatch, ...when, cut: create ? 'after' : 'before' }),
      down: () => server.stop(),
    },
    close: async () => {
      for (const timer of state.timers) clearTimeout(timer)
      await server.close()
      leaveKeyPairs(state.keyPairs)
    },
  }
}

const isDispatch = ({ method, path }: ReceivedRequest) => method === 'POST' && path.endsWith('/dispatches')
