import { expect, test } from 'vitest'
import type { Json, JsonObject } from '../port/types.ts'
import { merge } from '../tools/generate/merge.ts'
import { toPortWorkflow } from '../tools/generate/port-workflow.ts'
import { toAction } from '../tools/generate/to-action.ts'

type Inputs = Record<string, JsonObject>
const relay = 'https://new.acme.example'

/** Generates the action of a workflow with these inputs, or of one that reads `tag` from a `repository_dispatch`. */
function generated(inputs: Inputs | 'repository_dispatch', repository = 'acme/shop') {
  const on =
    inputs === 'repository_dispatch' ? { [inputs]: { types: ['deploy'] } } : { workflow_dispatch: { inputs } }
  const env = { TAG: '${{ github.event.client_payload.port.inputs.tag }}' }
  const jobs = {
    x: { 'runs-on': 'ubuntu-latest', ...(inputs === 'repository_dispatch' && { env }), steps: [] },
  }
  return toAction(JSON.stringify({ on, jobs }), 'deploy.yml', { relay, repository })
}

/** Merges the workflow into the action that has been generated for `before`, and then changed in Port. */
function merged(before: Inputs, change: JsonObject, after: Parameters<typeof generated>[0]) {
  const { action, said } = generated(after)
  const existing = changed(generated(before).action, change) as JsonObject
  return { existing, ...merge(existing, action, said) }
}

/** Replaces the values at paths such as `trigger.userInputs.order`; null removes one. */
function changed(definition: Json, change: JsonObject): Json {
  const result = structuredClone(definition) as JsonObject
  for (const [path, value] of Object.entries(change)) {
    const keys = path.split('.')
    const last = keys.pop()!
    const parent = keys.reduce((each, key) => each[key] as JsonObject, result)
    if (value === null) delete parent[last]
    else parent[last] = value
  }
  return result
}

const query = { jqQuery: '.form.x' }
const choice = { type: 'choice', options: ['a', 'b'] }

test.each<[declared: JsonObject, inPort: JsonObject, becomes: JsonObject | 'the same']>([
  [{ type: 'string', default: 'x' }, { type: 'array', items: { type: 'string' } }, 'the same'],
  [{ type: 'string' }, { type: 'object', title: 'T', default: { a: 1 } }, 'the same'],
  [
    {},
    { type: 'string', format: 'entity', blueprint: 'service', dataset: {}, encryption: 'fernet' },
    'the same',
  ],
  [{}, { type: 'string', default: 'x', enum: ['x'], visible: query, dependsOn: ['x'] }, 'the same'],
  [
    { default: 'y' },
    { type: 'string', default: 'x', icon: 'I' },
    { type: 'string', default: 'y', icon: 'I' },
  ],
  [{ default: 'y' }, { type: 'string', default: query }, 'the same'],
  [choice, { type: 'string', enum: query }, 'the same'],
  [choice, { type: 'string', enum: ['c'] }, { type: 'string', enum: ['a', 'b'] }],
  [choice, { type: 'array', title: 'T', items: {} }, { type: 'string', title: 'T', enum: ['a', 'b'] }],
  [
    { type: 'number', default: 3 },
    { type: 'number', minimum: 1 },
    { type: 'number', minimum: 1, default: 3 },
  ],
  [
    { type: 'boolean', default: true },
    {
      type: 'string',
      title: 'T',
      description: 'D',
      visible: query,
      format: 'yaml',
      default: query,
      enum: query,
    },
    { type: 'boolean', title: 'T', description: 'D', visible: query, default: true },
  ],
])('the input %j turns %j in Port into %j', (declared, inPort, becomes) => {
  const { definition } = merged({ i: {} }, { 'trigger.userInputs.properties.i': inPort }, { i: declared })
  const form = (definition.trigger as JsonObject).userInputs
  expect(form).toMatchObject({ properties: { i: becomes === 'the same' ? inPort : becomes } })
  expect(Object.keys((form as { properties: Inputs }).properties.i!).length).toBe(
    Object.keys(becomes === 'the same' ? inPort : becomes).length,
  )
})

const FORM = 'trigger.userInputs'
const BODY = 'invocationMethod.body'
const both = { a: {}, b: { required: true } }

