import { expect, onTestFinished, test } from 'vitest'
import { parse } from 'yaml'
import type { JsonObject } from '../../port/types.ts'
import { createGitHub } from '../../relay/github/client.ts'
import { startGitHubApi } from '../../simulator/github/github.ts'
import { dispatchContent } from '../support/dispatch-content.ts'
import { workflow } from './open-scene.ts'

const ENTITY = { identifier: 'shop', title: 'The shop', properties: { tier: 1 } }
const TRIGGER = { by: { user: { email: 'ada@acme.example' } }, operation: 'DAY-2' }
const RUN_ID = 'r_1'

/** A workflow that declares these inputs, all of which are required, and runs these steps. */
const file = (names: string[], steps: string) => `on:
  workflow_dispatch:
    inputs:
${names.map(name => `      ${name}: { type: string, required: true }\n`).join('')}
jobs:
  x:
    runs-on: ubuntu-latest
    steps:
${steps}
`

type Result = Record<string, string> | string

/** Returns a function that dispatches a workflow, and returns the inputs that GitHub accepts, or why there are none. */
async function openDispatch() {
  const api = await startGitHubApi()
  onTestFinished(() => api.close())
  const config = { apiUrl: api.url, auth: { token: api.token }, webhookSecret: null, oidcIssuer: '' }
  const github = createGitHub(config)
  let count = 0
  return {
    api,
    async dispatch(content: string, more: JsonObject = {}): Promise<Result> {
      const repository = `acme/r${++count}`
      const { inputs } = parse(content).on.workflow_dispatch
      api.addRepository(repository, { workflows: [{ ...workflow(inputs), content }] })
      const body = {
        ...{ run: { id: 'r_1' }, action: { identifier: 'deploy', blueprint: 'service' } },
        ...{ entity: ENTITY, trigger: TRIGGER, inputs: {}, ...more },
      }
      const target = { repository, eventType: null, workflow: 'deploy.yml', ref: null }
      const outcome = await github.dispatch(target, dispatchContent(body))
      const found = api.workflowDispatches.find(each => each.repository === repository)
      return found?.inputs ?? ('reason' in outcome ? outcome.reason : outcome.kind)
    },
  }
}

const parsed = (inputs: Result, name: string) => JSON.parse((inputs as Record<string, string>)[name]!)

const uses = (...expressions: string[]) =>
  file(
    ['port_context', 'port_payload', 'port'],
    expressions.map(each => `      - run: make "\${{ ${each} }}"`).join('\n'),
  )

const CONTEXT = 'fromJson(inputs.port_context)'
const SCRIPT = 'uses: actions/github-script@v8\n        with: { script: "f(context.payload.inputs)" }'

/** Workflow files, and whether the relay sends the entity as text. */
const ENTITIES: Record<string, [string, 'text' | 'object']> = {
  'every expression reads text': [uses(`${CONTEXT}.entity`, `${CONTEXT}.runId`), 'text'],
  'the text is a part of a URL': [uses(`format('https://x/{0}', ${CONTEXT}.entity)`), 'text'],
  'names in brackets': [uses("fromJSON( github.event.inputs['port_context'] )['entity']"), 'text'],
  'a condition on the input': [
    uses(`inputs.port_context && ${CONTEXT}.entity`, "inputs.port_context != ''"),
    'text',
  ],
  'a default for an empty input': [uses("fromJSON(inputs.port_context || '{}').entity"), 'text'],
  'a property': [uses(`${CONTEXT}.entity`, `${CONTEXT}.entity.title`), 'object'],
  'a computed key': [uses(`${CONTEXT}.entity[inputs.key]`, `${CONTEXT}.entity`), 'object'],
  'JSON of the entity': [uses(`${CONTEXT}.entity`, `toJSON(${CONTEXT}.entity)`), 'object'],
  'JSON of the context': [uses(`${CONTEXT}.entity`, `toJSON(${CONTEXT})`), 'object'],
  'a script with the input': [uses(`${CONTEXT}.entity`, 'inputs.port_context'), 'object'],
  'a script with every input': [uses(`${CONTEXT}.entity`, 'toJSON(github.event.inputs)'), 'object'],
  'JavaScript with every input': [`${uses(`${CONTEXT}.entity`)}      - ${SCRIPT}\n`, 'object'],
  'no expression': [uses(`${CONTEXT}.context.entity`), 'object'],
  'a long file': [`${uses(`${CONTEXT}.entity`)}#${'x'.repeat(250_000)}\n`, 'object'],
}

