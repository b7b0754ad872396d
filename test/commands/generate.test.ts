import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { readInvocation } from '../../port/invocation/invocation.ts'
import type { JsonObject } from '../../port/types.ts'
import { generate } from '../../relay/cli/generate.ts'
import { targetOf } from '../../relay/cli/send-request.ts'
import type { Target } from '../../relay/delivery/delivery.ts'
import { FIXED_OUTPUTS } from '../../tools/generate/github-input.ts'
import { RECOMMENDED_BODY } from '../../tools/generate/invocation-method.ts'
import { renderBody } from '../../tools/generate/render-body.ts'
import { parseWorkflow } from '../../tools/simulator/runner/read-workflow.ts'
import { definitionProblems } from '../support/definition-problems.ts'
import { temporaryFolder } from '../support/relay.ts'
import { run } from '../support/run-command.ts'

const root = join(import.meta.dirname, '../..')

const json = (file: string) => JSON.parse(readFileSync(join(root, file), 'utf8'))
const everyInput = 'test/fixtures/generate/every-input.json'

/** Writes `text` to a new file and runs `generate` on that file. */
async function generated(text: string | object, name: string, ...args: string[]) {
  const file = join(temporaryFolder(), name)
  writeFileSync(file, typeof text === 'string' ? text : JSON.stringify(text))
  const { code, stdout, stderr } = await run(generate, [file, '--json', ...args])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout) as { file: string; format: string; content: string; notes: string[] }
}

const actionOf = async (yaml: string, name: string, ...args: string[]) =>
  JSON.parse((await generated(yaml, name, ...args)).content) as JsonObject & {
    identifier: string
    trigger: { userInputs: { properties: Record<string, JsonObject>; required: string[]; order: string[] } }
    invocationMethod: { url: string }
  }

/** Returns the action without nulls and without the fields that Port's API adds. */
function cleaned(value: JsonObject): JsonObject {
  const { id, createdAt, createdBy, updatedAt, updatedBy, ...rest } = (value.action ?? value) as JsonObject
  return Object.fromEntries(Object.entries(rest).filter(([, each]) => each !== null))
}

async function checkParses(yaml: string): Promise<void> {
  expect({ yaml, errors: (await parseWorkflow('workflow.yml', yaml)).errors }).toEqual({ yaml, errors: [] })
}

const ofRelay = { type: 'WEBHOOK', agent: false, synchronized: false, method: 'POST', body: RECOMMENDED_BODY }
const actions = [everyInput, ...globSync('examples/*/port-action*.json', { cwd: root }).sort()]
const events = ['workflow_dispatch', 'repository_dispatch']

describe.each(actions)('%s', file => {
  test.each([[[]], ...events.map(event => [['--event', event, '--client-secret']])])(
    'with %j: becomes a valid workflow, keeps the trigger, and without options converts back to the same action',
    async args => {
      const given = cleaned(json(file))
      const workflow = await generated(json(file), 'action.json', ...args)
      expect(workflow).toMatchObject({ format: 'workflow', ...(args.length === 0 && { notes: [] }) })
      await checkParses(workflow.content)
      if (args[1]) expect(Object.keys(parse(workflow.content).on)).toEqual([args[1]])
      const back = await actionOf(workflow.content, basename(workflow.file))
      if (args.length > 0) return expect(back.trigger).toEqual(given.trigger)
      expect(back).toEqual(given)
      expect(definitionProblems('actions', back)).toEqual([])
    },
  )
})

