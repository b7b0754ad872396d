import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { renderBody } from '../../demo/render-body.ts'
import { readInvocation } from '../../port/invocation/invocation.ts'
import type { JsonObject } from '../../port/types.ts'
import { generate } from '../../relay/cli/generate.ts'
import { FIXED_OUTPUTS } from '../../tools/generate/github-input.ts'
import { RECOMMENDED_BODY } from '../../tools/generate/invocation-method.ts'
import { parseWorkflow } from '../../tools/simulator/runner/read-workflow.ts'
import { definitionProblems } from '../support/definition-problems.ts'
import { temporaryFolder } from '../support/relay.ts'
import { run } from '../support/run-command.ts'

const root = join(import.meta.dirname, '../..')

const json = (file: string) => JSON.parse(readFileSync(join(root, file), 'utf8'))
const everyInput = 'test/fixtures/generate/every-input.json'

/** Writes `text` to a file of its own and runs `generate` on it. */
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

/** As Port's API gives it, without what it adds and what is null. */
function cleaned(value: JsonObject): JsonObject {
  const { id, createdAt, createdBy, updatedAt, updatedBy, ...rest } = (value.action ?? value) as JsonObject
  return Object.fromEntries(Object.entries(rest).filter(([, each]) => each !== null))
}

async function checkParses(yaml: string): Promise<void> {
  expect({ yaml, errors: (await parseWorkflow('workflow.yml', yaml)).errors }).toEqual({ yaml, errors: [] })
}

const actions = [everyInput, ...globSync('examples/*/port-action*.json', { cwd: root }).sort()]
const events = ['workflow_dispatch', 'repository_dispatch']

describe.each(actions)('%s', file => {
  test('is valid against the schema of Port actions', () => {
    expect(definitionProblems('actions', cleaned(json(file)))).toEqual([])
  })

  test('becomes a workflow that parses, and again the same action', async () => {
    const workflow = await generated(json(file), 'action.json')
    expect(workflow).toMatchObject({ format: 'workflow', notes: [] })
    await checkParses(workflow.content)
    const back = await actionOf(workflow.content, workflow.file.split('/').at(-1)!)
    expect(back).toEqual(cleaned(json(file)))
    expect(definitionProblems('actions', back)).toEqual([])
  })

  test.each(events)('becomes a workflow of %s, whose inputs come back', async event => {
    const workflow = await generated(json(file), 'action.json', '--event', event, '--client-secret')
    await checkParses(workflow.content)
    expect(Object.keys(parse(workflow.content).on)).toEqual([event])
    const back = await actionOf(workflow.content, workflow.file.split('/').at(-1)!)
    expect(back.trigger).toEqual((cleaned(json(file)) as typeof back).trigger)
  })
})

test('a workflow declares the inputs that GitHub has a type for, and comments keep the rest', async () => {
  const { file, content } = await generated(json(everyInput), 'action.json')
  expect(file).toBe('.github/workflows/every.yml')
  const { on, jobs, permissions } = parse(content)
  const { inputs } = on.workflow_dispatch
  expect(inputs.text).toEqual({
    description: 'Two\nlines: "quoted" # and more',
    type: 'string',
    required: true,
  })
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
  expect(first).toMatchObject({
    uses: 'org/port-webhook-action@v1',
    id: 'port',
    if: '${{ inputs.port }}',
  })
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

test('an existing workflow becomes an action with its inputs', async () => {
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
  const args = ['--relay', 'https://relay.acme.example/', '--repository', 'acme/shop', '--operation', 'DAY-2']
  const { content, file, notes } = await generated(
    workflow,
    'release-it.yml',
    ...args,
    '--blueprint',
    'service',
  )
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
    invocationMethod: {
      type: 'WEBHOOK',
      url: 'https://relay.acme.example/webhook/acme/shop?workflow=release-it.yml',
      agent: false,
      synchronized: false,
      method: 'POST',
      body: RECOMMENDED_BODY,
    },
    requiredApproval: false,
  })
  expect(definitionProblems('actions', action)).toEqual([])
  const quoted = workflow.replace('default: false', "default: 'false'").replace('default: 3', "default: '3'")
  expect((await actionOf(quoted, 'release-it.yml')).trigger.userInputs).toEqual(action.trigger.userInputs)
  expect(notes).toEqual([
    'release-it.yml does not use port-webhook-action: the relay finishes the run in Port when the workflow finishes. To show steps and log lines in Port, add the action and the input "port".',
    'The input stage is an environment on GitHub. Port has no such type: it is text there.',
  ])
})

