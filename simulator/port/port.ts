import { Hono } from 'hono'
import { type FakeServerEnv, startFakeServer } from '../http-server.ts'
import { openRouteSchemas } from '../route-schemas.ts'
import { definitionRoutes } from './definition-routes.ts'
import { entityRoutes } from './entity-routes.ts'
import { type PortPage, pageRoutes } from './page.ts'
import { nodeRunRoutes, runRoutes, workflowRunRoutes } from './run-routes.ts'
import {
  currentToken,
  failureResponse,
  type NewPortRun,
  newPortState,
  newRun,
  type PortApiOptions,
  type PortNodeRun,
  randomId,
  refuse,
  updateRun,
} from './state.ts'

export type { PortRun } from './state.ts'

export type PortApi = Awaited<ReturnType<typeof startPortApi>>

const MAX_BODY = 1024 * 1024

/**
 * Starts the fake Port on a free port. It serves the Port API routes for reports and definitions, returns the same errors as
 * Port, and validates bodies with Port's OpenAPI schemas. Its methods read and set the state, and inject failures.
 */
export async function startPortApi(options: PortApiOptions = {}) {
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
  app.route('/v1/actions', definitionRoutes('action', state, schemas))
  app.route('/v1/workflows', definitionRoutes('workflow', state, schemas))
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
    createRun: (run: NewPortRun = {}) => {
      const created = newRun(run)
      state.runs.set(created.id, created)
      return created
    },
    createNodeRun: (run: Partial<Pick<PortNodeRun, 'id' | 'workflowRunId'>> = {}) => {
      const { id = `wfnr_${randomId()}`, workflowRunId = `wfr_${randomId()}` } = run
      const created: PortNodeRun = {
        ...{ id, workflowRunId, status: 'IN_PROGRESS', output: {}, links: [], logs: [] },
        createdAt: new Date().toISOString(),
      }
      state.nodeRuns.set(id, created)
      return created
    },
    /** Returns the run's live state. Throws an error if the id is unknown. */
    run: (id: string) => known(state.runs, id),
    nodeRun: (id: string) => known(state.nodeRuns, id),
    /** Finishes a run, as a user does in Port. Without `statusLabel`, keeps the label. */
    endRun: (id: string, status: 'SUCCESS' | 'FAILURE', statusLabel?: string) =>
      updateRun(known(state.runs, id), { status, ...(statusLabel && { statusLabel }) }),
    definitions: state.definitions,
    settings: state.settings,
    entities: state.entities,
    /** From now on, `/` shows buttons and runs to a browser. */
    openPage: (opened: PortPage) => {
      page = opened
    },
    /** Declares a blueprint. After the first call, all undeclared blueprints are unknown. */
    declareBlueprint: (identifier: string, properties: Record<string, unknown> = {}) =>
      void state.blueprints.set(identifier, properties),
    /** Revokes every token issued so far: 401. */
    expireTokens: () => {
      state.token = undefined
    },
  }
}
