import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { RECOMMENDED_BODY } from '../../cli/generate/invocation-method.ts'
import { migrate } from '../../cli/migrate.ts'
import { targetOf } from '../../cli/send-request.ts'
import { readInvocation } from '../../port/invocation/invocation.ts'
import type { Json, JsonObject } from '../../port/types.ts'
import type { Target } from '../../relay/github/client.ts'
import { renderBody } from '../../workflow-files/render-body.ts'
import { definitionProblems } from '../support/definition-problems.ts'
import { temporaryFolder } from '../support/relay.ts'
import { run } from '../support/run-command.ts'

const root = join(import.meta.dirname, '../..')
const RELAY = 'https://r.acme.example'
const PLACEHOLDER = 'Replace https://relay.example.com with the address of your relay, or pass --relay.'
const INCOMPLETE = 'The URL lacks the repository or the workflow: complete the URL.'
const RUN_ID = 'r_Q0YotCZMKxDLdlaU'

interface Definition extends JsonObject {
  identifier: string
  invocationMethod: JsonObject & { url: string; body: JsonObject }
}

/** Migrates the actions of a file. Returns the notes without the file's name. */
async function migrated(exported: unknown, ...args: string[]) {
  const file = join(temporaryFolder(), 'actions')
  writeFileSync(file, typeof exported === 'string' ? exported : JSON.stringify(exported))
  const { code, stdout, stderr } = await run(migrate, ['--port-action', file, ...args])
  expect(code).toBe(0)
  const definitions = [JSON.parse(stdout)].flat() as Definition[]
  const of = args.includes('workflow') ? 'workflows' : 'actions'
  for (const each of definitions) expect(definitionProblems(of, each)).toEqual([])
  const notes = stderr.replaceAll(`${file}: `, '').split('\n').filter(Boolean)
  return { definition: definitions[0]!, definitions, notes }
}

const trigger = { type: 'self-service', operation: 'CREATE', userInputs: { properties: {}, required: [] } }
const AT = { org: 'acme', repo: 'shop', workflow: 'a.yml' }
const ofGitHub = (more: JsonObject): JsonObject => ({
  identifier: 'deploy',
  trigger,
  invocationMethod: { type: 'GITHUB', ...AT, ...more },
})
const ofRelay = {
  ...{ type: 'WEBHOOK', agent: false, synchronized: false, method: 'POST', body: RECOMMENDED_BODY },
  url: `${RELAY}/webhook/acme/shop?workflow=a.yml`,
}

const inputs = { project: '{{ .inputs.project.identifier }}', size: 'small' }
const port_context = { runId: '{{ .run.id }}', action: '{{ .action.identifier[(("eks_") | length):] }}' }
const spread = { '{{ spreadValue() }}': '{{ .inputs }}' }
const quiet = { github: { reportWorkflowStatus: false } }

test.each<[string, JsonObject, JsonObject]>([
  [
    'inputs that Port computes',
    { workflowInputs: { ...inputs, port_context } },
    { inputs: { ...inputs, port_context } },
  ],
  [
    'all inputs',
    { workflowInputs: { ...spread, port_payload: '{{ . }}' } },
    { inputs: { ...spread, port_payload: '{{ . }}' } },
  ],
  ['no inputs', { reportWorkflowStatus: true }, {}],
  ['a status that another system reports', { reportWorkflowStatus: false }, quiet],
])('an action with %s calls the relay', async (_, more, body) => {
  const properties = { ...AT, ...more }
  const integration = { installationId: 'i', integrationActionType: 'dispatch_workflow' }
  for (const invocationMethod of [
    { type: 'GITHUB', ...properties },
    { type: 'INTEGRATION_ACTION', ...integration, integrationActionExecutionProperties: properties },
  ]) {
    const exported = { id: 'x', identifier: 'deploy', description: null, trigger, invocationMethod }
    const { definition, notes } = await migrated(exported, '--relay', `${RELAY}/`)
    expect(notes).toEqual([])
    expect(definition).toEqual({
      ...{ identifier: 'deploy', trigger },
      invocationMethod: { ...ofRelay, body: { ...RECOMMENDED_BODY, ...body } },
    })
  }
})