test('a workflow declares the inputs that have a GitHub type, and comments contain the rest', async () => {
  const { file, content } = await generated(json(everyInput), 'action.json')
  expect(file).toBe('.github/workflows/every.yml')
  const { on, jobs, permissions } = parse(content)
  const { inputs } = on.workflow_dispatch
  const description = 'Two\nlines: "quoted" # and more'
  expect(inputs.text).toEqual({ description, type: 'string', required: true })
  expect(inputs.level).toEqual({ type: 'choice', options: ['yes', 'no: never', '1.10'], default: 'yes' })
  expect(inputs.replicas).toEqual({ type: 'number', default: 2 })
  expect(inputs.dryRun).toEqual({ type: 'boolean', default: true })
  expect(inputs.config).toEqual({ type: 'string', default: '{"a":{"b":null}}' })
  expect(inputs.expression).toEqual({ type: 'string' })
  expect(Object.keys(inputs)).toHaveLength(25)
  expect(Object.keys(inputs).at(-1)).toBe('port')
  for (const name of ['2fa', 'token', 'sealed', 'secretConfig']) expect(inputs).not.toHaveProperty(name)
  expect(content).toContain('# port-input: {"url":{"title":"URL","format":"url","icon":"Link"}}\n      url:')
  expect(permissions).toEqual({ 'id-token': 'write', actions: 'read' })
  const [first, work] = jobs.run.steps
  expect(first).toMatchObject({ uses: 'org/port-webhook-action@v1', id: 'port', if: '${{ inputs.port }}' })
  expect(work.env).toMatchObject({
    ENTITY: '${{ steps.port.outputs.entity-id }}',
    INPUT_TEXT: '${{ inputs.text }}',
    INPUT_TEXT_2: "${{ fromJSON(steps.port.outputs.inputs || '{}')['Text'] }}",
    INPUT_ACTION: "${{ fromJSON(steps.port.outputs.inputs || '{}')['action'] }}",
    INPUT_OWNING_TEAM: '${{ inputs.owning-team }}',
    INPUT_TOKEN: '${{ steps.port.outputs.token }}',
    INPUT_A_B_C_D: "${{ toJSON(fromJSON(steps.port.outputs.inputs || '{}')['a@b=c\\d']) }}",
  })
  expect(work.run).not.toContain('${{')
})

test('an existing workflow becomes an action with the same inputs', async () => {
  const workflow = `name: Release
on:
  push:
  workflow_dispatch:
    inputs:
      version: # as in the tags
        description: "A release: 1.4.2"
        required: true
      logLevel:
        type: choice
        options: [debug, info, 1]
        default: info
      dry-run: { type: boolean, default: false }
      count: { type: number, default: 3 }
      stage: { type: environment, required: false }
      nothing: {}
jobs:
  release:
    runs-on: ubuntu-latest
    steps: [{ run: make }]
`
  await checkParses(workflow)
  const relay = 'https://relay.acme.example/'
  const args = `--relay ${relay} --repository acme/shop --operation DAY-2 --blueprint service`
  const { content, file, notes } = await generated(workflow, 'release-it.yml', ...args.split(' '))
  const action = JSON.parse(content)
  expect(file).toBe('release-it.json')
  expect(action).toEqual({
    identifier: 'release-it',
    title: 'Release',
    trigger: {
      type: 'self-service',
      operation: 'DAY-2',
      userInputs: {
        properties: {
          version: { type: 'string', title: 'Version', description: 'A release: 1.4.2' },
          logLevel: { type: 'string', title: 'Log level', enum: ['debug', 'info', '1'], default: 'info' },
          'dry-run': { type: 'boolean', title: 'Dry run', default: false },
          count: { type: 'number', title: 'Count', default: 3 },
          stage: { type: 'string', title: 'Stage' },
          nothing: { type: 'string', title: 'Nothing' },
        },
        required: ['version'],
        order: ['version', 'logLevel', 'dry-run', 'count', 'stage', 'nothing'],
      },
      blueprintIdentifier: 'service',
    },
    invocationMethod: { ...ofRelay, url: `${relay}webhook/acme/shop?workflow=release-it.yml` },
    requiredApproval: false,
  })
  expect(definitionProblems('actions', action)).toEqual([])
  const quoted = workflow.replace('default: false', "default: 'false'").replace('default: 3', "default: '3'")
  expect((await actionOf(quoted, 'release-it.yml')).trigger.userInputs).toEqual(action.trigger.userInputs)
  expect(notes).toEqual([
    'release-it.yml does not use port-webhook-action: the relay finishes the run in Port when the workflow finishes. To show steps and log lines in Port, add the action and the input "port".',
    'The input stage has the type environment on GitHub. Port has no such type, so the input is a text.',
  ])
})

/** Port actions. examples/preview is excluded because it belongs to a Port workflow. */
const ofActions = globSync('examples/*/*.yml', { cwd: root, exclude: ['examples/preview'] }).sort()
test.each(ofActions)('%s becomes an action with the inputs that it uses', async example => {
  const yaml = readFileSync(join(root, example), 'utf8')
  const { content, notes } = await generated(yaml, basename(example))
  const action = JSON.parse(content)
  expect(definitionProblems('actions', action)).toEqual([])
  const usesAction = yaml.includes('org/port-webhook-action@')
  expect(notes.some(note => note.includes('does not use port-webhook-action'))).toBe(!usesAction)
  const folder = dirname(example).replace('-oidc', '')
  const [file] = globSync(`${folder}/port-{action,workflow}*.json`, { cwd: root })
  const { trigger, nodes } = json(file!)
  const known = (trigger ?? nodes[0].config).userInputs.properties
  expect(Object.keys(action.trigger.userInputs.properties).sort()).toEqual(Object.keys(known).sort())
  const query = example.includes('existing-workflow') ? `?workflow=${basename(example)}` : ''
  expect(action.invocationMethod.url).toBe(`https://relay.example.com/webhook${query}`)
})

