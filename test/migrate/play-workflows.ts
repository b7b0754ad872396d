import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'
import { readInvocation } from '../../port/invocation/invocation.ts'
import { packClientPayload } from '../../port/payload.ts'
import type { JsonObject } from '../../port/types.ts'
import type { PortApi } from '../../simulator/port/port.ts'
import type { SimulatedRun } from '../../simulator/runner/types.ts'
import { runWorkflow } from '../../simulator/runner/workflow.ts'
import { startServices, temporaryFolder } from '../support/relay.ts'

const root = join(import.meta.dirname, '../..')
export const RUN_ID = 'r_Q0YotCZMKxDLdlaU'
const ENTITY = {
  identifier: 'shop',
  title: 'The shop',
  blueprint: 'service',
  properties: { name: 'jobs', namespace: 'web' },
  relations: { cluster: 'main' },
}
const TRIGGER = { by: { user: { email: 'ada@acme.example', firstName: 'Ada', lastName: 'Lovelace' } } }
/** The content that Port's guides put into `port_context` and `port_payload`. */
const CONTEXT = {
  ...{ runId: RUN_ID, run_id: RUN_ID, run: { id: RUN_ID }, context: { runId: RUN_ID } },
  ...{ blueprint: 'service', action: 'create_new_cluster', entity: ENTITY, trigger: TRIGGER },
}

export interface Scene {
  /** The workflows by file name. The first workflow is started. */
  files: Record<string, string>
  inputs?: Record<string, string>
  context?: JsonObject
  /** Values of `${{ vars.NAME }}`. `exit ${{ vars.NAME }}` makes a step fail. */
  vars?: Record<string, string>
  /** More actions, `uses:` → folder. */
  actions?: Record<string, string>
}

/** Runs workflows with the inputs that the relay sends, before or after `migrate`, with a fake Port and a fake GitHub. */
export async function playWorkflows(scene: Scene) {
  const folder = temporaryFolder()
  const { port, github } = await startServices()
  github.addRepository('acme/shop')
  const run = port.createRun({ id: RUN_ID })
  const now = new Date().toISOString()
  port.entities.push({ ...ENTITY, createdAt: now, updatedAt: now })
  const workflows = join(folder, '.github/workflows')
  mkdirSync(workflows, { recursive: true })
  const files = Object.entries(scene.files).map(([name, text]) => ({
    name,
    yaml: onFakePort(text, port.url),
  }))
  for (const { name, yaml } of files.slice(1)) writeFileSync(join(workflows, name), yaml)
  const { yaml } = files[0]!
  const simulated = await runWorkflow({
    yaml,
    event: { name: 'workflow_dispatch', payload: { inputs: inputsOf(scene, parse(yaml)) } },
    repository: 'acme/shop',
    sha: 'f83a356604ae3c5d03e1b46ef4d1ca77d64a90b0',
    repositoryRoot: folder,
    github,
    onLeftOut: () => {},
    actions: {
      'port-labs/port-github-action@*': join(root, 'test/fixtures/migrate/port-github-action'),
      'org/port-webhook-action@v1': root,
      ...scene.actions,
    },
    env: { PATH: process.env.PATH!, PORT_STAND_IN: port.url },
    vars: scene.vars ?? {},
    secrets: { PORT_CLIENT_ID: port.clientId, PORT_CLIENT_SECRET: port.clientSecret },
  })
  return outcomeOf(simulated, port, run, github.serverUrl)
}

function inputsOf(
  { inputs = {}, context = CONTEXT }: Scene,
  { on }: { on: { workflow_dispatch: { inputs: object } } },
) {
  const declared = Object.keys(on.workflow_dispatch.inputs)
  const action = { identifier: 'act', blueprint: 'service' }
  const body = { run: { id: RUN_ID }, action, inputs, entity: ENTITY, trigger: TRIGGER }
  const invocation = readInvocation(body)
  const payload = packClientPayload(invocation, { delivery: 'd_1', relay: null })
  const offered: Record<string, string> = {
    port: JSON.stringify(payload),
    ...{ port_context: JSON.stringify(context), port_payload: JSON.stringify(context) },
    ...{ port_run_id: RUN_ID, run_id: RUN_ID, runId: RUN_ID, port_run_identifier: RUN_ID },
  }
  const given = Object.entries(offered).filter(([name]) => declared.includes(name))
  return { ...Object.fromEntries(given), ...inputs }
}

