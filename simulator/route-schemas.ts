import { Ajv, type ErrorObject } from 'ajv'
import addFormats from 'ajv-formats'
import github from './schemas/github.json' with { type: 'json' }
import port from './schemas/port.json' with { type: 'json' }

export type RouteSchemas = {
  /** Returns the mistakes in a request's body. */
  request(route: string, body: unknown): ErrorObject[]
  /** Returns the mistakes in a request's query, after its texts are converted to the schema's types. */
  query(route: string, query: Record<string, string>): ErrorObject[]
  /** Throws if the fake server's response violates the real service's schema. */
  response(route: string, status: number, body: unknown): void
  /** Returns the schema of a named component. */
  component(name: string): Record<string, unknown>
}

type Cut = {
  routes: Record<string, Record<string, unknown>>
  components: { schemas: Record<string, Record<string, unknown>> }
}

const CUTS = { github, port } as unknown as Record<'github' | 'port', Cut>
const opened = new Map<string, RouteSchemas>()

/** Opens simulator/schemas/`name`.json, from scripts/cut-schemas.ts. Compiles each validator on first use. */
export function openRouteSchemas(name: 'github' | 'port'): RouteSchemas {
  const known = opened.get(name)
  if (known) return known
  const file = `simulator/schemas/${name}.json`
  const cut = CUTS[name]
  // Compiling takes longer than validating, so don't optimize the validators. `cut` isn't itself a schema.
  const options = {
    strict: false,
    validateSchema: false,
    allErrors: true,
    verbose: true,
    inlineRefs: false,
    code: { optimize: false },
  }
  const bodies = addFormats.default(new Ajv(options)).addSchema(cut, name)
  const queries = addFormats.default(new Ajv({ ...options, coerceTypes: true })).addSchema(cut, name)

  const check = (ajv: Ajv, route: string, part: string[], value: unknown): ErrorObject[] => {
    const pointer = ['routes', route, ...part].map(key =>
      encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1')),
    )
    const validate = ajv.getSchema(`${name}#/${pointer.join('/')}`)
    if (!validate) throw new Error(`${file} has no schema for ${route} ${part.join(' ')}`)
    return validate(value) ? [] : (validate.errors ?? [])
  }
  const schemas: RouteSchemas = {
    request: (route, body) => (cut.routes[route]?.request ? check(bodies, route, ['request'], body) : []),
    query: (route, query) =>
      cut.routes[route]?.query ? check(queries, route, ['query'], structuredClone(query)) : [],
    response: (route, status, body) => {
      const errors = check(bodies, route, ['responses', String(status)], body)
      if (errors.length === 0) return
      const words = errors.map(error => `${error.instancePath || '(body)'} ${error.message}`).join('; ')
      throw new Error(`A response ${status} to ${route} violates the service's schema: ${words}`)
    },
    component: component => {
      const schema = cut.components.schemas[component]
      if (!schema) throw new Error(`${file} has no schema ${component}`)
      return schema
    },
  }
  opened.set(name, schemas)
  return schemas
}
