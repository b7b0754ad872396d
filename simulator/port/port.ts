import { Hono } from 'hono'
import { type FakeServerEnv, startFakeServer } from '../http-server.ts'
import { openRouteSchemas } from '../route-schemas.ts'
import { definitionRoutes } from './definition-routes.ts'
import { entityRoutes, searchRoutes } from './entity-routes.ts'
import { type PortPage, pageRoutes } from './page.ts'
import { newRunRoutes, nodeRunRoutes, runRoutes, workflowRunRoutes } from './run-routes.ts'
import {
  currentToken,
  failureResponse,
  newPortState,
  newRun,
  type PortApi,
  type PortApiOptions,
  type PortNodeRun,
  randomId,
  refuse,
  updateRun,
} from './state.ts'

export type { PortApi, PortRun } from './state.ts'

/** Once `openPage` is called, `/` shows buttons and runs to a browser. */
export type PortWithPage = PortApi & { openPage(page: PortPage): void }

const MAX_BODY = 1024 * 1024

/**
 * Starts the fake Port on a free port. It serves the Port API routes for reports and definitions, returns the same errors as
 * Port, and validates bodies with Port's OpenAPI schemas. Its methods read and set the state, and inject failures.
 */
export async function startPortApi(options: PortApiOptions = {}): Promise<PortWithPage> {
  const state = newPortState(options)
  const schemas = openRouteSchemas('port')
  const app = new Hono<FakeServerEnv>()
  let page: PortPage | null = null
  app.route(
    '/',
    pageRoutes(state, () => page),
  )

  app.use('*', async (c, next) => {
    if (c.var.bytes > MAX_BODY) return refuse('bodyTooLarge')
    if (c.req.path !== '/v1/auth/access_token') {
      const token = /^Bearer (.+)$/i.exec(c.req.header('authorization') ?? '')?.[1]
      const valid =
        state.token !== undefined && token === state.token.value && state.token.expiresAt > Date.now()
      if (!valid) return refuse('unauthorized')
    }
    return next()
  })
  app.post('/v1/auth/access_token', c => {
    const { body } = c.var.request
    const invalid = c.var.malformed || schemas.request('POST /v1/auth/access_token', body).length > 0
    if (invalid) return refuse('invalidRequest')
    const { clientId, clientSecret } = body as { clientId: string; clientSecret: string }
    if (clientId !== state.clientId || clientSecret !== state.clientSecret) return refuse('unauthorized')
    const { value, expiresAt } = currentToken(state)
    const expiresIn = Math.ceil((expiresAt - Date.now()) / 1000)
    return c.json({ ok: true, accessToken: value, expiresIn, tokenType: 'Bearer' })
  })
  app.get('/v1/organization', c =>
    c.json({ ok: true, organization: { id: 'org_1', name: 'Acme', settings: state.settings } }),
  )
  app.route('/v1/actions/runs', runRoutes(state, schemas))
  app.route('/v1/actions', newRunRoutes(state))
  app.route('/v1/actions', definitionRoutes('action', state, schemas))
  app.route('/v1/workflows', definitionRoutes('workflow', state, schemas))
  app.route('/v1/entities', searchRoutes(state))
  app.route('/v1/workflows/nodes/runs', nodeRunRoutes(state, schemas))
  app.route('/v1/workflows/runs', workflowRunRoutes(state, schemas))
  app.route('/v1/blueprints', entityRoutes(state, schemas))
  app.all('*', () => refuse('routeNotFound'))

  const server = await startFakeServer(app, failureResponse)
  const known = <T>(map: Map<string, T>, id: string): T => {
    const found = map.get(id)
    if (!found) throw new Error(`The fake Port has no run ${id}`)
    return found
  }
  return {
    ...server,
    url: server.origin,
    clientId: state.clientId,
    clientSecret: state.clientSecret,
    get expiresIn() {
      return state.expiresIn
    },
    set expiresIn(seconds: number) {
      state.expiresIn = seconds
    },
    createRun: (run = {}) => {
      const created = newRun(run)
      state.runs.set(created.id, created)
      return created
    },
    createNodeRun: run => {
      const { id = `wfnr_${randomId()}`, workflowRunId = `wfr_${randomId()}` } = run ?? {}
      const created: PortNodeRun = {
        ...{ id, workflowRunId, status: 'IN_PROGRESS', output: {}, links: [], logs: [] },
        createdAt: new Date().toISOString(),
      }
      state.nodeRuns.set(id, created)
      return created
    },
    run: id => known(state.runs, id),
    nodeRun: id => known(state.nodeRuns, id),
    endRun: (id, status, statusLabel) =>
      updateRun(known(state.runs, id), { status, ...(statusLabel && { statusLabel }) }),
    definitions: state.definitions,
    settings: state.settings,
    entities: state.entities,
    openPage: opened => {
      page = opened
    },
    declareBlueprint: (identifier, properties = {}) => {
      state.blueprints ??= new Map()
      state.blueprints.set(identifier, properties)
    },
    expireTokens: () => {
      state.token = undefined
    },
    failures: {
      rateLimit: ({ retryAfter, reset, times }) =>
        server.fail({
          status: 429,
          times,
          headers: {
            ...(retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) }),
            ...(reset === undefined ? {} : { 'x-ratelimit-reset': String(reset) }),
          },
        }),
      down: () => server.stop(),
    },
  }
}