const IF_REF = '{{if (.inputs.env == "prod") then "ref" else null end}}'
const at = { repository: 'acme/shop', eventType: null, workflow: 'a.yml', ref: null }
/** Columns: changes to the invocation method, the URL after `/webhook`, the user's inputs, and the relay's target. */
test.each<[JsonObject, string, JsonObject, Partial<Target>]>([
  [{ workflowInputs: { ref: 'v1', a: '1' } }, '/acme/shop?workflow=a.yml&ref=v1', {}, { ...at, ref: 'v1' }],
  [{ workflowInputs: { ref: '{{ .inputs.ref }}', a: '1' } }, '/acme/shop?workflow=a.yml', {}, at],
  [
    { workflowInputs: { ref: '{{.inputs.ref}}', a: '1' } },
    '/acme/shop?workflow=a.yml',
    { ref: 'v2' },
    { ...at, ref: 'v2' },
  ],
  // Port evaluates the key as before, so the branch stays conditional.
  [
    { workflowInputs: { [IF_REF]: 'v1', a: '1' } },
    '/acme/shop?workflow=a.yml',
    { env: 'prod' },
    { ...at, ref: 'v1' },
  ],
  [{ workflowInputs: { [IF_REF]: 'v1', a: '1' } }, '/acme/shop?workflow=a.yml', { env: 'test' }, at],
  [{ org: '{{ .inputs.o }}' }, '?workflow=a.yml', { o: 'ours' }, { ...at, repository: 'ours/shop' }],
  [{ workflow: '{{ .inputs.f }}' }, '/acme/shop', { f: 'b.yml' }, { ...at, workflow: 'b.yml' }],
])(
  "keeps a target that Port's GitHub backend sets as fixed text or with an expression: %j",
  async (more, address, given, target) => {
    const { definition, notes } = await migrated(ofGitHub(more))
    expect(notes).toEqual([PLACEHOLDER])
    const { url, body } = definition.invocationMethod
    expect(url).toBe(`https://relay.example.com/webhook${address}`)
    const context = { run: { id: RUN_ID }, inputs: given, action: {}, trigger: {}, entity: null, event: null }
    const condition = (expression: string) =>
      expression.startsWith('if') && given.env === 'prod' ? 'ref' : null
    const invocation = readInvocation(renderBody(body, context, condition))
    expect(invocation.inputs).toEqual('workflowInputs' in more ? { a: '1' } : given)
    const targets = { allowed: ['*/*'], routes: [], repository: null }
    expect(targetOf({ targets }, invocation, new URL(url))).toMatchObject(target)
  },
)

test('all actions of an export in JSON or YAML are converted, and notes name the action', async () => {
  const actions = [ofGitHub({}), { ...ofGitHub({ workflow: null }), identifier: 'other' }]
  for (const text of [JSON.stringify({ ok: true, actions }), stringify(actions)]) {
    const { definitions, notes } = await migrated(text, '--relay', RELAY)
    expect(definitions.map(({ identifier }) => identifier)).toEqual(['deploy', 'other'])
    expect(notes).toEqual([`other: ${INCOMPLETE}`])
  }
})

test('--format workflow: an automation is kept, and the other actions of the export become Port workflows', async () => {
  const event = { type: 'RUN_UPDATED', actionIdentifier: 'deploy' }
  const automation = { ...ofGitHub({}), identifier: 'on_deploy', trigger: { type: 'automation', event } }
  const file = join(temporaryFolder(), 'actions')
  writeFileSync(file, JSON.stringify([ofGitHub({}), automation]))
  const { stdout, stderr } = await run(migrate, ['--port-action', file, '--format', 'workflow'])
  const [workflow, kept] = JSON.parse(stdout)
  expect(workflow.nodes).toHaveLength(2)
  expect(kept).toMatchObject({ trigger: { event }, invocationMethod: { type: 'WEBHOOK' } })
  expect(stderr).toMatch(/on_deploy: This automation stays unchanged/)
})

test('a webhook to another system becomes a webhook to the relay without the old headers, and notes list the changes', async () => {
  const action = (more: object) => {
    const old = { type: 'WEBHOOK', synchronized: true, agent: true, method: 'PUT' }
    return { identifier: 'deploy', trigger, invocationMethod: { ...old, ...more } }
  }
  const headers = { Authorization: 'Bearer of-jenkins', 'X-Team': 'a' }
  const old = action({ url: 'https://ci.acme.example/job/deploy', headers, body: { token: 'of-jenkins' } })
  const made = await migrated(old, '--relay', RELAY)
  expect(made.definition.invocationMethod).toEqual({ ...ofRelay, url: `${RELAY}/webhook` })
  const ofHeaders = "The webhook's headers that the relay doesn't read were removed: Authorization, X-Team."
  expect(made.notes).toEqual([
    INCOMPLETE,
    'The webhook\'s "synchronized" was changed from true to false.',
    'The webhook\'s "agent" was changed from true to false.',
    'The webhook\'s "method" was changed from PUT to POST.',
    ofHeaders,
    "The webhook's body was replaced with the body that the relay reads.",
  ])
  // A webhook that already goes to the relay keeps its URL, its body, its RUN_ID header, and Port's agent.
  const body = { github: { event_type: 'ship' }, runId: '{{ .run.id }}', service: '{{ .inputs.s }}' }
  const url = `${RELAY}/webhook?ref=main`
  const RUN = { RUN_ID: '{{ .run.id }}' }
  const kept = await migrated(action({ url, headers: { ...headers, ...RUN }, body }))
  expect(kept.definition.invocationMethod).toEqual({ ...ofRelay, url, agent: true, body, headers: RUN })
  expect(kept.notes).toContain(ofHeaders)
})