test('inputs that a job reads from the payload become inputs of the Port action', async () => {
  const yaml = `on: { repository_dispatch: { types: [a, b] } }
jobs:
  x:
    if: github.event.client_payload.port.inputs.where == 'here' && github.event.client_payload.port.inputs['a b']
    runs-on: ubuntu-latest
    steps: [{ uses: acme/port-webhook-action@v1, id: p }, { run: make, env: { A: '\${{ steps.p.outputs.input-action }}', B: '\${{ steps.other.outputs.c }}', C: '\${{ steps.p.outputs.run-id }}' } }]
`
  const action = await actionOf(yaml, 'x.yml', '--identifier', 'b')
  expect(Object.keys(action.trigger.userInputs.properties).sort()).toEqual(['a b', 'action', 'where'])
  expect(action.invocationMethod.url).toBe('https://relay.example.com/webhook')
  const other = await actionOf(yaml, 'x.yml', '--identifier', 'c')
  expect(other.invocationMethod.url).toBe('https://relay.example.com/webhook?event_type=a')
})

test.each([
  ['steps.p.outputs.version', 'version'],
  ["steps.p.outputs['service']", 'service'],
  ["steps['p'].outputs.version", 'version'],
  ["steps['p'].outputs['input-action']", 'action'],
  ['fromJSON(steps.p.outputs.inputs).replicas', 'replicas'],
  ["fromJSON(steps.p.outputs.inputs || '{}')['replicas']", 'replicas'],
  ["fromJson( steps.p.outputs.inputs )['its name']", 'its name'],
  ["format('{0}', fromJSON(steps['p'].outputs['inputs'])['it''s'].a.b)", "it's"],
  ['toJSON(steps.p.outputs.version)', 'version'],
  ["github.event.client_payload.port.inputs['a b']", 'a b'],
  ["fromJSON(github.event.inputs.port || '{}').port.inputs.version", 'version'],
  ["fromJSON(inputs.port || '{}').port.inputs['a b']", 'a b'],
  ["fromJSON(github.event.inputs.port || '{}').port.entity.title", null],
  ['fromJSON(steps.p.outputs.entity).title', null],
  ['fromJSON(steps.p.outputs.inputs)', null],
  ["'steps.p.outputs.quoted'", null],
  ['steps.other.outputs.version', null],
  ["fromJSON(steps.other.outputs.inputs)['x']", null],
])('the expression %s refers to the input %s', async (expression, name) => {
  const steps = [
    { uses: 'acme/port-webhook-action@v1', id: 'p' },
    { run: 'make', if: expression },
    { run: 'make', env: { A: `x \${{ ${expression} }}` } },
  ]
  const jobs = { x: { 'runs-on': 'ubuntu-latest', steps } }
  const on = { repository_dispatch: { types: ['a'] } }
  const action = await actionOf(JSON.stringify({ on, jobs }), 'x.yml')
  expect(action.trigger.userInputs.order).toEqual(name === null ? [] : [name])
})

test.each(['steps.p.outputs.entity', "fromJSON(github.event.inputs.port || '{}').port.entity.title"])(
  'lists declared inputs before the inputs that are read from the payload, with %s',
  async entity => {
    const yaml = `on: { workflow_dispatch: { inputs: { size: { type: string }, port: { type: string } } } }
jobs:
  x:
    runs-on: ubuntu-latest
    env: { E: "\${{ ${entity} }}" }
    steps:
      - { uses: acme/port-webhook-action@v1, id: p }
      - run: make \${{ inputs.size }} \${{ steps.p.outputs.size }} \${{ fromJSON(steps.p.outputs.inputs).where }}
`
    const action = await actionOf(yaml, 'x.yml')
    expect(action.trigger).toMatchObject({ operation: 'DAY-2', userInputs: { order: ['size', 'where'] } })
  },
)

