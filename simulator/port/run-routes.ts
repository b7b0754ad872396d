import { Hono } from 'hono'
import type { FakeServerEnv } from '../http-server.ts'
import type { RouteSchemas } from '../route-schemas.ts'
import {
  type PortLog,
  type PortNodeRun,
  type PortRun,
  type PortState,
  randomId,
  refuse,
  shownRun,
  shownWorkflowRun,
  updateRun,
} from './state.ts'

const RUN = '/v1/actions/runs/{run_id}'
type Ending = 'SUCCESS' | 'FAILURE'

/** The routes that read and update action runs, and add log lines to them. */
export function runRoutes(state: PortState, schemas: RouteSchemas): Hono<FakeServerEnv> {
  const app = new Hono<FakeServerEnv>()
  // Port's description of `externalRunId` says that Port accepts this ID instead of the run's ID.
  const find = (id: string): PortRun | undefined =>
    state.runs.get(id) ?? [...state.runs.values()].find(run => run.externalRunId === id)
  const response = (route: string, status: 200 | 201, body: unknown) => {
    schemas.response(route, status, body)
    return Response.json(body, { status })
  }

  app.get('/:id', c => {
    if (schemas.query(`GET ${RUN}`, c.req.query()).length > 0) return refuse('invalidRequest')
    const run = find(c.req.param('id'))
    if (!run) return refuse('runNotFound')
    return runOfResponse('GET', run, c.req.query('version'))
  })

  app.patch('/:id', c => {
    const body = c.var.request.body
    if (schemas.query(`PATCH ${RUN}`, c.req.query()).length > 0) return refuse('invalidRequest')
    if (c.var.malformed || schemas.request(`PATCH ${RUN}`, body).length > 0) return refuse('invalidRequest')
    const run = find(c.req.param('id'))
    if (!run) return refuse('runNotFound')
    const { message, ...patch } = body as Partial<PortRun> & { message?: unknown }
    if (run.finishedAt) return refuse('runExhausted')
    if (run.synchronized && patch.status) return refuse('runSynchronized')
    updateRun(run, patch)
    return runOfResponse('PATCH', run, c.req.query('version'))
  })

  app.get('/:id/logs', c => {
    if (schemas.query(`GET ${RUN}/logs`, c.req.query()).length > 0) return refuse('invalidRequest')
    const run = find(c.req.param('id'))
    if (!run) return refuse('runNotFound')
    const offset = Number(c.req.query('offset') ?? 0)
    const page = run.logs.slice(offset, offset + Number(c.req.query('limit') ?? 50))
    return response(`GET ${RUN}/logs`, 200, { ok: true, runLogs: page.map(log => shownLog(run, log)) })
  })

  app.post('/:id/logs', c => {
    const { body } = c.var.request
    if (c.var.malformed || schemas.request(`POST ${RUN}/logs`, body).length > 0)
      return refuse('invalidRequest')
    const run = find(c.req.param('id'))
    if (!run) return refuse('runNotFound')
    if (run.finishedAt) return refuse('runExhausted')
    const { message, statusLabel, terminationStatus } = body as {
      message: string
      statusLabel?: string
      terminationStatus?: Ending
    }
    if (run.synchronized && terminationStatus) return refuse('runSynchronized')
    const log = { id: `runLog_${randomId()}`, message, at: Date.now() }
    run.logs.push(log)
    updateRun(run, {
      ...(statusLabel === undefined ? {} : { statusLabel }),
      ...(terminationStatus === undefined ? {} : { status: terminationStatus }),
    })
    return response(`POST ${RUN}/logs`, 201, { ok: true, runLog: shownLog(run, log) })
  })

  const runOfResponse = (method: string, run: PortRun, version: string | undefined) => {
    // As in JSON, undefined fields must be absent when the schema is validated.
    const body = JSON.parse(JSON.stringify({ ok: true, run: shownRun(run, version, state) }))
    // `payload.body` isn't validated, because Port sends the body from the author's template, which differs from Port's description.
    if (version === 'v2')
      schemas.response(`${method} ${RUN}`, 200, { ...body, run: { ...body.run, payload: null } })
    return Response.json(body)
  }
  const shownLog = (run: PortRun, log: PortLog) => ({
    id: log.id,
    runId: run.id,
    message: log.message,
    createdBy: `${state.clientId}@clients`,
    createdAt: new Date(log.at).toISOString(),
  })
  return app
}

const WORKFLOW_RUN = '/v1/workflows/runs/{identifier}'
const NODE_RUN = '/v1/workflows/nodes/runs/{node_run_identifier}'

/** The route that reads the run of a Port workflow with its node runs. */
export function workflowRunRoutes(state: PortState, schemas: RouteSchemas): Hono<FakeServerEnv> {
  return new Hono<FakeServerEnv>().get('/:id', c => {
    const id = c.req.param('id')
    const nodes = [...state.nodeRuns.values()].filter(({ workflowRunId }) => workflowRunId === id)
    if (nodes.length === 0) return refuse('workflowRunNotFound')
    const body = { ok: true, workflowRun: shownWorkflowRun(id, nodes, state) }
    schemas.response(`GET ${WORKFLOW_RUN}`, 200, body)
    return Response.json(body)
  })
}

/** The routes that update node runs of Port workflows, and add log lines to them. */
export function nodeRunRoutes(state: PortState, schemas: RouteSchemas): Hono<FakeServerEnv> {
  const app = new Hono<FakeServerEnv>()

  app.patch('/:id', c => {
    const { body } = c.var.request
    const invalid = c.var.malformed || schemas.request(`PATCH ${NODE_RUN}`, body).length > 0
    if (invalid || !isNodeRunId(c.req.param('id'))) return refuse('invalidRequest')
    const run = state.nodeRuns.get(c.req.param('id'))
    if (!run) return refuse('nodeRunNotFound')
    if (run.finishedAt) return refuse('runExhausted')
    const patch = body as Partial<PortNodeRun>
    // A call without `output` clears the output, because `output` has the default {}.
    Object.assign(run, patch, { output: patch.output ?? {} })
    if (run.status === 'COMPLETED') run.finishedAt = new Date().toISOString()
    return Response.json({ ok: true })
  })

  app.post('/:id/logs', c => {
    const { body } = c.var.request
    const invalid = c.var.malformed || schemas.request(`POST ${NODE_RUN}/logs`, body).length > 0
    if (invalid || !isNodeRunId(c.req.param('id'))) return refuse('invalidRequest')
    const run = state.nodeRuns.get(c.req.param('id'))
    if (!run) return refuse('nodeRunNotFound')
    if (run.finishedAt) return refuse('runExhausted')
    const { logs } = body as { logs: Pick<PortNodeRun['logs'][number], 'level' | 'message'>[] }
    run.logs.push(...logs.map(log => ({ ...log, id: `log_${randomId()}`, at: Date.now() })))
    return Response.json({ ok: true }, { status: 201 })
  })
  return app
}

const isNodeRunId = (id: string) => /^wfnr_[A-Za-z0-9_]+$/.test(id)
