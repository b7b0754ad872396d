import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { merge } from '../cli/generate/merge.ts'
import { toPortWorkflow } from '../cli/generate/port-workflow.ts'
import { toAction } from '../cli/generate/to-action.ts'
import type { JsonObject } from '../port/types.ts'

const RELAY = 'https://r.example'
const rows = (table: string) =>
  table
    .trim()
    .split('\n')
    .map(row => row.split(' | ').map(cell => parse(cell)))

/** Generates the action for a workflow with these inputs, or for one that reads `tag` from a `repository_dispatch`. */
function generated(inputs: JsonObject | 'event', repository = 'acme/shop') {
  const isEvent = inputs === 'event'
  const on = isEvent ? { repository_dispatch: { types: ['deploy'] } } : { workflow_dispatch: { inputs } }
  const tag = '${{ github.event.client_payload.port.inputs.tag }}'
  const env = isEvent ? { TAG: tag } : { RUN: '${{ fromJSON(inputs.ctx).runId }}' }
  const jobs = { x: { 'runs-on': 'ubuntu-latest', env, steps: [] } }
  return toAction(JSON.stringify({ on, jobs }), 'deploy.yml', { relay: RELAY, repository })
}

/** Generates an action from a workflow with the inputs `before`, applies `change` to the action, and merges a workflow with the inputs `after` into the action. */
function merged(before: JsonObject | 'event', change: JsonObject, after: JsonObject | 'event') {
  const existing = structuredClone(generated(before).action) as JsonObject
  for (const [path, value] of Object.entries(change)) {
    const keys = path.replace(/^form/, 'trigger.userInputs').replace(/^hook/, 'invocationMethod').split('.')
    const last = keys.pop()!
    const parent = keys.reduce((each, key) => each[key] as JsonObject, existing)
    if (value === null) delete parent[last]
    else parent[last] = value
  }
  const { action, said } = generated(after)
  const result = merge(existing, action, said, { relay: RELAY })
  // A second run changes nothing.
  expect(merge(result.definition, action, said, { relay: RELAY }).differences).toEqual([])
  return result
}

/** Columns: an input in the file, the input in Port, and what the input in Port becomes. */
const INPUTS = `
{ type: string, default: x } | { type: array, items: { type: string } } | same
{ type: string } | { type: object, title: T, default: { a: 1 } } | same
{} | { type: string, format: entity, blueprint: service, dataset: {}, encryption: fernet } | same
{} | { type: string, default: x, enum: [x], visible: { jqQuery: q }, dependsOn: [x] } | same
{ default: y } | { type: string, default: x, icon: I } | { type: string, default: y, icon: I }
{ default: y } | { type: string, default: { jqQuery: q } } | same
{ type: choice, options: [a, b] } | { type: string, enum: { jqQuery: q } } | same
{ type: choice, options: [a, b] } | { type: string, enum: [c] } | { type: string, enum: [a, b] }
{ type: choice, options: [a, b] } | { type: array, title: T, items: {} } | { type: string, title: T, enum: [a, b] }
{ type: number, default: 3 } | { type: number, minimum: 1 } | { type: number, minimum: 1, default: 3 }
{ type: boolean } | { type: string, description: D, format: yaml, enum: { jqQuery: q } } | { type: boolean, title: I, description: D }`

test.each(rows(INPUTS))('the input %j turns %j in Port into %j', (declared, inPort, becomes) => {
  const { definition } = merged({ i: {} }, { 'form.properties.i': inPort }, { i: declared })
  const { userInputs } = definition.trigger as { userInputs: JsonObject }
  expect(userInputs.properties).toEqual({ i: becomes === 'same' ? inPort : becomes })
})

/** Columns: the inputs before, changes in Port, the inputs after, the paths that differ, and the notes. */
const FORMS = `
{ a: {}, b: {} } | { title: Mine, icon: X, requiredApproval: true } | { a: {}, b: {} } | [] | []
{ a: { required: true }, x: {} } | {} | { a: {}, b: { required: true } } | [-form.properties.x, +form.properties.b, ~form.required, ~form.order] | []
{ a: { required: true } } | {} | { a: { required: false } } | [~form.required] | []
{ a: {} } | { form.required: { jqQuery: q } } | { a: { required: true } } | [] | []
{ a: {}, x: {}, y: {} } | { form.properties.x.dependsOn: [y] } | { a: {} } | [-form.properties.x, -form.properties.y, ~form.order] | []
{ a: {}, x: {}, dry-run: {} } | { form.properties.a.dependsOn: [x], hook.headers: { N: "{{ .inputs.dry-1 }}", Q: '{{ .inputs."dry-run" }}' } } | { a: {} } | [] | ["The workflow doesn't read these inputs: x, dry-run."]
{ x: {}, y: {}, z: {} } | { form.properties.a: { type: string, visible: { jqQuery: ".form.x==1" } }, hook.body.y: "{{ .inputs|.y }}", title: "a\\nz" } | { a: {} } | [] | ["The workflow doesn't read these inputs: x, y, z."]
{} | { form.properties.run_id: { type: string }, form.properties.ctx: { type: object }, form.required: [ctx] } | { run_id: {}, ctx: {} } | [] | []
{} | { trigger.userInputs: null, hook.body: [1] } | {} | [] | []
{ a: {}, x: {} } | { form.order: null, form.steps: [{ title: T, order: [x, a] }, { title: U }] } | { a: {}, b: {} } | [-form.properties.x, +form.properties.b, ~form.steps] | ["In Port, add these inputs to one of the steps of the form: b."]
event | { form.properties.x: { type: string }, hook.body.run: null } | event | [+hook.body.run] | ["The workflow doesn't read these inputs: x."]
event | { hook.url: "https://r.example/webhook/acme/shop?event_type=deploy", hook.body.action.identifier: Deploy! } | event | [] | []
{ a: {} } | { hook.url: "https://relay.example.com/webhook/Acme/Shop?workflow=deploy.yml&ref=v2" } | { a: {} } | [~hook.url] | []
{ a: {} } | { hook.body: {} } | { a: {}, b: {} } | [+form.properties.b, ~form.order, +hook.body.run, +hook.body.action, +hook.body.inputs, +hook.body.entity, +hook.body.event, +hook.body.trigger] | []
{ a: {} } | { hook.body: { a: "{{ .inputs.a }}", port_context: { runId: "{{ .run.id }}" } } } | { a: { default: x } } | [+form.properties.a.default] | []
{ a: {} } | { hook.body: { payload: { properties: { a: "{{ .inputs.a }}-rc" } }, context: { runId: "{{ .run.id }}" } } } | { a: {} } | [] | []
{ p: {} } | { hook.body.inputs: { s: "{{ .inputs.p.identifier }}" } } | { s: { required: true } } | [] | ["The workflow doesn't read these inputs: p."]
{ a: {} } | { hook.method: PUT, hook.synchronized: true, hook.agent: true, hook.headers: { RUN_ID: "1" }, hook.body.mine: 1 } | { a: {} } | [~hook.synchronized, ~hook.method] | []`