test('a step of the action needs no id, and a note says what the relay does for a workflow without the action', async () => {
  const notesOf = async (name: string) => {
    const example = readFileSync(join(root, 'examples/existing-workflow', name), 'utf8')
    const { notes } = await generated(example, name, '--relay', 'https://r.acme.example')
    return notes.filter(note => note.startsWith(name))
  }
  expect(await notesOf('release-reporting.yml')).toEqual([])
  expect(await notesOf('release.yml')).toEqual([
    expect.stringContaining('the relay finishes the run in Port'),
  ])
})

test.each(globSync('examples/*/*.yml', { cwd: root }).sort())(
  '%s becomes an action with the inputs that it uses',
  async example => {
    const action = await actionOf(readFileSync(join(root, example), 'utf8'), example.split('/').at(-1)!)
    expect(definitionProblems('actions', action)).toEqual([])
    const [definition] = globSync(`${dirname(example).replace('-oidc', '')}/port-action*.json`, { cwd: root })
    const known = json(definition!).trigger.userInputs.properties
    expect(Object.keys(action.trigger.userInputs.properties).sort()).toEqual(Object.keys(known).sort())
    const query = example.includes('existing-workflow') ? `?workflow=${basename(example)}` : ''
    expect(action.invocationMethod.url).toBe(`https://relay.example.com/webhook${query}`)
  },
)

test('inputs that a job reads from the payload are inputs of the Port action', async () => {
  const yaml = `on: { repository_dispatch: { types: [a, b] } }
jobs:
  x:
    if: github.event.client_payload.port.inputs.where == 'here' && github.event.client_payload.port.inputs['a b']
    runs-on: ubuntu-latest
    steps: [{ uses: acme/port-webhook-action@v1, id: p }, { run: make, env: { A: '\${{ steps.p.outputs.input-action }}', B: '\${{ steps.other.outputs.c }}', C: '\${{ steps.p.outputs.run-id }}' } }]
`
  const action = await actionOf(yaml, 'x.yml', '--identifier', 'b')
  expect(Object.keys(action.trigger.userInputs.properties).sort()).toEqual(['a b', 'action', 'where'])
  expect(action.invocationMethod.url).toMatch(
    /^https:\/\/relay\.example\.com\/webhook(\?workflow=[\w-]+\.yml)?$/,
  )
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
])('the expression %s names the input %s', async (expression, name) => {
  const workflow = {
    on: { repository_dispatch: { types: ['a'] } },
    jobs: {
      x: {
        'runs-on': 'ubuntu-latest',
        steps: [
          { uses: 'acme/port-webhook-action@v1', id: 'p' },
          { run: 'make', if: expression },
          { run: 'make', env: { A: `x \${{ ${expression} }}` } },
        ],
      },
    },
  }
  const action = await actionOf(JSON.stringify(workflow), 'x.yml')
  expect(action.trigger.userInputs.order).toEqual(name === null ? [] : [name])
})