test("inputs that the relay provides don't become inputs of the Port action", async () => {
  const before = readFileSync(join(root, 'test/fixtures/migrate/workflows/deploy.yml'), 'utf8')
  const action = await actionOf(before, 'deploy.yml')
  expect(action.trigger.userInputs.order).toEqual(['version', 'environment'])
})

test.each(['{ type: number }', '{ type: string, default: "8080" }', '{ required: true }'])(
  'a note reports an input "port" that the author defined: %s',
  async input => {
    const yaml = (port: string) => `on: { workflow_dispatch: { inputs: { port: ${port} } } }\n${jobs}\n`
    const sentence =
      'x.yml declares its own input "port", but the relay sends its payload in "port": rename the workflow\'s input.'
    expect((await generated(yaml(input), 'x.yml')).notes).toContain(sentence)
    const { notes } = await generated(yaml('{ type: string, required: false }'), 'x.yml')
    expect(notes).not.toContain(sentence)
  },
)

test("the list of the action's own outputs matches action.yml", () => {
  expect(FIXED_OUTPUTS).toEqual(Object.keys(parse(readFileSync(join(root, 'action.yml'), 'utf8')).outputs))
})

const onCreate = {
  identifier: 'deploy',
  trigger: { type: 'self-service', operation: 'CREATE', userInputs: { properties: {}, required: [] } },
}
const AT = { org: 'acme', repo: 'shop', workflow: 'roll-out.yml' }
test.each([
  { type: 'GITHUB', ...AT, workflowInputs: {} },
  { type: 'INTEGRATION_ACTION', installationId: '1', integrationActionExecutionProperties: AT },
])("an action with Port's GitHub backend, $type, becomes a webhook to the relay", async invocationMethod => {
  const actions = [{ ...onCreate, invocationMethod }]
  const made = await generated(actions, 'actions.json', '--relay', 'https://r.acme.example')
  expect(made.file).toBe('.github/workflows/roll-out.yml')
  await checkParses(made.content)
  const url = 'https://r.acme.example/webhook/acme/shop?workflow=roll-out.yml'
  expect(made.notes).toEqual([
    `Change the action's backend in Port to the webhook ${url}: --format json prints it.`,
  ])
  const back = await actionOf(made.content, 'roll-out.yml')
  expect(back).toMatchObject({ identifier: 'deploy', invocationMethod: { ...ofRelay, url } })
})

const IF_REF = '{{if (.inputs | has("ref")) then "ref" else null end}}'
const at = { repository: 'acme/shop', eventType: null, workflow: 'a.yml', ref: null }
/** Columns: changes to the invocation method, the URL after `/webhook`, the user's inputs, and the relay's target. */
test.each<[JsonObject, string, JsonObject, Target]>([
  [{ workflowInputs: { ref: 'v1', a: '1' } }, '/acme/shop?workflow=a.yml&ref=v1', {}, { ...at, ref: 'v1' }],
  [{ workflowInputs: { ref: '{{ .inputs.ref }}', a: '1' } }, '/acme/shop?workflow=a.yml', {}, at],
  ...['ref', IF_REF].map((key): [JsonObject, string, JsonObject, Target] => [
    { workflowInputs: { [key]: '{{.inputs.ref}}', a: '1' } },
    ...(['/acme/shop?workflow=a.yml', { ref: 'v2' }, { ...at, ref: 'v2' }] as const),
  ]),
  [{ org: '{{ .inputs.o }}' }, '?workflow=a.yml', { o: 'ours' }, { ...at, repository: 'ours/shop' }],
  [{ workflow: '{{ .inputs.f }}' }, '/acme/shop', { f: 'b.yml' }, { ...at, workflow: 'b.yml' }],
])(
  "keeps a target that Port's GitHub backend sets as fixed text or with an expression: %j",
  async (more, address, inputs, target) => {
    const invocationMethod = { type: 'GITHUB', org: 'acme', repo: 'shop', workflow: 'a.yml', ...more }
    const action = { ...onCreate, invocationMethod }
    const methodOf = async (...args: string[]) =>
      JSON.parse((await generated(action, 'a.json', '--format', 'json', ...args)).content).invocationMethod
    const { url, body } = await methodOf()
    expect(url).toBe(`https://relay.example.com/webhook${address}`)
    const run = { id: 'r_Q0YotCZMKxDLdlaU' }
    const invocation = readInvocation(renderBody(body, { run, inputs, action: {}, trigger: {} }))
    expect(invocation.inputs).toEqual('workflowInputs' in more ? { a: '1' } : inputs)
    const targets = { allowed: ['*/*'], routes: [], repository: null }
    expect(targetOf({ targets }, invocation, new URL(url))).toEqual(target)
    // A repository_dispatch has no workflow or branch. Options override computed values.
    const moved = await methodOf('--event', 'repository_dispatch', '--repository', 'acme/x')
    expect(moved.url).toBe('https://relay.example.com/webhook/acme/x')
    expect(moved.body).not.toHaveProperty('github')
  },
)

