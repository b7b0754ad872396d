import { Ajv } from 'ajv'
import { Hono } from 'hono'
import type { FakeServerEnv } from '../http-server.ts'
import type { RouteSchemas } from '../route-schemas.ts'
import { type PortEntity, type PortState, randomId, refuse } from './state.ts'

const ENTITIES = 'POST /v1/blueprints/{blueprint_identifier}/entities'
type Given = Partial<PortEntity>

/** Entity routes: create, replace (`upsert`), merge (`upsert` and `merge`), link to a run (`run_id`), read, delete. */
export function entityRoutes(state: PortState, schemas: RouteSchemas): Hono<FakeServerEnv> {
  const app = new Hono<FakeServerEnv>()
  const ajv = new Ajv({ strict: false, validateFormats: false })

  app.post('/:blueprint/entities', c => {
    const { body } = c.var.request
    const query = c.req.query()
    const blueprint = c.req.param('blueprint')
    const invalid = c.var.malformed || schemas.request(ENTITIES, body).length > 0
    if (invalid || schemas.query(ENTITIES, query).length > 0) return refuse('invalidRequest')
    if (state.blueprints.size > 0 && !state.blueprints.has(blueprint)) return refuse('resourceNotFound')

    const runId = query.run_id
    if (runId !== undefined) {
      const run = state.runs.get(runId)
      if (!run) return refuse('runNotFound')
      if (run.finishedAt) return refuse('entityRunExhausted')
    }
    const given = body as Given
    const index = state.entities.findIndex(
      entity => entity.blueprint === blueprint && entity.identifier === given.identifier,
    )
    const existing = state.entities[index]
    if (existing && query.upsert !== 'true') return refuse('identifierTaken')
    const entity = merged(blueprint, given, existing, query.merge === 'true')
    const schema = state.blueprints.get(blueprint)
    if (schema && !ajv.validate(schema, entity.properties)) {
      return refuse('schemaMismatch', ajv.errorsText(ajv.errors, { dataVar: 'properties' }))
    }
    if (runId !== undefined) entity.runId = runId
    if (existing) state.entities[index] = entity
    else state.entities.push(entity)
    const { blueprint: _, runId: __, createdAt, updatedAt, ...shown } = entity
    const response = JSON.parse(JSON.stringify({ ok: true, entity: shown }))
    schemas.response(ENTITIES, 201, response)
    return Response.json(response, { status: 201 })
  })

  const indexOf = (blueprint: string, identifier: string) =>
    state.entities.findIndex(each => each.blueprint === blueprint && each.identifier === identifier)

  app.get('/:blueprint/entities/:identifier', c => {
    const { blueprint, identifier } = c.req.param()
    const entity = state.entities[indexOf(blueprint, identifier)]
    return entity ? c.json({ ok: true, entity }) : refuse('entityNotFound')
  })

  app.delete('/:blueprint/entities/:identifier', c => {
    const { blueprint, identifier } = c.req.param()
    const index = indexOf(blueprint, identifier)
    if (index < 0) return refuse('entityNotFound')
    const requiredBy = state.entities.some(({ relations }) =>
      Object.values(relations).some(target => [target].flat().includes(identifier)),
    )
    if (requiredBy && c.req.query('delete_dependents') !== 'true') return refuse('hasDependents')
    state.entities.splice(index, 1)
    return c.json({ ok: true })
  })
  return app
}

function merged(
  blueprint: string,
  given: Given,
  existing: PortEntity | undefined,
  merge: boolean,
): PortEntity {
  const now = new Date().toISOString()
  const base = merge ? existing : undefined
  return {
    blueprint,
    identifier: given.identifier ?? `e_${randomId()}`,
    title: given.title ?? base?.title,
    icon: given.icon ?? base?.icon,
    team: given.team ?? base?.team,
    properties: { ...base?.properties, ...given.properties },
    relations: { ...base?.relations, ...given.relations },
    runId: existing?.runId,
    createdAt: existing?.createdAt ?? now,
    updatedAt: now,
  }
}