test.each(['steps.p.outputs.entity', "fromJSON(github.event.inputs.port || '{}').port.entity.title"])(
  'inputs that a workflow of workflow_dispatch reads from the payload follow those that it declares, with %s',
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

test('inputs that the relay offers are not inputs of the Port action', async () => {
  const before = readFileSync(join(root, 'test/fixtures/migrate/workflows/deploy.yml'), 'utf8')
  const action = await actionOf(before, 'deploy.yml')
  expect(action.trigger.userInputs.order).toEqual(['version', 'environment'])
})

test.each(['{ type: number }', '{ type: string, default: "8080" }', '{ required: true }'])(
  'an input "port" of the author, %s, is named in a note',
  async input => {
    const yaml = (port: string) =>
      `on: { workflow_dispatch: { inputs: { port: ${port} } } }\njobs: { x: { runs-on: ubuntu-latest, steps: [{ run: make }] } }\n`
    const sentence =
      'x.yml has an input "port" of its own, but the relay puts its payload in this input: rename yours.'
    expect((await generated(yaml(input), 'x.yml')).notes).toContain(sentence)
    const { notes } = await generated(yaml('{ type: string, required: false }'), 'x.yml')
    expect(notes).not.toContain(sentence)
  },
)

test("the action's own outputs are those of action.yml", () => {
  expect(FIXED_OUTPUTS).toEqual(Object.keys(parse(readFileSync(join(root, 'action.yml'), 'utf8')).outputs))
})

test("an action with GitHub as Port's backend becomes a webhook to the relay", async () => {
  const action = {
    identifier: 'deploy',
    trigger: { type: 'self-service', operation: 'CREATE', userInputs: { properties: {}, required: [] } },
    invocationMethod: {
      type: 'GITHUB',
      org: 'acme',
      repo: 'shop',
      workflow: 'roll-out.yml',
      workflowInputs: {},
    },
  }
  const { file, content, notes } = await generated(
    [action],
    'actions.json',
    '--relay',
    'https://r.acme.example',
  )
  expect(file).toBe('.github/workflows/roll-out.yml')
  await checkParses(content)
  const url = 'https://r.acme.example/webhook/acme/shop?workflow=roll-out.yml'
  expect(notes).toEqual([
    `Change the action's backend in Port to the webhook ${url}: --format json prints it.`,
  ])
  const back = await actionOf(content, 'roll-out.yml')
  expect(back.identifier).toBe('deploy')
  expect(back.invocationMethod).toEqual({
    type: 'WEBHOOK',
    url,
    agent: false,
    synchronized: false,
    method: 'POST',
    body: RECOMMENDED_BODY,
  })
  const ofIntegration = {
    ...action,
    invocationMethod: {
      type: 'INTEGRATION_ACTION',
      installationId: '1',
      integrationActionType: 'dispatch_workflow',
      integrationActionExecutionProperties: { org: 'acme', repo: 'shop', workflow: 'roll-out.yml' },
    },
  }
  expect(await generated(ofIntegration, 'a.json', '--relay', 'https://r.acme.example')).toMatchObject({
    file,
    notes,
  })
  const direct = await generated([action], 'a.json', '--format', 'json', '--relay', 'https://r.acme.example')
  const body = { ...RECOMMENDED_BODY, inputs: {} }
  expect(JSON.parse(direct.content).invocationMethod).toEqual({ ...back.invocationMethod, body })
})

test("another system's webhook becomes one to the relay without its headers, and the notes name what changed", async () => {
  const action = <T extends object>(invocationMethod: T) => ({
    identifier: 'deploy',
    trigger: { type: 'self-service', operation: 'CREATE', userInputs: { properties: {}, required: [] } },
    invocationMethod: {
      type: 'WEBHOOK',
      synchronized: true,
      agent: true,
      method: 'PUT',
      ...invocationMethod,
    },
  })
  const headers = { Authorization: 'Bearer of-jenkins', 'X-Team': 'a' }
  const old = action({ url: 'https://ci.acme.example/job/deploy', headers, body: { token: 'of-jenkins' } })
  const args = ['--format', 'json', '--relay', 'https://r.acme.example', '--repository', 'acme/shop']
  const made = await generated(old, 'a.json', ...args)
  const relayed = {
    type: 'WEBHOOK',
    url: 'https://r.acme.example/webhook/acme/shop',
    agent: false,
    synchronized: false,
    method: 'POST',
    body: RECOMMENDED_BODY,
  }
  expect(JSON.parse(made.content).invocationMethod).toEqual(relayed)
  const ofHeaders = "The webhook's headers that the relay doesn't read were removed: Authorization, X-Team."
  expect(made.notes).toEqual([
    'The webhook\'s "synchronized" was true: it is false now.',
    'The webhook\'s "agent" was true: it is false now.',
    'The webhook\'s "method" was PUT: it is POST now.',
    ofHeaders,
    "The webhook's body was replaced by the one that the relay reads.",
  ])
  const workflow = await generated(old, 'a.json', ...args.slice(2))
  expect(JSON.stringify(workflow)).not.toContain('of-jenkins')
  expect(workflow.notes).toEqual([
    `Change the action's backend in Port to the webhook ${relayed.url}: --format json prints it.`,
    ...made.notes,
  ])
  expect((await actionOf(workflow.content, 'deploy.yml')).invocationMethod).toEqual(relayed)
  // The relay's own webhook keeps its address, its body, and Port's agent.
  const body = { github: { event_type: 'ship' }, runId: '{{ .run.id }}', service: '{{ .inputs.s }}' }
  const own = action({ url: 'https://r.acme.example/webhook?ref=main', headers, body })
  const kept = await generated(own, 'a.json', '--format', 'json')
  const { invocationMethod } = JSON.parse(kept.content)
  expect(invocationMethod).toEqual({ ...relayed, url: own.invocationMethod.url, agent: true, body })
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

  test.each(actions)('is valid, and its node brings the relay the same as the action %s', async file => {
    const action = cleaned(json(file)) as JsonObject & { trigger: JsonObject; identifier: string }
    const { workflow } = await portWorkflow(action)
    const [trigger, node] = [workflow.nodes[0], workflow.nodes.at(-1)]
    const { operation, blueprintIdentifier: blueprint, userInputs } = action.trigger
    expect(trigger.config.userInputs.properties).toMatchObject(
      (userInputs as JsonObject).properties as object,
    )
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
    const { properties } = userInputs as { properties: Record<string, JsonObject> }
    const secret = Object.keys(properties).filter(name => properties[name]!.encryption)
    expect(readInvocation(body).encrypted).toEqual(secret)
  })

  test('asks for approval before its webhook with --approval, or if the action requires one', async () => {
    const yaml =
      'on: { workflow_dispatch: { inputs: { port: {}, tag: { required: true } } } }\njobs: { x: { runs-on: u, steps: [] } }\n'
    const { workflow, notes } = await portWorkflow(yaml, '--approval', '--relay', 'https://r.acme.example')
    expect(workflow.nodes.map(({ config }: { config: JsonObject }) => config.type)).toEqual([
      'SELF_SERVE_TRIGGER',
      'INPUT',
      'WEBHOOK',
    ])
    expect(workflow.nodes[2].config.url).toBe('https://r.acme.example/webhook?workflow=release.yml')
    expect(workflow.connections).toEqual([
      { sourceIdentifier: 'trigger', targetIdentifier: 'approval' },
      { sourceIdentifier: 'approval', targetIdentifier: 'github', sourceOutletIdentifier: 'approve' },
    ])
    expect(notes).toContain('Name who approves: add "responders" to the node "approval".')
    const action = JSON.parse((await generated(yaml, 'release.yml', '--approval')).content)
    expect(action.requiredApproval).toBe(true)
    expect((await portWorkflow(action)).workflow).toMatchObject({
      nodes: [{}, { identifier: 'approval' }, {}],
    })
    expect((await portWorkflow(yaml)).workflow.nodes).toHaveLength(2)
  })

  test('takes the entity from an input of a free name, and names what it leaves out', async () => {
    const { workflow, notes } = await portWorkflow({
      identifier: 'svc.restart/now',
      trigger: {
        ...{ type: 'self-service', operation: 'DAY-2', blueprintIdentifier: 'service' },
        condition: { type: 'SEARCH', rules: [], combinator: 'and' },
        userInputs: { properties: { entity: { type: 'string' } }, required: ['entity'], order: ['entity'] },
      },
      invocationMethod: {
        type: 'GITHUB',
        org: 'acme',
        repo: 'shop',
        workflow: 'r.yml',
        workflowInputs: { a: '1' },
      },
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
      'The inputs that the old backend computed were left out: compute them in the body of the webhook.',
      'The form asks for the service in the input port_entity.',
      'Left out, because a Port workflow has no such setting: approvalNotification, condition.',
    ])
  })
})

test('an automation becomes a workflow with its event, and again the same automation', async () => {
  const automation = {
    identifier: 'on_change',
    title: 'On change',
    trigger: {
      type: 'automation',
      event: { type: 'ENTITY_UPDATED', blueprintIdentifier: 'service' },
      condition: { type: 'JQ', expressions: ['.diff.after.x'], combinator: 'and' },
    },
    invocationMethod: { type: 'WEBHOOK', url: 'https://r.acme.example/webhook', body: RECOMMENDED_BODY },
    publish: true,
  }
  const { content } = await generated(automation, 'automation.json')
  await checkParses(content)
  expect(content).toContain('EVENT: ${{ steps.port.outputs.event }}')
  const back = await actionOf(content, 'on_change.yml')
  const completed = { ...automation.invocationMethod, agent: false, synchronized: false, method: 'POST' }
  expect(back).toEqual({ ...automation, invocationMethod: completed })
  expect(definitionProblems('actions', back)).toEqual([])
})

test('an edit of the workflow changes the action, and its comments keep the rest', async () => {
  const { content } = await generated(json(everyInput), 'action.json')
  const edited = content.replace('        default: 2\n', '        default: 3\n        required: true\n')
  const back = await actionOf(edited, 'every.yml')
  const { replicas } = back.trigger.userInputs.properties
  expect(replicas).toEqual({ type: 'number', title: 'Replicas', minimum: 1, maximum: 9.5, default: 3 })
})

test('inputs of any text, default and type come back, and each workflow parses', async () => {
  const text = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 30 }),
    fc.constantFrom(
      'yes',
      'null',
      '~',
      '1e3',
      '- a',
      'a: b',
      'a # b',
      "it's",
      '"',
      '${{ x }}',
      ' x ',
      '\n',
      '\u2028',
      '{{ .x }}',
    ),
  )
  const about = { title: fc.option(text), description: fc.option(text), icon: fc.option(text) }
  const property = fc.oneof(
    fc.record({
      ...about,
      type: fc.constant('string'),
      default: fc.option(text),
      format: fc.option(fc.constantFrom('url', 'user')),
    }),
    fc.record({
      ...about,
      type: fc.constant('string'),
      enum: fc.uniqueArray(text, { minLength: 1, maxLength: 4 }),
      default: fc.option(text),
    }),
    fc.record({
      ...about,
      type: fc.constant('number'),
      default: fc.option(fc.double({ noNaN: true, noDefaultInfinity: true })),
    }),
    fc.record({ ...about, type: fc.constant('boolean'), default: fc.option(fc.boolean()) }),
    fc.record({
      ...about,
      type: fc.constant('array'),
      items: fc.constant({ type: 'string' }),
      default: fc.option(fc.array(text)),
    }),
    fc.record({
      ...about,
      type: fc.constant('object'),
      default: fc.option(fc.dictionary(text, fc.jsonValue())),
    }),
  )
  const name = fc.stringMatching(/^[A-Za-z0-9@_=-]{1,12}$/).filter(each => each !== '__proto__')
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
        'https://r.acme.example/webhook',
        'https://r.acme.example/webhook/acme/shop?workflow=a.yml',
        'https://relay.example.com/webhook?event_type=other',
      ),
      body: fc.constantFrom(RECOMMENDED_BODY, {
        github: { repository: 'acme/web', event_type: 'x' },
        a: '{{ .inputs }}',
      }),
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
      const wanted = {
        ...withoutNulls(rest as JsonObject),
        invocationMethod: { agent: false, synchronized: false, method: 'POST', ...rest.invocationMethod },
        trigger: {
          ...trigger,
          userInputs: {
            ...withoutNulls(inputs),
            properties: Object.fromEntries(
              Object.entries(properties).map(([key, value]) => [key, withoutNulls(value as JsonObject)]),
            ),
          },
        },
      }
      const { content, file } = await generated(given, 'action.json')
      await checkParses(content)
      expect(await actionOf(content, file.split('/').at(-1)!)).toEqual(wanted)
    }),
    { numRuns: 60, endOnFailure: true },
  )
})