test('a webhook to another system becomes a webhook to the relay without the old headers, and the notes list the changes', async () => {
  const action = (more: object) => {
    const old = { type: 'WEBHOOK', synchronized: true, agent: true, method: 'PUT' }
    return { ...onCreate, invocationMethod: { ...old, ...more } }
  }
  const headers = { Authorization: 'Bearer of-jenkins', 'X-Team': 'a' }
  const old = action({ url: 'https://ci.acme.example/job/deploy', headers, body: { token: 'of-jenkins' } })
  const args = ['--format', 'json', '--relay', 'https://r.acme.example', '--repository', 'acme/shop']
  const made = await generated(old, 'a.json', ...args)
  const relayed = { ...ofRelay, url: 'https://r.acme.example/webhook/acme/shop' }
  expect(JSON.parse(made.content).invocationMethod).toEqual(relayed)
  const ofHeaders = "The webhook's headers that the relay doesn't read were removed: Authorization, X-Team."
  expect(made.notes).toEqual([
    'The webhook\'s "synchronized" was changed from true to false.',
    'The webhook\'s "agent" was changed from true to false.',
    'The webhook\'s "method" was changed from PUT to POST.',
    ofHeaders,
    "The webhook's body was replaced with the body that the relay reads.",
  ])
  const workflow = await generated(old, 'a.json', ...args.slice(2))
  expect(JSON.stringify(workflow)).not.toContain('of-jenkins')
  const change = `Change the action's backend in Port to the webhook ${relayed.url}: --format json prints it.`
  expect(workflow.notes).toEqual([change, ...made.notes])
  expect((await actionOf(workflow.content, 'deploy.yml')).invocationMethod).toEqual(relayed)
  const kafka = { ...onCreate, invocationMethod: { type: 'KAFKA', payload: {} } }
  const ofKafka = await generated(kafka, 'a.json', ...args)
  expect(ofKafka.notes).toEqual(["The settings of the action's old backend (KAFKA) were removed."])
  // A webhook that already goes to the relay keeps its URL, its body, and Port's agent.
  const body = { github: { event_type: 'ship' }, runId: '{{ .run.id }}', service: '{{ .inputs.s }}' }
  const url = 'https://r.acme.example/webhook?ref=main'
  const own = action({ url, headers, body })
  const kept = await generated(own, 'a.json', '--format', 'json')
  expect(JSON.parse(kept.content).invocationMethod).toEqual({ ...relayed, url, agent: true, body })
  expect(kept.notes).toContain(ofHeaders)
  const moved = await generated(own, 'a.json', '--format', 'json', '--repository', 'acme/web')
  expect(JSON.parse(moved.content).invocationMethod).toMatchObject({
    url: 'https://r.acme.example/webhook/acme/web?event_type=ship&ref=main',
    body: { runId: '{{ .run.id }}', service: '{{ .inputs.s }}' },
  })
})