const ACTIONS = [
  'test/fixtures/migrate/every-input.json',
  ...globSync('examples/*/port-action*.json', { cwd: root }),
]
const OWN_BODY = /^The body of the action was replaced/

test.each(ACTIONS)(
  '--format workflow: %s becomes a Port workflow whose node sends the same data',
  async file => {
    const value = JSON.parse(readFileSync(join(root, file), 'utf8'))
    const action = value.action ?? value
    const { definition, notes } = await migrated(value, '--format', 'workflow')
    const { nodes } = definition as unknown as { nodes: { config: JsonObject & { body: JsonObject } }[] }
    const [form, node] = [nodes[0]!.config, nodes.at(-1)!.config]
    const { operation, blueprintIdentifier: blueprint = null } = action.trigger
    const { properties } = action.trigger.userInputs as { properties: Record<string, JsonObject> }
    expect(form.userInputs).toMatchObject({ properties })
    expect(node).toMatchObject({
      ...{ type: 'WEBHOOK', synchronized: false, onTimeout: 'continue', method: 'POST' },
    })
    expect(node).not.toHaveProperty('headers')
    const isOnEntity = operation !== 'CREATE' && blueprint !== null
    expect(form.contexts).toEqual(isOnEntity ? [{ on: 'ENTITY', userInput: 'entity' }] : undefined)
    const user = { email: 'ada@acme.example', firstName: 'Ada', lastName: 'Lovelace' }
    const at = '2026-11-01T10:00:00.000Z'
    const body = renderBody(node.body, {
      workflowNodeRun: { identifier: 'wfnr_Q0YotCZMKxDLdlaU' },
      workflowRun: { createdAt: at, trigger: { by: user } },
      outputs: { trigger: { version: '1', ...(isOnEntity && { entity: 'shop' }) } },
    })
    const secret = Object.keys(properties).filter(name => properties[name]!.encryption)
    expect(readInvocation(body)).toMatchObject({
      ...{ kind: 'node_run', runId: 'wfnr_Q0YotCZMKxDLdlaU', action: action.identifier, operation },
      ...{ blueprint, inputs: { version: '1' }, encrypted: secret },
      entity: isOnEntity ? { identifier: 'shop' } : null,
      trigger: { by: { email: user.email, name: 'Ada Lovelace' }, at },
    })
    const { github: _, inputs: __, ...own } = action.invocationMethod.body
    const { inputs: ___, ...recommended } = RECOMMENDED_BODY
    const isOwn = JSON.stringify(own) !== JSON.stringify(recommended)
    expect(notes.some(note => OWN_BODY.test(note))).toBe(isOwn)
  },
)