test("the entity in the relay's port_context is text if every expression reads it as text, and nothing passes on the input", async () => {
  const { dispatch, api } = await openDispatch()
  const sent = Object.entries(ENTITIES).map(async ([name, [content]]) => {
    const inputs = await dispatch(content)
    const { runId, entity, context } = parsed(inputs, 'port_context')
    expect([runId, context.entity]).toEqual([RUN_ID, 'shop'])
    expect(parsed(inputs, 'port_payload').entity).toEqual(ENTITY)
    expect(parsed(inputs, 'port').port.entity).toEqual(ENTITY)
    return [name, typeof entity === 'string' ? 'text' : 'object']
  })
  const expected = Object.entries(ENTITIES).map(([name, [, kind]]) => [name, kind])
  expect(await Promise.all(sent)).toEqual(expected)

  const content = uses(`${CONTEXT}.entity`)
  const own = { runId: 'r_1', entity: ENTITY }
  expect(parsed(await dispatch(content, { inputs: { port_context: own } }), 'port_context')).toEqual(own)
  expect(parsed(await dispatch(content, { entity: {} }), 'port_context').entity).toBeNull()
  api.fail({ match: ({ path }) => path.includes('/contents/'), status: 403 })
  expect(parsed(await dispatch(content), 'port_context').entity).toEqual(ENTITY)
})

const step = (text: string) => `      - ${text}`
const PORT_STEP = 'uses: port-labs/port-github-action@v1; with:;   operation: PATCH_RUN;   '
const API = 'https://api.port.io/v1'
/** Columns: whether the relay fills the input, its name, and the steps. */
const RUN_IDS = `
yes | runId | ${PORT_STEP}runId: \${{ inputs.runId }}
yes | runID | run: curl ${API}/actions/runs/\${{ github.event.inputs.runID }}
yes | run-id | run: curl '${API}/blueprints/x/entities?run_id=\${{ inputs['run-id'] }}'
yes | runId | env:;   PORT_RUN_ID: \${{ inputs.runId }}; run: curl ${API}/actions/runs/$PORT_RUN_ID
yes | runId | ${PORT_STEP.replace(';   op', ' { op').replace(';   ', ', ')}runId: "\${{ inputs.runId }}" }
yes | runId | ${PORT_STEP}logMessage: |-;     - Deployed;   runId: \${{ inputs.runId }}
yes | runId | env:;   PORT_RUN_ID: \${{ inputs.runId }}; run: ./report
yes | runId | uses: other/action@v1; with:;   port-run-id: \${{ inputs.runId }}
yes | port_node_run_id | run: ./report \${{ inputs.port_node_run_id }}
yes | port-run-id | run: make
no | runId | run: gh run download \${{ inputs.runId }}
no | runId | uses: other/action@v1; with:;   runId: \${{ inputs.runId }}
no | runId | ${PORT_STEP}link: https://github.com/a/b/actions/runs/\${{ inputs.runId }}
no | port_run_identifier | run: terraform apply \${{ inputs.port_run_identifier }}`

test("an input that is named like a run ID gets the Port run's ID if the file uses it for Port, and Port sends no value", async () => {
  const { dispatch } = await openDispatch()
  const rows = RUN_IDS.trim().split('\n')
  const results = rows.map(async row => {
    const [isFilled, name = '', text = ''] = row.split(' | ')
    const read = step(text.replaceAll('; ', '\n        '))
    const inputs = await dispatch(file([name], read))
    const refused = expect.stringContaining(`requires the input "${name}"`)
    expect([row, inputs]).toEqual([row, isFilled === 'yes' ? { [name]: RUN_ID } : refused])
    expect(await dispatch(file([name], read), { inputs: { [name]: '17' } })).toEqual({ [name]: '17' })
  })
  await Promise.all(results)
})

test("an input gets Port's context if the workflow reads the run ID from the input, and no keys that the context lacks", async () => {
  const { dispatch } = await openDispatch()
  const reads = (...keys: string[]) =>
    file(['context'], keys.map(key => step(`run: "\${{ fromJSON(inputs.context).${key} }}"`)).join('\n'))
  const filled = await dispatch(reads('runId', 'entity', 'trigger.by.user.email'))
  expect(parsed(filled, 'context')).toMatchObject({ runId: RUN_ID, entity: 'shop' })
  expect(parsed(await dispatch(reads('context.runId', 'entity.title')), 'context').entity).toEqual(ENTITY)
  for (const keys of [['entity'], ['runId', 'cluster']])
    expect(await dispatch(reads(...keys))).toContain('requires the input "context"')
})

test('port_payload carries the inputs that the workflow reads from it, and no others', async () => {
  const { dispatch } = await openDispatch()
  const reads = (expression: string) => file(['port_payload'], step(`run: "\${{ ${expression} }}"`))
  const some = reads('fromJson(inputs.port_payload).payload.properties.tag')
  const all = reads('toJSON(fromJson(inputs.port_payload).payload.properties)')
  const form = (inputs: JsonObject) => ({ inputs: { tag: 'v1', ...inputs } })
  for (const [content, { inputs }] of [
    [some, form({})],
    [all, form({ size: 1 })],
  ] as const) {
    const sent = await dispatch(content, { inputs })
    expect(Object.keys(sent)).toEqual(['port_payload'])
    expect(parsed(sent, 'port_payload').payload).toEqual({ entity: ENTITY, properties: inputs })
  }
  const own = form({ port_payload: { payload: {} } })
  expect(await dispatch(some, form({ size: 1 }))).toContain(`doesn't declare the input "size" on "main"`)
  expect(await dispatch(some, own)).toContain(`doesn't declare the input "tag"`)
  expect(await dispatch(some, form({ tag: 'x'.repeat(70_000) }))).toContain('at most 65,535 characters')
})