describe('a Port workflow', () => {
  const portWorkflow = async (text: string | object, ...args: string[]) => {
    const name = typeof text === 'string' ? 'release.yml' : 'a.json'
    const made = await generated(text, name, '--format', 'port-workflow', ...args)
    const workflow = JSON.parse(made.content)
    expect(definitionProblems('workflows', workflow)).toEqual([])
    return { workflow, notes: made.notes }
  }

  test.each(actions)('is valid, and its node sends the relay the same data as action %s', async file => {
    const action = cleaned(json(file)) as JsonObject & { trigger: JsonObject; identifier: string }
    const { workflow } = await portWorkflow(action)
    const [trigger, node] = [workflow.nodes[0], workflow.nodes.at(-1)]
    const { operation, blueprintIdentifier: blueprint, userInputs } = action.trigger
    const { properties } = userInputs as { properties: Record<string, JsonObject> }
    expect(trigger.config.userInputs.properties).toMatchObject(properties)
    expect(node.config).not.toHaveProperty('headers')
    expect(node.config).toMatchObject({ type: 'WEBHOOK', synchronized: false, method: 'POST' })
    const user = { email: 'ada@acme.example', firstName: 'Ada', lastName: 'Lovelace' }
    const at = '2026-11-01T10:00:00.000Z'
    const isOnEntity = operation !== 'CREATE' && blueprint !== undefined
    const typed = { version: '1', ...(isOnEntity && { entity: 'shop' }) }
    const body = renderBody(node.config.body, {
      workflowNodeRun: { identifier: 'wfnr_Q0YotCZMKxDLdlaU' },
      workflowRun: { createdAt: at, trigger: { by: user } },
      outputs: { trigger: typed },
    })
    expect(readInvocation(body)).toMatchObject({
      ...{ kind: 'node_run', runId: 'wfnr_Q0YotCZMKxDLdlaU', action: action.identifier, operation },
      ...{ blueprint: blueprint ?? null, inputs: { version: '1' } },
      entity: isOnEntity ? { identifier: 'shop' } : null,
      trigger: { by: { email: user.email, name: 'Ada Lovelace' }, at },
    })
    const secret = Object.keys(properties).filter(name => properties[name]!.encryption)
    expect(readInvocation(body).encrypted).toEqual(secret)
  })

  test('requests approval before sending the webhook, with --approval or if the action requires approval', async () => {
    const on = 'on: { workflow_dispatch: { inputs: { port: {}, tag: { required: true } } } }'
    const yaml = `${on}\njobs: { x: { runs-on: u, steps: [] } }\n`
    const { workflow, notes } = await portWorkflow(yaml, '--approval', '--relay', 'https://r.acme.example')
    const types = workflow.nodes.map(({ config }: { config: JsonObject }) => config.type)
    expect(types).toEqual(['SELF_SERVE_TRIGGER', 'INPUT', 'WEBHOOK'])
    expect(workflow.nodes[2].config.url).toBe('https://r.acme.example/webhook?workflow=release.yml')
    expect(workflow.connections).toEqual([
      { sourceIdentifier: 'trigger', targetIdentifier: 'approval' },
      { sourceIdentifier: 'approval', targetIdentifier: 'github', sourceOutletIdentifier: 'approve' },
    ])
    expect(notes).toContain('Specify who approves: add "responders" to the node "approval".')
    const action = JSON.parse((await generated(yaml, 'release.yml', '--approval')).content)
    expect(action.requiredApproval).toBe(true)
    expect((await portWorkflow(action)).workflow.nodes[1]).toMatchObject({ identifier: 'approval' })
    expect((await portWorkflow(yaml)).workflow.nodes).toHaveLength(2)
  })

  test('gets the entity from an additional input, and notes list the omitted settings', async () => {
    const { workflow, notes } = await portWorkflow({
      identifier: 'svc.restart/now',
      trigger: {
        ...{ type: 'self-service', operation: 'DAY-2', blueprintIdentifier: 'service' },
        condition: { type: 'SEARCH', rules: [], combinator: 'and' },
        userInputs: { properties: { entity: { type: 'string' } }, required: ['entity'], order: ['entity'] },
      },
      invocationMethod: { type: 'GITHUB', ...AT, workflowInputs: { a: '1' } },
      approvalNotification: { type: 'email' },
    })
    expect(workflow.identifier).toBe('svc_restart_now')
    expect(workflow.nodes[0].config.userInputs).toMatchObject({
      properties: { port_entity: { type: 'string', format: 'entity', blueprint: 'service' } },
      required: ['port_entity', 'entity'],
      order: ['port_entity', 'entity'],
    })
    expect(workflow.nodes[1].config.body).toMatchObject({
      inputs: '{{ .outputs.trigger | del(.port_entity) }}',
      entity: '{{ .outputs.trigger.port_entity }}',
    })
    expect(notes).toEqual([
      'Replace https://relay.example.com with the address of your relay, or pass --relay.',
      "The inputs of the old backend were omitted: set them in the webhook's body.",
      'The form asks for the service in the input port_entity.',
      'Removed, because a Port workflow has no such setting: approvalNotification, condition.',
    ])
  })
})