/** Columns: what it shows, the inputs before, the change in Port, the inputs after, the differences, and the notes. */
test.each<[string, Inputs, JsonObject, Inputs | 'repository_dispatch', string[], string[]]>([
  [
    'nothing changed',
    both,
    { title: 'Mine', icon: 'X', requiredApproval: true, publish: false },
    both,
    [],
    [],
  ],
  [
    'an input is added and another one removed',
    { a: { required: true }, x: {} },
    {},
    { a: {}, b: { required: true } },
    [
      `- ${FORM}.properties.x: {"type":"string","title":"X"}`,
      `+ ${FORM}.properties.b: {"type":"string","title":"B"}`,
      `~ ${FORM}.required: ["a"] → ["a","b"]`,
      `~ ${FORM}.order: ["a","x"] → ["a","b"]`,
    ],
    [],
  ],
  [
    'an input is declared as optional',
    { a: { required: true } },
    {},
    { a: { required: false } },
    [`~ ${FORM}.required: ["a"] → []`],
    [],
  ],
  [
    'a query decides which inputs are required',
    both,
    { [`${FORM}.required`]: query },
    { a: {}, b: {} },
    [],
    [],
  ],
  [
    'the form has steps',
    { a: {}, x: {} },
    { [`${FORM}.order`]: null, [`${FORM}.steps`]: [{ title: 'One', order: ['x', 'a'] }, { title: 'Two' }] },
    { a: {}, b: {} },
    [
      `- ${FORM}.properties.x: {"type":"string","title":"X"}`,
      `+ ${FORM}.properties.b: {"type":"string","title":"B"}`,
      `~ ${FORM}.steps: [{"title":"One","order":["x","a"]},{"title":"Two"}] → [{"title":"One","order":["a"]},{"title":"Two"}]`,
    ],
    ['Add to a step of the form: b.'],
  ],
  [
    'the workflow only reads inputs',
    { x: {} },
    { [`${BODY}.action`]: null, 'invocationMethod.url': 'https://old.acme.example/webhook/acme/shop?ref=v2' },
    'repository_dispatch',
    [
      `+ ${FORM}.properties.tag: {"type":"string","title":"Tag"}`,
      `~ ${FORM}.order: ["x"] → ["x","tag"]`,
      `~ invocationMethod.url: "https://old.acme.example/webhook/acme/shop?ref=v2" → "${relay}/webhook/acme/shop?ref=v2"`,
      `+ ${BODY}.action: {"identifier":"{{ .action.identifier }}","blueprint":"{{ .action.blueprint }}","encryptedProperties":"{{ .action.encryptedProperties }}"}`,
    ],
    ['Not read by the workflow: x.'],
  ],
  [
    'the body fills the inputs of the workflow from others of the form',
    { project: {} },
    { [`${BODY}.inputs`]: { service: '{{ .inputs.project.identifier }}' } },
    { service: { required: true } },
    [],
    ['Not read by the workflow: project.'],
  ],
  [
    'of the webhook, only url, method, and synchronized change',
    both,
    {
      invocationMethod: {
        ...{ type: 'WEBHOOK', url: `${relay}/webhook/acme/shop?workflow=old.yml`, agent: true },
        ...{ headers: { RUN_ID: '1' }, method: 'PUT', synchronized: true },
        body: {
          ...(generated({}).action.invocationMethod.body as JsonObject),
          mine: 1,
          github: { ref: 'v2' },
        },
      },
    },
    both,
    [
      `~ invocationMethod.url: "${relay}/webhook/acme/shop?workflow=old.yml" → "${relay}/webhook/acme/shop?workflow=deploy.yml"`,
      '~ invocationMethod.method: "PUT" → "POST"',
      '~ invocationMethod.synchronized: true → false',
    ],
    [],
  ],
])('%s', (_, before, change, after, differences, notes) => {
  const result = merged(before, change, after)
  expect({ differences: result.differences, notes: result.notes }).toEqual({ differences, notes })
  // A second run changes nothing.
  const { action, said } = generated(after)
  expect(merge(result.definition, action, said).differences).toEqual([])
})

test('the action in Port has another backend', () => {
  const others: JsonObject[] = [{ type: 'GITHUB' }, { type: 'WEBHOOK', url: 'https://ci.acme.example/start' }]
  for (const invocationMethod of others)
    expect(() => merged(both, { invocationMethod }, both)).toThrow('has another backend than a relay')
})

test('in a Port workflow, only the form and our node change', () => {
  const { action, said } = generated({ a: {}, b: {} })
  const trigger = { ...action.trigger, operation: 'DAY-2', blueprintIdentifier: 'service' }
  const { workflow } = toPortWorkflow({ ...action, trigger, requiredApproval: true })
  const slack = {
    type: 'WEBHOOK',
    url: 'https://slack.example',
    body: { text: '{{ .outputs["trigger"].b }}' },
  }
  const nodes = [...(workflow.nodes as JsonObject[]), { identifier: 'slack', config: slack }]
  const existing = { ...workflow, title: 'Mine', nodes }
  const ours = (after: Inputs, repository?: string) => {
    const made = generated(after, repository)
    return merge(existing, toPortWorkflow(made.action).workflow, made.said)
  }
  expect(ours({ a: {}, b: {} }).differences).toEqual([])
  // The menu of the entity needs `entity`, and the other node needs `b`.
  expect(ours({ c: {} })).toMatchObject({
    differences: [
      '- nodes.trigger.config.userInputs.properties.a: {"type":"string","title":"A"}',
      '+ nodes.trigger.config.userInputs.properties.c: {"type":"string","title":"C"}',
      '~ nodes.trigger.config.userInputs.order: ["entity","a","b"] → ["entity","b","c"]',
    ],
    notes: ['Not read by the workflow: entity, b.'],
  })
  const refused = 'of the workflow deploy in Port starts'
  expect(() => ours({}, 'acme/other')).toThrow(
    `No webhook node ${refused} acme/other deploy.yml: add the node`,
  )
  const twice = { ...existing, nodes: [...nodes, { ...nodes[2]!, identifier: 'again' }] }
  const { workflow: again } = toPortWorkflow(action)
  expect(() => merge(twice, again, said)).toThrow('several webhook nodes that start acme/shop deploy.yml')
})
