import { Hono } from 'hono'
import type { JsonObject } from '../../port/types.ts'
import type { FakeServerEnv } from '../http-server.ts'
import type { RouteSchemas } from '../route-schemas.ts'
import { type DefinitionKind, type PortState, randomId, refuse } from './state.ts'

/** Reads, creates, and replaces the definitions of actions or workflows. Port describes the same body for POST and PUT. */
export function definitionRoutes(
  kind: DefinitionKind,
  state: PortState,
  schemas: RouteSchemas,
): Hono<FakeServerEnv> {
  const app = new Hono<FakeServerEnv>()
  const definitions = state.definitions[kind]
  const show = (shown: JsonObject, status = 200) => Response.json({ ok: true, [kind]: shown }, { status })

  /** Returns the field that Port refuses, and why. */
  function problemOf(body: unknown): string | undefined {
    const errors = schemas.request(`POST /v1/${kind}s`, body)
    // A node must match one of many schemas. The error about the intended schema is the one that is deepest in the body.
    const [deepest] = errors.toSorted((a, b) => depth(b.instancePath) - depth(a.instancePath))
    if (deepest) return `${deepest.instancePath || 'body'} ${deepest.message}`
    if (kind === 'action') return undefined
    const { nodes = [], connections = [] } = body as Record<string, JsonObject[]>
    const known = nodes.map(({ identifier }) => identifier)
    const index = connections.findIndex(({ sourceIdentifier, targetIdentifier }) =>
      [sourceIdentifier, targetIdentifier].some(end => !known.includes(end!)),
    )
    return index < 0 ? undefined : `/connections/${index} must name nodes of the workflow`
  }

  app.get('/', () => Response.json({ ok: true, [`${kind}s`]: [...definitions.values()] }))

  app.get('/:id', c => {
    const found = definitions.get(c.req.param('id'))
    return found ? show(found) : refuse('resourceNotFound')
  })

  app.post('/', c => {
    const { body } = c.var.request
    const problem = c.var.malformed ? 'body must be JSON' : problemOf(body)
    if (problem) return refuse('invalidRequest', problem)
    const { identifier } = body as { identifier: string }
    if (definitions.has(identifier)) return refuse('identifierTaken')
    definitions.set(identifier, withMetadata(kind, body as JsonObject, 1))
    return show(definitions.get(identifier)!, 201)
  })

  app.put('/:id', c => {
    const { body } = c.var.request
    const id = c.req.param('id')
    const known = definitions.get(id)
    if (!known) return refuse('resourceNotFound')
    const problem = c.var.malformed ? 'body must be JSON' : problemOf(body)
    if (problem) return refuse('invalidRequest', problem)
    definitions.set(id, withMetadata(kind, body as JsonObject, Number(known.version ?? 0) + 1))
    return show(definitions.get(id)!)
  })
  return app
}

const depth = (path: string) => path.split('/').length

/** Adds the fields that Port returns, but doesn't accept in a request. */
function withMetadata(kind: DefinitionKind, definition: JsonObject, version: number): JsonObject {
  const at = new Date().toISOString()
  const by = { createdAt: at, createdBy: 'auth0|1', updatedAt: at, updatedBy: 'auth0|1' }
  if (kind === 'action') return { id: `action_${randomId()}`, description: null, ...definition, ...by }
  const nodes = (definition.nodes as JsonObject[]).map(node => ({ variables: {}, ...node }))
  return { orgId: 'org_1', version, category: null, ...definition, nodes, ...by }
}