test('an automation becomes a workflow with the same event, and converts back to the same automation', async () => {
  const event = { type: 'ENTITY_UPDATED', blueprintIdentifier: 'service' }
  const condition = { type: 'JQ', expressions: ['.diff.after.x'], combinator: 'and' }
  const automation = {
    ...{ identifier: 'on_change', title: 'On change', publish: true },
    trigger: { type: 'automation', event, condition },
    invocationMethod: { ...ofRelay, url: 'https://r.acme.example/webhook' },
  }
  const { content } = await generated(automation, 'automation.json')
  await checkParses(content)
  expect(content).toContain('EVENT: ${{ steps.port.outputs.event }}')
  const back = await actionOf(content, 'on_change.yml')
  expect(back).toEqual(automation)
  expect(definitionProblems('actions', back)).toEqual([])
})

test('editing a workflow changes the action; fields that only comments contain are kept', async () => {
  const { content } = await generated(json(everyInput), 'action.json')
  const edited = content.replace('        default: 2\n', '        default: 3\n        required: true\n')
  const back = await actionOf(edited, 'every.yml')
  const { replicas } = back.trigger.userInputs.properties
  expect(replicas).toEqual({ type: 'number', title: 'Replicas', minimum: 1, maximum: 9.5, default: 3 })
})

test('inputs with any text, default, and type survive a round trip, and each workflow parses', async () => {
  const odd = `it's,- a,a: b,a # b,\${{ x }}, x ,{{ .x }},yes,null,~,1e3,",\n,\u2028`.split(',')
  const text = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 30 }), fc.constantFrom(...odd))
  const about = { title: fc.option(text), description: fc.option(text), icon: fc.option(text) }
  const of = (type: string, value: fc.Arbitrary<unknown>, more: Record<string, fc.Arbitrary<unknown>> = {}) =>
    fc.record({ ...about, ...more, type: fc.constant(type), default: fc.option(value) })
  const property = fc.oneof(
    of('string', text, { format: fc.option(fc.constantFrom('url', 'user')) }),
    of('string', text, { enum: fc.uniqueArray(text, { minLength: 1, maxLength: 4 }) }),
    of('number', fc.double({ noNaN: true, noDefaultInfinity: true })),
    of('boolean', fc.boolean()),
    of('array', fc.array(text), { items: fc.constant({ type: 'string' }) }),
    of('object', fc.dictionary(text, fc.jsonValue())),
  )
  const name = fc.stringMatching(/^[A-Za-z0-9@_=-]{1,12}$/).filter(each => each !== '__proto__')
  const url = 'https://r.acme.example/webhook'
  const body = { github: { repository: 'acme/web', event_type: 'x' }, a: '{{ .inputs }}' }
  const action = fc.record({
    identifier: fc.stringMatching(/^[A-Za-z0-9_-]{1,20}$/),
    title: fc.option(text),
    trigger: fc.dictionary(name, property, { maxKeys: 30 }).chain(properties =>
      fc.record({
        type: fc.constant('self-service'),
        operation: fc.constantFrom('CREATE', 'DAY-2', 'DELETE'),
        userInputs: fc.record({
          properties: fc.constant(properties),
          required: fc.option(fc.subarray(Object.keys(properties))),
          order: fc.option(fc.shuffledSubarray(Object.keys(properties))),
        }),
      }),
    ),
    invocationMethod: fc.record({
      type: fc.constant('WEBHOOK'),
      url: fc.constantFrom(
        url,
        `${url}/acme/shop?workflow=a.yml`,
        'https://relay.example.com/webhook?event_type=b',
      ),
      body: fc.constantFrom(RECOMMENDED_BODY, body),
    }),
  })
  // JSON has no -0 and no undefined.
  const asJson = <T>(value: T): T => JSON.parse(JSON.stringify(value))
  const withoutNulls = (value: JsonObject): JsonObject =>
    Object.fromEntries(Object.entries(value).filter(([, each]) => each !== null))
  await fc.assert(
    fc.asyncProperty(action, async given => {
      const { trigger, ...rest } = asJson(given)
      const { properties, ...inputs } = trigger.userInputs
      const entries = Object.entries(properties).map(([key, value]) => [
        key,
        withoutNulls(value as JsonObject),
      ])
      const userInputs = { ...withoutNulls(inputs), properties: Object.fromEntries(entries) }
      const wanted = {
        ...withoutNulls(rest as JsonObject),
        invocationMethod: { agent: false, synchronized: false, method: 'POST', ...rest.invocationMethod },
        trigger: { ...trigger, userInputs },
      }
      const { content, file } = await generated(given, 'action.json')
      await checkParses(content)
      expect(await actionOf(content, file.split('/').at(-1)!)).toEqual(wanted)
    }),
    { numRuns: 60, endOnFailure: true },
  )
})