const [id, secret] = ['${{ secrets.PORT_CLIENT_ID }}', '${{ secrets.PORT_CLIENT_SECRET }}']
const CREDENTIALS = { 'port-client-id': id, 'port-client-secret': secret }

/**
 * The fakes have no OIDC provider, so the action reports with a client id and secret. Without a relay, the first of
 * several jobs would finish the Port run.
 */
function onFakePort(text: string, url: string): string {
  const workflow = parse(text)
  const jobs = Object.values<{ strategy?: object }>(workflow.jobs)
  const isAlone = jobs.length === 1 && !jobs[0]!.strategy && !('workflow_call' in Object(workflow.on))
  for (const { steps = [] } of Object.values<{ steps?: { uses?: string; with?: object }[] }>(workflow.jobs))
    for (const step of steps)
      if (step.uses?.startsWith('org/port-webhook-action@'))
        step.with = {
          ...(!isAlone && { report: 'workflow' }),
          ...step.with,
          ...CREDENTIALS,
          'port-api-url': url,
          live: false,
        }
  return stringify(workflow, { lineWidth: 0 })
}

/** Returns the results that must be the same before and after migration. */
function outcomeOf(
  simulated: SimulatedRun,
  port: PortApi,
  run: ReturnType<PortApi['createRun']>,
  serverUrl: string,
) {
  const patches = port.requests.filter(each => each.method === 'PATCH').map(each => each.body as JsonObject)
  const own = (text: string) => !text.startsWith(`${serverUrl}/acme/shop/actions/runs/`)
  const texts = (name: string) => patches.flatMap(body => [body[name] ?? []].flat() as string[])
  const cleaned = (text: string) => text.replaceAll(String(simulated.runId), 'GITHUB_RUN')
  const isNamed = ({ kind, name }: { kind: string; name: string }) =>
    kind === 'run' && !name.startsWith('Run ')
  const concluded = simulated.conclusion === 'success' ? 'SUCCESS' : 'FAILURE'
  return {
    /** The author's named steps, with their results. */
    steps: simulated.jobs.flatMap(job =>
      job.steps.filter(isNamed).map(step => `${job.name}: ${step.name}: ${step.conclusion}`),
    ),
    conclusion: simulated.conclusion,
    /** Sent to Port, in order. */
    entities: JSON.parse(cleaned(JSON.stringify(entitiesOf(port)))) as JsonObject[],
    // If the workflow doesn't finish the Port run, Port's backend or the relay does, with the workflow's conclusion.
    status: run.status === 'IN_PROGRESS' ? concluded : run.status,
    /** Without the workflow run's link. */
    links: [...new Set(texts('link').filter(own))],
    log: cleaned(run.logs.map(({ message }) => message).join('\n')),
    summary: texts('summary').at(-1) ?? '',
  }
}

/** Ignores repeated upserts. If a response is late, as on a busy machine, the upsert is sent again. */
function entitiesOf(port: PortApi): JsonObject[] {
  const sent = port.requests.flatMap(({ method, path, body }): JsonObject[] => {
    const [, blueprint, identifier] = /^\/v1\/blueprints\/([^/?]+)\/entities(?:\/([^/?]+))?/.exec(path) ?? []
    if (!blueprint || method === 'GET') return []
    if (method === 'DELETE') return [{ operation: 'delete', blueprint, identifier: identifier! }]
    const { properties = {}, relations = {}, ...rest } = body as JsonObject
    return [{ ...rest, blueprint, properties, relations }]
  })
  return sent.filter((entity, index) => JSON.stringify(entity) !== JSON.stringify(sent[index - 1]))
}
