/**
 * Extracts the schemas of the fake GitHub's and the fake Port's routes from an OpenAPI description, without prose.
 *
 *     npm install --prefix /tmp/openapi @octokit/openapi@23
 *     npx node scripts/cut-schemas.ts github /tmp/openapi/node_modules/@octokit/openapi/generated/api.github.com.json
 *     git clone https://github.com/port-labs/port-docs /tmp/port-docs
 *     npx node scripts/cut-schemas.ts port /tmp/port-docs/static/apispec.yaml
 *     npx biome format --write simulator/schemas
 *
 * Port's description of workflows was on the branch task_t9fcqu/add_workflow_api_paths in January 2026.
 *
 * Writes simulator/schemas/{github,port}.json: `{ routes: { "POST /path": { request, query, responses } },
 * components: { schemas } }`, in JSON Schema that ajv accepts.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { parse } from 'yaml'

type Json = Record<string, unknown>
type Operation = { requestBody?: Json; parameters?: Json[]; responses?: Record<string, Json> }
type OpenApi = { paths: Record<string, Record<string, Operation>>; components?: Record<string, Json> }

const ROUTES: Record<string, string[]> = {
  github: [
    'GET /repos/{owner}/{repo}',
    'POST /repos/{owner}/{repo}/dispatches',
    'GET /repos/{owner}/{repo}/actions/runs',
    'GET /repos/{owner}/{repo}/actions/runs/{run_id}',
    'GET /repos/{owner}/{repo}/actions/runs/{run_id}/attempts/{attempt_number}/jobs',
    'GET /repos/{owner}/{repo}/actions/jobs/{job_id}/logs',
    'GET /repos/{owner}/{repo}/actions/workflows',
    'POST /repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches',
    'POST /repos/{owner}/{repo}/actions/runs/{run_id}/cancel',
    'POST /repos/{owner}/{repo}/actions/runs/{run_id}/force-cancel',
    'POST /repos/{owner}/{repo}/actions/runs/{run_id}/rerun-failed-jobs',
    'GET /repos/{owner}/{repo}/actions/runs/{run_id}/pending_deployments',
    'GET /repos/{owner}/{repo}/actions/runs/{run_id}/approvals',
    'GET /repos/{owner}/{repo}/installation',
    'POST /app/installations/{installation_id}/access_tokens',
    'GET /app',
    'GET /rate_limit',
  ],
  port: [
    'POST /v1/auth/access_token',
    'GET /v1/actions/runs/{run_id}',
    'PATCH /v1/actions/runs/{run_id}',
    'GET /v1/actions/runs/{run_id}/logs',
    'POST /v1/actions/runs/{run_id}/logs',
    'POST /v1/blueprints/{blueprint_identifier}/entities',
    'PATCH /v1/workflows/nodes/runs/{node_run_identifier}',
    'POST /v1/workflows/nodes/runs/{node_run_identifier}/logs',
    'GET /v1/workflows/runs/{identifier}',
  ],
}

// Port's description of node runs is about an unreleased version. Port's own agent and executor send these bodies:
// https://github.com/port-labs/ocean/pull/3918
const NODE_RUN_PATCH = {
  type: 'object',
  properties: {
    status: { type: 'string', enum: ['IN_PROGRESS', 'COMPLETED'] },
    result: { type: 'string', enum: ['SUCCESS', 'FAILED', 'CANCELLED'] },
    output: { type: 'object' },
    links: { type: 'array', items: { type: 'string' } },
    externalRunId: { type: 'string' },
    statusLabel: { type: 'string' },
  },
  additionalProperties: false,
}
const NODE_RUN_LOGS = {
  type: 'object',
  properties: {
    logs: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          level: { type: 'string', enum: ['DEBUG', 'INFO', 'WARN', 'ERROR'] },
          message: { type: 'string' },
        },
        required: ['level', 'message'],
        additionalProperties: false,
      },
    },
  },
  required: ['logs'],
  additionalProperties: false,
}
const CORRECTIONS: Record<string, Json> = {
  'PATCH /v1/workflows/nodes/runs/{node_run_identifier}': { request: NODE_RUN_PATCH },
  'POST /v1/workflows/nodes/runs/{node_run_identifier}/logs': { request: NODE_RUN_LOGS },
}

const object = (properties: Json, required: string[]) => ({
  type: 'object',
  required,
  properties,
  additionalProperties: false,
})
const string = { type: 'string' }

// The description is too old to include approvals. Port's pages about workflow nodes document them:
// https://docs.port.io/workflows/build-workflows/nodes/input/
const BUTTON = object(
  { identifier: string, label: string, variant: { enum: ['PRIMARY', 'SECONDARY', 'DANGER'] } },
  ['identifier', 'label'],
)
const OUTLET = object(
  {
    evaluationMethod: { enum: ['button'] },
    identifier: string,
    title: string,
    numOfResponders: { type: 'integer', minimum: 1 },
  },
  ['evaluationMethod', 'identifier', 'numOfResponders'],
)
const INPUT_NODE = object(
  {
    type: { enum: ['INPUT'] },
    description: string,
    userInputs: object(
      { properties: { type: 'object' }, buttons: { type: 'array', items: BUTTON, minItems: 1 } },
      ['properties', 'buttons'],
    ),
    outlets: { type: 'array', items: OUTLET, minItems: 1 },
    responders: { type: 'object' },
    notifications: { type: 'array' },
  },
  ['type', 'userInputs', 'outlets'],
)
const CONNECTION = object(
  {
    sourceIdentifier: string,
    targetIdentifier: string,
    description: string,
    sourceOutletIdentifier: string,
    fallback: { type: 'boolean' },
  },
  ['sourceIdentifier', 'targetIdentifier'],
)

/** Adds the status of a workflow that a user is canceling: https://docs.port.io/workflows/runs/ */
function correctWorkflowRun({ responses }: Json): void {
  const { 200: response } = responses as { 200: { properties: { workflowRun: Json } } }
  const { status } = response.properties.workflowRun.properties as { status: { enum: string[] } }
  status.enum.push('CANCELLING')
}

