import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { RECOMMENDED_BODY } from '../../cli/generate/invocation-method.ts'
import { FIXED_OUTPUTS } from '../../cli/generate/read-workflow.ts'
import { generate } from '../../cli/generate.ts'
import type { JsonObject } from '../../port/types.ts'
import { parseWorkflow } from '../../simulator/runner/parser.ts'
import { definitionProblems } from '../support/definition-problems.ts'
import { temporaryFolder } from '../support/relay.ts'
import { run } from '../support/run-command.ts'

const root = join(import.meta.dirname, '../..')

const json = (file: string) => JSON.parse(readFileSync(join(root, file), 'utf8'))

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

const ofRelay = { type: 'WEBHOOK', agent: false, synchronized: false, method: 'POST', body: RECOMMENDED_BODY }
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
  expect((await parseWorkflow('workflow.yml', workflow)).errors).toEqual([])
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
    'release-it.yml doesn\'t use port-webhook-action: the relay finishes the run in Port when the workflow finishes. To show steps and log lines in Port, add the action and the input "port".',
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
  expect(notes.some(note => note.includes("doesn't use port-webhook-action"))).toBe(!usesAction)
  const folder = dirname(example).replace('-oidc', '')
  const [file] = globSync(`${folder}/port-{action,workflow}*.json`, { cwd: root })
  const { trigger, nodes } = json(file!)
  const known = (trigger ?? nodes[0].config).userInputs.properties
  expect(Object.keys(action.trigger.userInputs.properties).sort()).toEqual(Object.keys(known).sort())
  const query = example.includes('existing-workflow') ? `?workflow=${basename(example)}` : ''
  expect(action.invocationMethod.url).toBe(`https://relay.example.com/webhook${query}`)
})

