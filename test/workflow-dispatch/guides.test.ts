import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import type { JsonObject } from '../../port/types.ts'
import type { WorkflowDispatch } from '../../simulator/github/types.ts'
import { until } from '../../simulator/http-server.ts'
import { runWorkflow } from '../../simulator/runner/workflow.ts'
import { temporaryFolder } from '../support/relay.ts'
import { send, sendRunWebhook } from '../support/requests.ts'
import { openScene, type Scene, WEBHOOK_SECRET, workflow } from './open-scene.ts'

const FIXTURES = join(import.meta.dirname, '../fixtures')

const USER = { email: 'ada@acme.example', firstName: 'Ada', phoneNumber: '0909' }
const TRIGGER = { by: { user: USER }, origin: 'UI', at: '2026-11-01T10:00:00.000Z', operation: 'DAY-2' }
const ENTITY = {
  ...{ identifier: 'shop', title: 'The shop', blueprint: 'service' },
  ...{ properties: { namespace: 'web' }, relations: { cluster: 'main' } },
}

interface Guide {
  /** The webhook's body, as Port renders it. */
  body: (runId: string) => JsonObject
  /** The expected calls of the workflow's commands. */
  calls: string[]
  logs: string[]
  /** The links that a step sets, which replace the link to the workflow run. */
  links?: string[]
  /** The Port run's result. */
  status?: 'FAILURE'
  entities?: string[]
}

const GUIDES: Record<string, Guide> = {
  'create-service': {
    body: runId => ({
      ...{ service_name: 'cart', labels: ['a', 'b'] },
      port_context: { runId, blueprint: 'service' },
    }),
    calls: ['create cart --labels a+b'],
    logs: [],
    entities: ['service/cart'],
  },
  'create-bucket': {
    // Port's older actions, with the whole body in one input.
    body: runId => ({
      port_payload: {
        ...{ action: 'create_bucket', resourceType: 'run', status: 'TRIGGERED', trigger: TRIGGER },
        context: { runId, blueprint: 'bucket', entity: null },
        payload: { entity: null, properties: { bucket: 'logs' } },
      },
    }),
    calls: ['create logs --for ada@acme.example'],
    logs: ['Created in bucket'],
    links: ['https://console.example/logs'],
  },
  promote: {
    // No port_payload in the body: the relay builds it.
    body: id => ({
      run: { id },
      action: { identifier: 'promote', blueprint: 'service' },
      ...{ inputs: {}, entity: ENTITY, trigger: TRIGGER },
    }),
    calls: ['promote The shop --by ada@acme.example --from UI'],
    logs: ['Promoted'],
  },
  'triage-incident': {
    // An automation: "port_payload": "{{ . }}".
    body: id => ({
      port_payload: {
        ...{ run: { id }, action: { identifier: 'triage' } },
        ...{ inputs: null, entity: null, trigger: { ...TRIGGER, origin: 'AUTOMATION' } },
        event: {
          action: 'ENTITY_CREATED',
          diff: { before: null, after: { identifier: 'P1', properties: { urgency: 'high' } } },
        },
      },
    }),
    calls: ['channel P1 --urgency high'],
    logs: ['Channel for P1 is open'],
  },
  'delete-environment': {
    body: runId => ({
      port_context: { runId, blueprint: 'environment', entity: { identifier: 'broken-env' } },
    }),
    calls: ['delete broken-env'],
    logs: ['Deleting broken-env failed'],
    status: 'FAILURE',
  },
}

const fileOf = (name: string) => join(FIXTURES, `guides/${name}.yml`)

test("workflows like those of Port's guides start unchanged, read their inputs, and report as before", {
  timeout: 180_000,
}, async () => {
  const scene = await openScene()
  const { github, port, relay } = scene
  for (const name of Object.keys(GUIDES)) {
    const yaml = readFileSync(fileOf(name), 'utf8')
    expect(yaml).not.toContain('port-webhook-action')
    const { inputs } = parse(yaml).on.workflow_dispatch
    const file = { path: '.github/workflows/guide.yml', name: parse(yaml).name, content: yaml }
    github.addRepository(`acme/${name}`, { workflows: [{ ...workflow(inputs), ...file }] })
  }
  const waiting = Object.entries(GUIDES)
  const shown: Record<string, Omit<Guide, 'body'>> = {}
  const worker = async () => {
    for (let next = waiting.pop(); next; next = waiting.pop()) {
      const [name, { body }] = next
      const run = port.createRun({ action: name })
      const path = `/webhook/acme/${name}?workflow=guide.yml`
      const response = await send(relay.url, { path, body: body(run.id), headers: { RUN_ID: run.id } })
      expect(response.status, name).toBe(202)
      const dispatch = await until(
        () => github.workflowDispatches.find(each => each.repository === `acme/${name}`),
        `GitHub accepts ${name}`,
      )
      const calls = await playGuide(scene, name, dispatch as WorkflowDispatch)
      await until(() => run.status !== 'IN_PROGRESS', `the Port run of ${name} finishes`)
      const links = [run.link ?? []].flat().filter(link => !link.includes('/actions/runs/'))
      const ofRelay = /^(Dispatched workflow|.*finished|✗|The workflow run)/
      shown[name] = {
        calls,
        logs: run.logs.map(({ message }) => message).filter(message => !ofRelay.test(message)),
        ...(run.status === 'FAILURE' && { status: run.status }),
        ...(links.length > 0 && { links }),
      }
    }
  }
  await Promise.all([worker(), worker(), worker()])
  const guides = Object.entries(GUIDES)
  const expected = guides.map(([name, { body: _, entities: __, ...guide }]) => [name, guide])
  expect(shown).toEqual(Object.fromEntries(expected))
  const entities = port.entities.map(({ blueprint, identifier }) => `${blueprint}/${identifier}`)
  expect(entities).toEqual(guides.flatMap(([, guide]) => guide.entities ?? []))
})

/** Runs a workflow like GitHub, with a command `tool` that records its calls and fails for the argument `broken`. */
async function playGuide({ github, port, relay }: Scene, name: string, dispatch: WorkflowDispatch) {
  const folder = temporaryFolder()
  const calls = join(folder, 'calls')
  writeFileSync(calls, '')
  const tool = join(folder, 'tool')
  writeFileSync(tool, `#!/bin/sh\necho "$*" >> ${calls}\ncase "$*" in *broken*) exit 1;; esac\n`)
  chmodSync(tool, 0o755)
  await runWorkflow({
    file: fileOf(name),
    event: { name: 'workflow_dispatch', payload: { inputs: dispatch.allInputs } },
    repository: dispatch.repository,
    runId: dispatch.runId,
    github,
    actions: { 'port-labs/port-github-action@*': join(FIXTURES, 'migrate/port-github-action') },
    env: { PATH: `${folder}:${process.env.PATH}`, PORT_STAND_IN: port.url },
    secrets: { PORT_CLIENT_ID: port.clientId, PORT_CLIENT_SECRET: port.clientSecret },
  })
  const run = github.runs.find(({ id }) => id === dispatch.runId)!
  await sendRunWebhook(relay.url, run, { github, secret: WEBHOOK_SECRET })
  return readFileSync(calls, 'utf8').split('\n').filter(Boolean)
}