type Node = { anyOf: Json[] }
type Trigger = { properties: { userInputs: Json } }

/**
 * Corrects the request for a Port workflow. Uses the keys, nodes, and connections of the released version, and the form
 * of an action, because the form in the description lacks expressions.
 * https://docs.port.io/workflows/build-workflows/self-service-trigger/advanced-input-configurations/
 */
function correctWorkflow(workflow: Json, action: Json): void {
  const properties = workflow.properties as {
    nodes: { items: { properties: { config: Node } } }
    connections: Json
    category: Json
  }
  const { nodes, connections } = properties
  properties.category = string
  workflow.additionalProperties = false
  const { trigger } = action.properties as { trigger: { oneOf: [Trigger] } }
  const { config } = nodes.items.properties
  const [form] = (config.anyOf[0] as Node).anyOf as [Trigger]
  form.properties.userInputs = trigger.oneOf[0].properties.userInputs
  config.anyOf.push(INPUT_NODE)
  connections.items = CONNECTION
}

/** Routes that define actions and workflows. Their responses aren't extracted, because Port doesn't describe the responses for actions. */
const DEFINITIONS: Record<string, string[]> = {
  github: [],
  port: ['POST /v1/actions', 'POST /v1/workflows'],
}
/** Routes that aren't extracted, because their requests have the same schema as those of another route. */
const SAME: Record<string, string> = {
  'PUT /v1/actions/{action_identifier}': 'POST /v1/actions',
  'PUT /v1/workflows/{workflow_identifier}': 'POST /v1/workflows',
}

const COPIED = [
  ...['enum', 'const', 'type', 'format', 'pattern', 'required', 'dependencies', 'uniqueItems'],
  ...[
    'minimum',
    'maximum',
    'minLength',
    'maxLength',
    'minItems',
    'maxItems',
    'minProperties',
    'maxProperties',
  ],
]

