import { globSync } from 'node:fs'
import { basename, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readInvocation } from '../port/invocation/invocation.ts'
import type { JsonObject } from '../port/types.ts'
import { createTargets } from '../relay/intake/target.ts'
import { parseWorkflow } from '../simulator/runner/parser.ts'
import {
  definition,
  entity,
  invocationOf,
  parsed,
  RUN_ID,
  root,
  text,
  typed,
  workflowOf,
} from './render-example.ts'
import { onFakes, simulateForPort } from './support/simulate-for-port.ts'

const workflows = globSync('examples/*/*.yml', { cwd: root }).sort()
/** The workflows that were written for Port. All other examples show existing workflows. */
const ownWorkflows = workflows.filter(file => !file.includes('existing-workflow'))
const definitions = globSync('examples/*/port-action*.json', { cwd: root }).sort()

describe.each([...workflows, ...globSync('.github/workflows/*.yml', { cwd: root })])('%s', file => {
  test("passes GitHub's own parser", async () => {
    expect((await parseWorkflow(basename(file), text(file))).errors).toEqual([])
  })

  test('declares the permissions of each job, and passes no event data to a shell', () => {
    const { permissions, jobs } = parsed(file)
    expect(permissions).toBeTypeOf('object')
    const scripts = Object.values<{ steps: { run?: string }[] }>(jobs).flatMap(job => job.steps)
    for (const { run } of scripts) expect(run ?? '').not.toContain('${{')
  })
})

test.each(ownWorkflows)('%s has the run id in its title, and each job starts with the action', file => {
  const { 'run-name': title, jobs } = parsed(file)
  expect(title).toBe('${{ github.event.client_payload.action }} ${{ github.event.client_payload.run_id }}')
  for (const job of Object.values<{ steps: { uses?: string }[] }>(jobs)) {
    expect(job.steps[0]?.uses).toBe('org/port-webhook-action@v1')
  }
})

describe.each(definitions)('%s', file => {
  const action = definition(file)

  test('is an asynchronous webhook, as Port requires', () => {
    const settings = { type: 'WEBHOOK', agent: false, synchronized: false, method: 'POST' }
    expect(action.invocationMethod).toMatchObject(settings)
    const { properties, required, order } = action.trigger.userInputs
    expect(order).toEqual(Object.keys(properties))
    expect(Object.keys(properties)).toEqual(expect.arrayContaining(required))
  })

  test('targets the event type or the workflow file of its workflow', () => {
    const chooseTarget = createTargets({ repository: 'acme/shop', allowed: ['acme/shop'], routes: [] })
    const url = new URL(action.invocationMethod.url)
    expect(url.pathname).toBe('/webhook')
    const { eventType, workflow } = chooseTarget(invocationOf(file), {
      repository: null,
      eventType: url.searchParams.get('event_type'),
      workflow: url.searchParams.get('workflow'),
      ref: null,
    })
    const { on } = parsed(workflowOf(file))
    if (workflow === null) return expect(on.repository_dispatch.types).toEqual([eventType])
    expect(basename(workflowOf(file))).toBe(workflow)
    const declared = Object.keys(on.workflow_dispatch.inputs)
    expect(Object.keys(action.trigger.userInputs.properties)).toEqual(declared)
  })

  test('sends every output or input that its workflow reads', () => {
    const sent = { ...parsed('action.yml').outputs, ...action.trigger.userInputs.properties }
    const read = [...text(workflowOf(file)).matchAll(/(?:steps\.port\.outputs|inputs)\.([\w-]+)/g)]
    expect(read.length).toBeGreaterThan(0)
    for (const [, name] of read) expect(sent).toHaveProperty([name!])
  })

  test('contains inputs, run id, and no personal data except name and email', () => {
    const invocation = invocationOf(file)
    expect(invocation).toMatchObject({ runId: RUN_ID, runIdFrom: 'body', kind: 'action_run' })
    expect(invocation.inputs).toEqual(typed[action.identifier])
    expect(JSON.stringify(invocation)).not.toContain('phoneNumber')
  })
})

const trigger = { by: { email: 'ada@acme.example', name: 'Ada Lovelace' }, origin: 'UI' }
const CONTEXT = { action: 'deploy_service', operation: 'CREATE', entity: null, trigger }

test.each<[string, string, object]>([
  [
    'the default body contains only the inputs and the run id',
    'deploy/port-action.default-body',
    { action: null, operation: null, entity: null, trigger: null },
  ],
  ['the full context contains action, operation, and user', 'deploy/port-action.full-context', CONTEXT],
  ['the legacy body contains action, operation, and user', 'deploy/port-action.legacy-body', CONTEXT],
  ['a day-2 action sends its entity', 'restart/port-action', { entity, blueprint: 'service' }],
])('%s', (_, example, context) => {
  expect(invocationOf(`examples/${example}.json`)).toMatchObject(context)
})

/** Simulates the workflow in the folder of a Port action's definition. */
function simulate(example: string, commands: string[], broken = '') {
  const portAction = `examples/${example}.json`
  const file = join(root, workflowOf(portAction))
  return simulateForPort({ file }, invocationOf(portAction), commands, { broken })
}

test("the restart example restarts the Port action's entity", async () => {
  const { run, log, calls } = await simulate('restart/port-action', ['kubectl'])
  expect(run.status).toBe('SUCCESS')
  expect(log).toContain('ada@acme.example restarts web/shop: it leaks')
  expect(calls).toEqual([
    'kubectl --namespace web rollout restart deployment/shop',
    'kubectl --namespace web rollout status deployment/shop --timeout=5m',
    '',
  ])
})

test("the README's workflow passes the inputs to its step, and Port shows the log of the step", async () => {
  const blocks = [...text('README.md').matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map(match => match[1]!)
  const yaml = blocks.find(block => block.includes('port-webhook-action@'))!
  const invocation = invocationOf('examples/deploy/port-action.full-context.json')
  const { run, log } = await simulateForPort({ yaml: onFakes(yaml) }, invocation, [])
  expect(log).toContain('Deploying shop 1.4.2\n')
  expect(run.status).toBe('SUCCESS')
})

test('the scaffold example reports two jobs to one Port run, and the last job finishes the run', async () => {
  const { run, log, calls } = await simulate('scaffold/port-action', ['gh'])
  expect(run.status).toBe('SUCCESS')
  expect(log).toMatch(/Created http:\S+\/acme\/cart\n/)
  expect(calls).toEqual([
    'gh repo create acme/cart --private --template acme/template-node --description Keeps the cart',
    'gh repo edit acme/cart --delete-branch-on-merge',
    '',
  ])
})

test('the preview example reports the values that the next node of the Port workflow reads', async () => {
  const { nodes } = JSON.parse(text('examples/preview/port-workflow.json'))
  const body = { ...nodes[1].config.body, run: { id: 'wfnr_Zy98Xw76Vu54Ts32' }, inputs: { pull_request: 7 } }
  const yaml = onFakes(text('examples/preview/preview.yml'))
  const { node } = await simulateForPort({ yaml }, readInvocation(body), [])
  const read = JSON.stringify(nodes[2].config.mapping).matchAll(/\.outputs\[\\"preview\\"\]\.([\w.]+)/g)
  const values = [...read].map(([, path]) =>
    path!.split('.').reduce((at: unknown, name) => (at as JsonObject)[name], node.output),
  )
  expect(values).toEqual(['https://pr-7.shop.example', expect.stringMatching(/^sha256:[\da-f]{64}$/)])
})