test.each([
  ['steps.p.outputs.version', 'version'],
  ["steps['p'].outputs['input-action']", 'action'],
  ['fromJSON(steps.p.outputs.inputs).replicas', 'replicas'],
  ["fromJSON(steps.p.outputs.inputs || '{}')['replicas']", 'replicas'],
  ["format('{0}', fromJSON(steps['p'].outputs['inputs'])['it''s'].a.b)", "it's"],
  ['toJSON(steps.p.outputs.version)', 'version'],
  ["github.event.client_payload.port.inputs['a b']", 'a b'],
  ["fromJSON(github.event.inputs.port || '{}').port.inputs.version", 'version'],
  ["fromJSON(inputs.port || '{}').port.inputs['a b']", 'a b'],
  ["fromJSON(github.event.inputs.port || '{}').port.entity.title", null],
  ['fromJSON(steps.p.outputs.entity).title', null],
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

test.each([
  ['steps.p.outputs.entity', 'DAY-2'],
  ["fromJSON(github.event.inputs.port || '{}').port.entity.title", 'DAY-2'],
  ['fromJson(inputs.port_context).entity.identifier', 'DAY-2'],
  ["fromJSON(github.event.inputs['port_context']).context.entity", 'DAY-2'],
  ['fromJSON( inputs.port_payload ).payload.entity.title', 'DAY-2'],
  ['steps.other.outputs.entity', 'CREATE'],
  ['fromJSON(inputs.port_context).blueprint', 'CREATE'],
])('a workflow that reads %s becomes an action with the operation %s', async (expression, operation) => {
  const yaml = `on: { workflow_dispatch: { inputs: { size: { type: string }, port: { type: string } } } }
jobs:
  x:
    runs-on: ubuntu-latest
    env: { E: "\${{ ${expression} }}" }
    steps:
      - { uses: acme/port-webhook-action@v1, id: p }
      - run: make \${{ inputs.size }} \${{ steps.p.outputs.size }} \${{ fromJSON(steps.p.outputs.inputs).where }}
`
  const action = await actionOf(yaml, 'x.yml')
  // Declared inputs come before inputs that the workflow reads from the payload without declaring them.
  expect(action.trigger).toMatchObject({ operation, userInputs: { order: ['size', 'where'] } })
})

test("inputs that the relay provides don't become inputs of the Port action", async () => {
  const before = readFileSync(join(root, 'test/fixtures/migrate/workflows/deploy.yml'), 'utf8')
  const action = await actionOf(before, 'deploy.yml')
  expect(action.trigger.userInputs.order).toEqual(['version', 'environment'])
})

const WHOLE = 'contains the entity as an object if the relay makes the context, because x.yml'
/** Columns: the declared inputs, the step (with expressions in `<>`), the form's inputs, the operation, and a part of the note. */
const READS = `
port_payload, size | run: <fromJson(inputs.port_payload).payload.properties.tag> <inputs.size> | size, tag | CREATE
port_payload | run: <fromJson(github.event.inputs.port_payload).event.diff.after.title> | | CREATE | x.yml reads an event, which Port sends only for an automation
runId | uses: port-labs/port-github-action@v1; with:;   runId: <inputs.runId> | | CREATE | The form has no input runId, because the relay fills it with the Port run's ID.
runId | run: gh run download <inputs.runId> | runId | CREATE
context | run: <fromJSON(inputs.context).runId> <fromJSON(inputs.context).entity> | | DAY-2 | The form has no input context, because the relay fills it with Port's context.
port_context | env:;   CONTEXT: <inputs.port_context>; run: echo <toJSON(inputs)> | | CREATE | ${WHOLE} passes on the whole input (lines 10, 11). To get the identifier, read .entity.identifier instead of .entity.
port_context | run: <fromJSON(inputs.port_context).entity>;   <fromJSON(inputs.port_context).entity.title> | | DAY-2 | ${WHOLE} reads the entity as an object (line 10). To get the identifier, read .entity.identifier instead of .entity (line 9).
port_context | run: <fromJSON(inputs.port_context).entity.title> <inputs.port_context> | | DAY-2
port_context | run: <fromJson(inputs.port_context).triggered_by>;   <toJson(fromJson(inputs.port_context)['relations'])> | | CREATE | port_context has no triggered_by, relations if the relay makes it, although x.yml reads this (lines 9, 10): add port_context with these keys
port_payload | env:;   PAYLOAD: <inputs.port_payload>; run: tool | | CREATE | x.yml passes on port_payload, from which it can read other inputs: add them to the form.
port_payload | run: <fromJson(inputs.port_payload).run.id> <fromJson(inputs.port_payload).status> | | CREATE | port_payload has no status if`
test.each(
  READS.trim()
    .split('\n')
    .map(row => row.split('|').map(cell => cell.trim())),
)(
  'a workflow with the inputs %s and the step "%s" has the form "%s", operation %s, and the note "%s"',
  async (...row) => {
    const [names = '', step = '', form = '', operation, part] = row
    const listOf = (text: string) => text.split(', ').filter(Boolean)
    const inputs = listOf(names).map(name => `${name}: { type: string }`)
    const lines = step.replace(/<(.*?)>/g, '$${{ $1 }}').split('; ')
    const yaml = `on:
  workflow_dispatch:
    inputs: { ${inputs.join(', ')} }
jobs:
  x:
    runs-on: ubuntu-latest
    steps:
      - name: Step
${lines.map(line => `        ${line}\n`).join('')}`
    const { content, notes } = await generated(yaml, 'x.yml')
    expect(JSON.parse(content).trigger).toMatchObject({ operation, userInputs: { order: listOf(form) } })
    const others = /^(Replace|An action with the operation|x\.yml doesn't use)/
    const shown = notes.filter(note => !others.test(note))
    expect(shown).toEqual(part === undefined ? [] : [expect.stringContaining(part)])
  },
)

test("prints an error of GitHub's parser with its line", async () => {
  const yaml = `on:
  workflow_dispatch:
    inputs: { tags: { type: array } }
    secrets: { TOKEN: { required: true } }
jobs: { x: { runs-on: ubuntu-latest, uses: ./.github/workflows/other.yml } }
`
  const { notes, content } = await generated(yaml, 'x.yml')
  expect(notes[0]).toMatch(
    /^GitHub's parser rejects the workflow: x\.yml .*Line: 3, .*'array'; .*Line: 4, .*'secrets'/,
  )
  expect(JSON.parse(content).identifier).toBe('x')
})

test("the list of the action's own outputs matches action.yml", () => {
  expect(FIXED_OUTPUTS).toEqual(Object.keys(parse(readFileSync(join(root, 'action.yml'), 'utf8')).outputs))
})

test('--format workflow prints a Port workflow, in which --approval adds an approval before the webhook', async () => {
  const on = 'on: { workflow_dispatch: { inputs: { port: {}, tag: { required: true } } } }'
  const yaml = `${on}\njobs: { x: { runs-on: u, steps: [] } }\n`
  const portWorkflow = async (...args: string[]) => {
    const { content, notes } = await generated(yaml, 'release.yml', '--format', 'workflow', ...args)
    return { workflow: JSON.parse(content), notes }
  }
  const { workflow, notes } = await portWorkflow('--approval', '--relay', 'https://r.acme.example')
  expect(definitionProblems('workflows', workflow)).toEqual([])
  const types = workflow.nodes.map(({ config }: { config: JsonObject }) => config.type)
  expect(types).toEqual(['SELF_SERVE_TRIGGER', 'INPUT', 'WEBHOOK'])
  expect(workflow.nodes[0].config.userInputs).toMatchObject({ required: ['tag'], order: ['tag'] })
  expect(workflow.nodes[2].config).toMatchObject({
    url: 'https://r.acme.example/webhook?workflow=release.yml',
    synchronized: false,
    body: { workflowRun: { identifier: '{{ .workflowRun.identifier }}' } },
  })
  expect(workflow.connections).toEqual([
    { sourceIdentifier: 'trigger', targetIdentifier: 'approval' },
    { sourceIdentifier: 'approval', targetIdentifier: 'github', sourceOutletIdentifier: 'approve' },
  ])
  expect(notes).toContain('Specify who approves: add "responders" to the node "approval".')
  const action = JSON.parse((await generated(yaml, 'release.yml', '--approval')).content)
  expect(action.requiredApproval).toBe(true)
  expect((await portWorkflow()).workflow.nodes).toHaveLength(2)
})

const jobs = 'jobs: { x: { runs-on: ubuntu-latest, steps: [{ run: make }] } }'
const anAction = JSON.stringify({ identifier: 'a', trigger: {}, invocationMethod: {} })

/** Columns: the file, the arguments, the exit code, and the message. */
const REFUSED = `
a: 1 |  | 1 | FILE isn't a workflow (on, jobs). migrate --port-action converts a Port action.
${anAction} |  | 1 | FILE isn't a workflow (on, jobs). migrate --port-action converts a Port action.
on: [ |  | 1 | FILE isn't YAML: Flow sequence in block collection must be sufficiently indented and end with a ] at line 1, column 6.
on: push; ${jobs} |  | 1 | FILE is started by push: add workflow_dispatch or repository_dispatch, so that Port can start it.
on: workflow_dispatch; ${jobs} | --event repository_dispatch | 1 | FILE has no trigger repository_dispatch.
on: { repository_dispatch: { types: [a, b] } }; ${jobs} |  | 1 | FILE listens to several event types: choose one with --identifier: a, b.
a: 1 | --format xml | 2 | --format must be one of action, workflow, not "xml"; see generate --help.
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
