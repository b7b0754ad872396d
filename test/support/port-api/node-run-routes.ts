import { Hono } from 'hono'
import type { StandInEnv } from '../http-server.ts'
import type { RouteSchemas } from '../route-schemas.ts'
import { refuse } from './errors.ts'
import { type PortState, randomId } from './state.ts'
import type { PortNodeRun } from './types.ts'

const NODE_RUN = '/v1/workflows/nodes/runs/{node_run_identifier}'

/** Node runs of Port workflows: change, log. */
export function nodeRunRoutes(state: PortState, schemas: RouteSchemas): Hono<StandInEnv> {
  const app = new Hono<StandInEnv>()

  app.patch('/:id', c => {
    const { body } = c.var.request
    const invalid = c.var.malformed || schemas.request(`PATCH ${NODE_RUN}`, body).length > 0
    if (invalid || !isNodeRunId(c.req.param('id'))) return refuse('invalidRequest')
    const run = state.nodeRuns.get(c.req.param('id'))
    if (!run) return refuse('nodeRunNotFound')
    if (run.endedAt) return refuse('runExhausted')
    const patch = body as Partial<PortNodeRun>
    // `output` has the default {}: a call that leaves it out empties it.
    Object.assign(run, patch, { output: patch.output ?? {} })
    if (run.status === 'COMPLETED') run.endedAt = new Date().toISOString()
    return Response.json({ ok: true })
  })

  app.post('/:id/logs', c => {
    const { body } = c.var.request
    const invalid = c.var.malformed || schemas.request(`POST ${NODE_RUN}/logs`, body).length > 0
    if (invalid || !isNodeRunId(c.req.param('id'))) return refuse('invalidRequest')
    const run = state.nodeRuns.get(c.req.param('id'))
    if (!run) return refuse('nodeRunNotFound')
    if (run.endedAt) return refuse('runExhausted')
    const { logs } = body as { logs: Pick<PortNodeRun['logs'][number], 'level' | 'message'>[] }
    run.logs.push(...logs.map(log => ({ ...log, id: `log_${randomId()}`, at: Date.now() })))
    return Response.json({ ok: true }, { status: 201 })
  })
  return app
}

const isNodeRunId = (id: string) => /^wfnr_[A-Za-z0-9_]+$/.test(id)
