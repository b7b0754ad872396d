import { globSync } from 'node:fs'
import { basename, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { JsonObject } from '../port/types.ts'
import { createTargets } from '../relay/intake/target.ts'
import { checkWorkflow } from '../tools/simulator/runner/read-workflow.ts'
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

const workflows = globSync('examples/*/*.yml', { cwd: root }).sort()
/** Workflows that were written for Port. The other examples are existing workflows. */
const ownWorkflows = workflows.filter(file => !file.includes('existing-workflow'))
const definitions = globSync('examples/*/port-action*.json', { cwd: root }).sort()

describe.each([...workflows, ...globSync('.github/workflows/*.yml', { cwd: root })])('%s', file => {
  test("passes GitHub's own parser", async () => {
    expect(await checkWorkflow(join(root, file))).toEqual({ errors: [] })
  })

  test('declares the permissions of each job, and passes no event data to a shell', () => {
    const { permissions, jobs } = parsed(file)
    expect(permissions).toBeTypeOf('object')
    const scripts = Object.values<{ steps: { run?: string }[] }>(jobs).flatMap(job => job.steps)
    for (const { run } of scripts) expect(run ?? '').not.toContain('${{')
  })
})

describe.each(ownWorkflows)('%s', file => {
  test('shows the run id in its title, and each job starts with the action', () => {
    const { 'run-name': title, jobs } = parsed(file)
    expect(title).toBe('${{ github.event.client_payload.action }} ${{ github.event.client_payload.run_id }}')
    for (const job of Object.values<{ steps: { uses?: string }[] }>(jobs)) {
      expect(job.steps[0]?.uses).toBe('org/port-webhook-action@v1')
    }
  })
})

test('the deployment examples with and without Port credentials differ only in the credentials and the OIDC permission', () => {
  const [oidc, direct] = ['deploy-oidc', 'deploy'].map(folder => parsed(`examples/${folder}/deploy.yml`))
  expect(JSON.stringify(oidc)).not.toContain('secrets.')
  expect(oidc.permissions).toEqual({ ...direct.permissions, 'id-token': 'write' })
  const [{ with: credentials, ...first }, ...rest] = direct.jobs.deploy.steps
  expect(Object.keys(credentials)).toEqual(['port-client-id', 'port-client-secret', 'port-api-url'])
  expect(oidc.jobs.deploy).toEqual({ ...direct.jobs.deploy, steps: [first, ...rest] })
  expect(oidc.on).toEqual(direct.on)
})

test('an existing workflow needs one input, a title, two permissions, and one more step to report to Port', () => {
  const [before, reporting] = ['release', 'release-reporting'].map(name =>
    parsed(`examples/existing-workflow/${name}.yml`),
  )
  const { port, ...inputs } = reporting.on.workflow_dispatch.inputs
  expect(port.required).toBeUndefined()
  const [step, ...steps] = reporting.jobs.release.steps
  expect(step).toMatchObject({ uses: 'org/port-webhook-action@v1', if: '${{ inputs.port }}' })
  const { 'run-name': title, ...rest } = reporting
  expect(title).toContain("fromJSON(inputs.port || '{}').run_id")
  expect({
    ...rest,
    on: { workflow_dispatch: { inputs } },
    permissions: {},
    jobs: { release: { ...rest.jobs.release, steps } },
  }).toEqual(before)
  expect(reporting.permissions).toEqual({ 'id-token': 'write', actions: 'read' })
  const types = Object.values<{ type: string }>(inputs).map(({ type }) => type)
  expect(new Set(types)).toEqual(new Set(['string', 'environment', 'choice', 'number', 'boolean']))
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
    const { properties, required } = action.trigger.userInputs
    const declared = Object.entries<JsonObject>(on.workflow_dispatch.inputs)
    expect(Object.keys(properties)).toEqual(declared.map(([name]) => name))
    for (const [name, { type, options, required: isRequired = false }] of declared) {
      const isTyped = type === 'number' || type === 'boolean'
      expect(properties[name]?.type, name).toBe(isTyped ? type : 'string')
      if (type === 'choice') expect(properties[name]?.enum, name).toEqual(options)
      expect(required.includes(name), name).toBe(isRequired)
    }
  })

  test('sends every output or input that its workflow reads', () => {
    const sent = { ...parsed('action.yml').outputs, ...action.trigger.userInputs.properties }
    const read = [...text(workflowOf(file)).matchAll(/(?:steps\.port\.outputs|inputs)\.([\w-]+)/g)]
    expect(read.length).toBeGreaterThan(0)
    for (const [, name] of read) expect(sent).toHaveProperty([name!])
  })

  test('contains the inputs, the run id, and no personal data except name and email', () => {
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