test('--output writes the file, and replaces nothing', async () => {
  const output = join(temporaryFolder(), 'restart.yml')
  const args = [join(root, 'examples/restart/port-action.json'), '--output', output]
  expect(await run(generate, args)).toEqual({ code: 0, stdout: `Written: ${output}`, stderr: '' })
  await checkParses(readFileSync(output, 'utf8'))
  expect(await run(generate, args)).toEqual({
    code: 1,
    stdout: '',
    stderr: `${output} already exists: remove it, or choose another name.`,
  })
  expect(existsSync(output)).toBe(true)
})

test('only the file is on stdout; notes are on stderr', async () => {
  const { stdout, stderr } = await run(generate, [join(root, 'examples/restart/restart.yml')])
  expect(JSON.parse(stdout)).toMatchObject({ identifier: 'restart_service', title: 'Restart service' })
  expect(stderr.split('\n')).toEqual([
    'Replace https://relay.example.com with the address of your relay, or pass --relay.',
    'The operation of the action is DAY-2: pass its blueprint, --blueprint NAME.',
  ])
  const env = { RELAY_PUBLIC_URL: 'https://r.acme.example', GITHUB_REPOSITORY: 'acme/shop' }
  const args = [join(root, 'examples/restart/restart.yml'), '--blueprint', 'service']
  const addressed = await run(generate, args, env)
  expect(JSON.parse(addressed.stdout)).toMatchObject({
    invocationMethod: { url: 'https://r.acme.example/webhook/acme/shop' },
  })
  expect(addressed.stderr).toBe('')
})