test('--output writes a new file and never overwrites an existing file', async () => {
  const output = join(temporaryFolder(), 'restart.yml')
  const args = [join(root, 'examples/restart/port-action.json'), '--output', output]
  expect(await run(generate, args)).toEqual({ code: 0, stdout: `Written: ${output}`, stderr: '' })
  await checkParses(readFileSync(output, 'utf8'))
  const stderr = `${output} already exists: remove it, or choose another name.`
  expect(await run(generate, args)).toEqual({ code: 1, stdout: '', stderr })
})

test('prints only the file to stdout, and the notes to stderr', async () => {
  const { stdout, stderr } = await run(generate, [join(root, 'examples/restart/restart.yml')])
  expect(JSON.parse(stdout)).toMatchObject({ identifier: 'restart_service', title: 'Restart service' })
  expect(stderr.split('\n')).toEqual([
    'Replace https://relay.example.com with the address of your relay, or pass --relay.',
    'The operation of the action is DAY-2: pass the blueprint with --blueprint NAME.',
  ])
  const env = { RELAY_PUBLIC_URL: 'https://r.acme.example', GITHUB_REPOSITORY: 'acme/shop' }
  const args = [join(root, 'examples/restart/restart.yml'), '--blueprint', 'service']
  const addressed = await run(generate, args, env)
  const { url } = JSON.parse(addressed.stdout).invocationMethod
  expect([url, addressed.stderr]).toEqual(['https://r.acme.example/webhook/acme/shop', ''])
})

const jobs = 'jobs: { x: { runs-on: ubuntu-latest, steps: [{ run: make }] } }'
const ofAction = (trigger: unknown) => JSON.stringify({ identifier: 'old', trigger, invocationMethod: {} })
const noType = { type: 'automation', userInputs: { properties: { y: {} } } }

/** Columns: the file, the arguments, the exit code, and the message. */
const REFUSED = `
a: 1 |  | 1 | FILE is neither a workflow (on, jobs) nor a Port action (identifier, trigger).
on: [ |  | 1 | FILE is not YAML: Flow sequence in block collection must be sufficiently indented and end with a ] at line 1, column 6.
on: push; ${jobs} |  | 1 | FILE is started by push: add workflow_dispatch or repository_dispatch, so that Port can start it.
on: workflow_dispatch; ${jobs} | --event repository_dispatch | 1 | FILE has no trigger repository_dispatch.
on: { repository_dispatch: { types: [a, b] } }; ${jobs} |  | 1 | FILE listens to several event types: choose one with --identifier: a, b.
# port-action: {"a"; on: push; ${jobs} |  | 1 | Line 1: the comment "# port-action:" must be followed by a JSON object on the same line.
${ofAction('CREATE')} |  | 1 | The Port action old is in Port's older format: it has no "trigger" object. Export it from Port again.
[${ofAction({})},${ofAction({})}] |  | 1 | The file has several Port actions. Choose one with --identifier: old, old.
${ofAction(noType)} |  | 1 | The input "y" of old has no type.
${ofAction({ type: 'automation' })} | --format port-workflow | 1 | old is an automation: --format port-workflow needs a self-service action.
on: workflow_dispatch; ${jobs} | --format workflow | 2 | FILE is already a workflow: use --format json or port-workflow.
a: 1 | --format xml | 2 | --format must be one of json, port-workflow, workflow.
a: 1 | --relay relay | 2 | --relay "relay" must be an http(s) URL.
a: 1 | --repository shop | 2 | --repository must be OWNER/NAME.`

test.each(
  REFUSED.trim()
    .split('\n')
    .map(row => row.split(' | ')),
)('refuses %s with "%s", exit code %i: %s', async (content, args, code, sentence) => {
  const file = join(temporaryFolder(), 'FILE')
  writeFileSync(file, content!.replaceAll('; ', '\n'))
  const result = await run(generate, [file, ...args!.split(' ').filter(Boolean)])
  const stderr = result.stderr.replaceAll(file, 'FILE')
  expect({ ...result, stderr }).toEqual({ code: Number(code), stdout: '', stderr: sentence })
})

test('refuses a missing argument and a missing file', async () => {
  const sentence = 'Specify a file with a workflow or a Port action: generate FILE.'
  expect(await run(generate)).toEqual({ code: 2, stdout: '', stderr: sentence })
  expect((await run(generate, ['/missing.yml'])).stderr).toBe("/missing.yml can't be read (ENOENT).")
})