/** Converts an OpenAPI 3.0 schema to JSON Schema. Drops prose, makes `nullable` a type, adds references to `seen`. */
function cutSchema(schema: unknown, known: Json, seen: Set<string>): unknown {
  if (typeof schema !== 'object' || schema === null) return schema
  const source = schema as Json
  const cut = (value: unknown) => cutSchema(value, known, seen)
  if (typeof source.$ref === 'string') {
    const name = source.$ref.split('/').at(-1) as string
    // Port's description may lack the schemas of search queries. Such queries are always objects.
    if (!(name in known)) return { type: 'object' }
    seen.add(name)
    return { $ref: `#/components/schemas/${name}` }
  }
  const result: Json = {}
  for (const key of COPIED) if (key in source) result[key] = source[key]
  if (source.properties) {
    result.properties = Object.fromEntries(
      Object.entries(source.properties).map(([name, value]) => [name, cut(value)]),
    )
  }
  for (const key of ['items', 'additionalProperties', 'propertyNames', 'not'])
    if (key in source) result[key] = cut(source[key])
  for (const key of ['oneOf', 'anyOf', 'allOf']) {
    if (Array.isArray(source[key])) result[key] = source[key].map(cut)
  }
  return source.nullable === true ? { anyOf: [{ type: 'null' }, result] } : result
}

function cutRoute(operation: Operation, api: OpenApi, seen: Set<string>): Json {
  const known = (api.components?.schemas ?? {}) as Json
  const resolve = (value: Json): Json => {
    if (typeof value.$ref !== 'string') return value
    const [, , kind, name] = value.$ref.split('/') as [string, string, string, string]
    return (api.components?.[kind]?.[name] ?? {}) as Json
  }
  const bodyOf = (value: Json | undefined) => {
    const content = value && (resolve(value).content as Record<string, Json> | undefined)
    return content?.['application/json']?.schema
  }
  const route: Json = {}
  const request = bodyOf(operation.requestBody)
  if (request) route.request = cutSchema(request, known, seen)
  const query = (operation.parameters ?? []).map(resolve).filter(parameter => parameter.in === 'query')
  if (query.length > 0) {
    route.query = {
      type: 'object',
      properties: Object.fromEntries(query.map(({ name, schema }) => [name, cutSchema(schema, known, seen)])),
    }
  }
  route.responses = Object.fromEntries(
    Object.entries(operation.responses ?? {}).map(([status, response]) => [
      status,
      cutSchema(bodyOf(response) ?? {}, known, seen),
    ]),
  )
  return route
}

const [name = '', source = ''] = process.argv.slice(2)
const [wanted, definitions = []] = [ROUTES[name], DEFINITIONS[name]]
if (!wanted || !source) {
  console.error('Usage: node scripts/cut-schemas.ts github|port OPENAPI_FILE')
  process.exit(1)
}
const api = parse(readFileSync(source, 'utf8')) as OpenApi
const seen = new Set<string>()
const routes: Json = {}
for (const route of [...wanted, ...definitions]) {
  const [method = '', path = ''] = route.split(' ')
  const operation = api.paths[path]?.[method.toLowerCase()]
  if (!operation && !CORRECTIONS[route]) throw new Error(`${source} does not describe ${route}`)
  const described = definitions.includes(route) ? { requestBody: operation?.requestBody } : operation
  const cut: Json = { ...(described && cutRoute(described, api, seen)), ...CORRECTIONS[route] }
  if (route === 'POST /v1/workflows')
    correctWorkflow(cut.request as Json, (routes['POST /v1/actions'] as Json).request as Json)
  if (route === 'GET /v1/workflows/runs/{identifier}') correctWorkflowRun(cut)
  routes[route] = cut
}
const bodyOf = (route: string) => {
  const [method = '', path = ''] = route.split(' ')
  return api.paths[path]?.[method.toLowerCase()]?.requestBody
}
for (const [route, same] of name === 'port' ? Object.entries(SAME) : [])
  if (!isDeepStrictEqual(bodyOf(route), bodyOf(same))) throw new Error(`${route} is no longer as ${same}`)
const known = (api.components?.schemas ?? {}) as Json
const schemas: Json = {}
// Cutting a schema adds its references to the Set, so the loop also visits these references.
for (const reference of seen) schemas[reference] = cutSchema(known[reference], known, seen)
const target = new URL(`../simulator/schemas/${name}.json`, import.meta.url)
const text = JSON.stringify({ routes, components: { schemas } })
writeFileSync(target, text)
console.log(
  `${target.pathname}: ${Object.keys(routes).length} routes, ${seen.size} schemas, ${Math.round(text.length / 1024)} KB`,
)