describe('generate says what is wrong', () => {
  const jobs = 'jobs: { x: { runs-on: ubuntu-latest, steps: [{ run: make }] } }'
  const v1 = { identifier: 'old', trigger: 'CREATE', invocationMethod: {}, userInputs: {} }
  const two = {
    ok: true,
    actions: ['a', 'b'].map(identifier => ({ identifier, trigger: {}, invocationMethod: {} })),
  }
  const broken = { identifier: 'x', trigger: { userInputs: { properties: { y: {} } } }, invocationMethod: {} }
  test.each([
    [
      'neither',
      'a: 1',
      [],
      1,
      /^FILE is neither a workflow \(on, jobs\) nor a Port action \(identifier, trigger\)\.$/,
    ],
    ['no YAML', 'on: [', [], 1, /^FILE is not YAML: .*\.$/],
    [
      'other events',
      `on: push\n${jobs}`,
      [],
      1,
      /^FILE is started by push: add workflow_dispatch or repository_dispatch, which Port can start\.$/,
    ],
    [
      'the wrong event',
      `on: workflow_dispatch\n${jobs}`,
      ['--event', 'repository_dispatch'],
      1,
      /^FILE is not started by repository_dispatch\.$/,
    ],
    [
      'several types',
      `on: { repository_dispatch: { types: [a, b] } }\n${jobs}`,
      [],
      1,
      /^FILE listens to several event types: choose one with --identifier: a, b\.$/,
    ],
    [
      'a broken comment',
      `# port-action: {"a"\non: workflow_dispatch\n${jobs}`,
      [],
      1,
      /^Line 1: the comment "# port-action:" must be followed by a JSON object on the same line\.$/,
    ],
    [
      'an older action',
      JSON.stringify(v1),
      [],
      1,
      /^The Port action old is in Port's older format: it has no "trigger" object\. Export it from Port again\.$/,
    ],
    [
      'several actions',
      JSON.stringify(two),
      [],
      1,
      /^The file has several Port actions. Choose one with --identifier: a, b\.$/,
    ],
    ['an input without type', JSON.stringify(broken), [], 1, /^The input "y" of x has no type\.$/],
    [
      'a workflow to workflow',
      `on: workflow_dispatch\n${jobs}`,
      ['--format', 'workflow'],
      2,
      /is a workflow already: use --format json or port-workflow\.$/,
    ],
    [
      'an automation to a Port workflow',
      JSON.stringify({ ...broken, trigger: { type: 'automation' } }),
      ['--format', 'port-workflow'],
      1,
      /^x is an automation: --format port-workflow needs a self-service action\.$/,
    ],
    ['a format', '', ['--format', 'xml'], 2, /^--format must be one of json, port-workflow, workflow\.$/],
    ['a relay', '', ['--relay', 'relay'], 2, /^--relay "relay" must be an http\(s\) URL\.$/],
    ['a repository', '', ['--repository', 'shop'], 2, /^--repository must be OWNER\/NAME\.$/],
  ])('%s', async (_, content, args, code, sentence) => {
    const file = join(temporaryFolder(), 'FILE')
    writeFileSync(file, content)
    const result = await run(generate, [file, ...args])
    expect(result).toMatchObject({ code, stdout: '' })
    expect(result.stderr).toMatch(sentence)
  })

  test('no file, and one that is missing', async () => {
    expect(await run(generate)).toEqual({
      code: 2,
      stdout: '',
      stderr: 'Name the file: generate FILE, a workflow or a Port action.',
    })
    expect((await run(generate, ['/missing.yml'])).stderr).toBe("/missing.yml can't be read (ENOENT).")
  })
})