describe('--format workflow: the node sends the inputs in workflowInputs', () => {
  const properties = {
    env: { type: 'string' },
    'node-size': { type: 'string' },
    project: { type: 'string', format: 'entity', blueprint: 'project' },
  }
  const dayTwo = {
    ...trigger,
    operation: 'DAY-2',
    blueprintIdentifier: 'service',
    userInputs: { properties },
  }
  const user = { email: 'ada@acme.example', firstName: 'Ada', lastName: 'Lovelace' }
  const at = '2026-11-01T10:00:00.000Z'
  const shop = { identifier: 'shop', title: 'Shop', properties: { tier: 1, live: false } }
  const project = { identifier: 'p', title: 'P' }
  const ofAction = {
    inputs: { env: 'prod', 'node-size': 'xl', project },
    entity: shop,
    trigger: { at, by: { user } },
  }
  const ofNode = (entity: Json, input: Json) => ({
    workflowNodeRun: { identifier: RUN_ID },
    workflowRun: { createdAt: at, trigger: { by: user } },
    outputs: { trigger: { env: 'prod', 'node-size': 'xl', project: input, entity } },
  })
  const inputsOf = ({ invocationMethod, nodes }: JsonObject, context: JsonObject): Json => {
    const method = invocationMethod ?? (nodes as unknown as { config: JsonObject }[]).at(-1)!.config
    return (
      renderBody((method as JsonObject).body!, { action: {}, run: { id: RUN_ID }, ...context }) as JsonObject
    ).inputs!
  }
  const migrateBoth = async (workflowInputs: JsonObject) => {
    const exported = { ...ofGitHub({ workflowInputs }), trigger: dayTwo }
    const action = await migrated(exported, '--relay', RELAY)
    const workflow = await migrated(exported, '--relay', RELAY, '--format', 'workflow')
    const notes = workflow.notes.filter(note => !/^The form asks for/.test(note))
    return { action: action.definition, workflow: workflow.definition, notes }
  }

  test.each<[JsonObject, string[]]>([
    [{ environment: 'production', size: 3 }, []],
    [{ stage: '{{ .inputs.env }}', name: 'svc-{{ .inputs.env }}-{{ .entity.identifier }}' }, []],
    [{ project: '{{ .inputs.project.identifier }}' }, []],
    [
      {
        stage: '{{.inputs."env"}}',
        size: '{{ .inputs."node-size" }}',
        by: '{{ .inputs["project"].identifier }}',
      },
      [],
    ],
    [
      {
        port_context: {
          runId: '{{ .run.id }}',
          entity: '{{ .entity.identifier }}',
          by: ['{{ .trigger.by.user.email }}'],
        },
      },
      [],
    ],
    [{ who: '{{ .trigger.by.user.firstName }}', operation: '{{ .trigger.operation }}' }, []],
    [{ context: { trigger: '{{ .trigger }}', runId: '{{ .run.id }}' } }, []],
    [
      { tier: '{{ .entity.properties.tier }}', live: '{{ .entity.properties.live }}' },
      ['inputs.tier, inputs.live'],
    ],
    [
      { project: '{{ .inputs.project }}', port_context: { entity: '{{ .entity }}' } },
      ['inputs.project, inputs.port_context.entity'],
    ],
    [{ name: '{{ .entity.title }} {{ .entity.properties.tier }}' }, ['inputs.name']],
  ])('%j', async (workflowInputs, checked) => {
    const { action, workflow, notes } = await migrateBoth(workflowInputs)
    const operation = { trigger: { ...ofAction.trigger, operation: 'DAY-2' } }
    const expected = inputsOf(action, { ...ofAction, ...operation })
    expect(inputsOf(workflow, ofNode(shop, project))).toEqual(expected)
    if (checked.length === 0) expect(inputsOf(workflow, ofNode('shop', 'p'))).toEqual(expected)
    expect(notes).toEqual(
      checked.map(
        at => `Check ${at}: Port may send only the identifier of an entity to a node, and no other field.`,
      ),
    )
  })

  test('a note names each value that the node cannot send', async () => {
    const upper = '{{ .inputs.env | ascii_upcase }}'
    const { workflow, notes } = await migrateBoth({
      [IF_REF]: 'v1',
      upper,
      all: '{{ . }}',
      kept: 'x',
      o: '{{ {a: 1} }}',
    })
    expect(inputsOf(workflow, ofNode(shop, project))).toEqual({ kept: 'x' })
    const lost = (at: string, expression: string) =>
      `The node doesn't send ${at}, because {{ ${expression} }} can't be read in a Port workflow: set fixed text, or add an input to the form.`
    expect(notes).toEqual([
      lost(`github.${IF_REF}`, IF_REF.replace(/^\{\{|\}\}$/g, '')),
      lost('inputs.upper', '.inputs.env | ascii_upcase'),
      lost('inputs.all', '.'),
      lost('inputs.o', '{a: 1}'),
    ])
  })

  test('keeps text that reads the blueprint of an action without a blueprint', async () => {
    const port_context = '{"runId":"{{ .run.id }}","blueprint":"{{ .action.blueprint }}"}'
    const exported = ofGitHub({ workflowInputs: { port_context } })
    const { definition, notes } = await migrated(exported, '--relay', RELAY, '--format', 'workflow')
    const sent = { port_context: `{"runId":"${RUN_ID}","blueprint":""}` }
    expect([inputsOf(definition, ofNode(shop, project)), notes]).toEqual([sent, []])
  })

  test('the branch still comes from an input', async () => {
    const { workflow } = await migrateBoth({ ref: '{{ .inputs.env }}' })
    const { nodes } = workflow as unknown as { nodes: { config: { body: JsonObject } }[] }
    expect(nodes.at(-1)!.config.body.github).toEqual({ ref: '{{ .outputs.trigger.env }}' })
  })
})

const old = (value: object) => JSON.stringify({ identifier: 'old', invocationMethod: {}, ...value })
test.each([
  ['a: [', 'The file contains no Port action (identifier, trigger) in JSON or YAML.'],
  [
    old({ trigger: 'CREATE' }),
    'The Port action old is in Port\'s older format: it has no "trigger" object. ',
  ],
  [old({ trigger: { userInputs: { properties: { y: {} } } } }), 'The input "y" of old has no type.'],
])('refuses %s', async (text, message) => {
  const file = join(temporaryFolder(), 'a.json')
  writeFileSync(file, text)
  const stderr = expect.stringContaining(message)
  expect(await run(migrate, ['--port-action', file])).toEqual({ code: 1, stdout: '', stderr })
})