test.each(rows(FORMS))(
  'with the inputs %j and %j in Port, the inputs %j change %j',
  (before, change, after, paths, notes) => {
    const { differences, notes: told } = merged(before, change, after)
    const short = differences.map(line =>
      line
        .replace(/^(.) (.*?):.*/, '$1$2')
        .replace('trigger.userInputs', 'form')
        .replace('invocationMethod', 'hook'),
    )
    expect([short, told]).toEqual([paths, notes])
  },
)

test.each(
  rows(`
{ hook.type: GITHUB } | "starts nothing at https://r.example, not deploy.yml in acme/shop: change its webhook"
{ hook.url: "https://ci.example/webhook?token=s3cr3t" } | starts nothing at https://r.example, not
{ hook.url: "https://old.example/webhook/acme/shop?workflow=deploy.yml" } | starts nothing at https://r.example, not
{ hook.url: "https://r.example/webhook/acme/api?workflow=deploy.yml" } | starts deploy.yml in acme/api, not deploy.yml in acme/shop
{ hook.url: "https://r.example/webhook?workflow=deploy.yml" } | starts deploy.yml, not deploy.yml in acme/shop
{ hook.url: "https://r.example/webhook/acme/shop" } | starts the event type deploy in acme/shop, not
{ hook.body.github: { workflow: other.yml } } | starts other.yml in acme/shop, not
{ hook.body: { port_context: { github: { repository: acme/api } } } } | starts deploy.yml in acme/api, not
{ hook.body: { port_context: { runId: "{{ .run.id }}" } } } | "isn't the body that generate prints, so generate can't add or remove the inputs b:"`),
)('refuses an action with %j', (change, message) => {
  expect(() => merged({}, change, { b: {} })).toThrow(message)
})

test("in a Port workflow, nothing but the form and the relay's node changes", () => {
  const { action } = generated({ a: {}, b: {} })
  const trigger = { ...action.trigger, operation: 'DAY-2', blueprintIdentifier: 'service' }
  const { workflow } = toPortWorkflow({ ...action, trigger, requiredApproval: true })
  const slack = {
    type: 'WEBHOOK',
    url: 'https://slack.example',
    body: { text: '{{ .outputs["trigger"].b }}' },
  }
  const nodes = [...(workflow.nodes as JsonObject[]), { identifier: 'slack', config: slack }]
  const apply = (inputs: JsonObject, repository = 'acme/shop', existing = nodes) => {
    const made = generated(inputs, repository)
    return merge(
      { ...workflow, title: 'Mine', nodes: existing },
      toPortWorkflow(made.action).workflow,
      made.said,
      { relay: RELAY },
    )
  }
  expect(apply({ a: {}, b: {} }).differences).toEqual([])
  const unnamed = 'starts deploy.yml in acme/shop, not deploy.yml without a repository'
  expect(() => apply({ a: {}, b: {} }, '')).toThrow(unnamed)
  // The entity's menu needs `entity`, and the other node needs `b`.
  expect(apply({ c: {} })).toMatchObject({
    differences: [
      '- nodes.trigger.config.userInputs.properties.a: {"type":"string","title":"A"}',
      '+ nodes.trigger.config.userInputs.properties.c: {"type":"string","title":"C"}',
      '~ nodes.trigger.config.userInputs.order: ["entity","a","b"] → ["entity","b","c"]',
    ],
    notes: ["The workflow doesn't read these inputs: entity, b."],
  })
  expect(() => apply({}, 'acme/other')).toThrow(
    'deploy starts deploy.yml in acme/shop, not deploy.yml in acme/other',
  )
  const twice = [...nodes, { ...nodes[2]!, identifier: 'again' }]
  expect(() => apply({}, 'acme/shop', twice)).toThrow(
    'several webhook nodes that start deploy.yml in acme/shop',
  )
})
