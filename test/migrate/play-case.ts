import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { packClientPayload } from '../../port/client-payload.ts'
import { readInvocation } from '../../port/invocation/read-invocation.ts'
import type { Json, JsonObject } from '../../port/types.ts'
import { migrateWorkflow } from '../../relay/commands/migrate/migrate-workflow.ts'
import type { Migrated, MigrateOptions } from '../../relay/commands/migrate/types.ts'
import { startGitHubApi } from '../support/github-api.ts'
import { playWorkflow } from '../support/player/play-workflow.ts'
import type { PlayedRun } from '../support/player/types.ts'
import { type PortApi, startPortApi } from '../support/port-api.ts'
import type { Case } from './cases.ts'

const root = join(import.meta.dirname, '../..')
const FIXTURES = join(root, 'test/fixtures/migrate')
const RUN_ID = 'r_Q0YotCZMKxDLdlaU'

export const beforeOf = (name: string): string =>
  readFileSync(join(FIXTURES, `cases/${name}.before.yml`), 'utf8')

/** The workflow of a case after `migrate`. */
export function migrated(
  { name, on }: Pick<Case, 'name' | 'on'>,
  more: Partial<MigrateOptions> = {},
): Migrated {
  const options: MigrateOptions = {
    ...(on && { on }),
    eventType: 'act',
    action: 'org/port-webhook-action@v1',
    credentials: false,
    keepLogs: false,
    ...more,
  }
  const called = new Map([['called.yml', migrateWorkflow(beforeOf('called'), options)]])
  return migrateWorkflow(beforeOf(name), options, called)
}

const ENTITY = {
  identifier: 'shop',
  title: 'The shop',
  blueprint: 'service',
  properties: { name: 'jobs', namespace: 'web' },
  relations: { cluster: 'main' },
}
const USER = { email: 'ada@acme.example', firstName: 'Ada', lastName: 'Lovelace' }

/** What is the same before and after. */
export interface Outcome {
  /** The author's own steps that ran, with their results. */
  steps: string[]
  calls: string[]
  entities: JsonObject[]
  end: string
  links: string[]
  log: string
}

/** Plays a case as it was written: started as Port's GitHub backend does, reporting by Port's own action. */
export function playBefore(each: Case): Promise<Outcome> {
  const { name, inputs, broken } = each
  const key = JSON.stringify({ name, inputs, broken })
  const known = before.get(key) ?? playOnce(each)
  before.set(key, known)
  return known
}

/** What a case is started by afterwards changes nothing before. */
const before = new Map<string, Promise<Outcome>>()

function playOnce(each: Case): Promise<Outcome> {
  const yaml = beforeOf(each.name)
  const texts = Object.fromEntries(
    Object.entries(each.inputs ?? {}).map(([name, value]) => [name, asText(value)]),
  )
  const context = {
    runId: RUN_ID,
    run_id: RUN_ID,
    blueprint: 'service',
    entity: ENTITY,
    trigger: { by: { user: USER } },
    context: { runId: RUN_ID, blueprint: 'service', entity: 'shop' },
    payload: { entity: ENTITY, properties: each.inputs ?? {} },
  }
  if (/^ {2}repository_dispatch:/m.test(yaml)) {
    const payload = { event_type: 'deploy', client_payload: { ...each.inputs, port_context: context } }
    return play(each, yaml, beforeOf('called'), { name: 'repository_dispatch', payload })
  }
  const declared = (name: string) => new RegExp(`^ {6}${name}:`, 'm').test(yaml)
  const own: Record<string, string> = {}
  for (const name of ['port_context', 'port_payload']) if (declared(name)) own[name] = JSON.stringify(context)
  for (const name of ['port_run_id', 'run_id']) if (declared(name)) own[name] = RUN_ID
  return play(each, yaml, beforeOf('called'), {
    name: 'workflow_dispatch',
    payload: { inputs: { ...texts, ...own } },
  })
}

/** Plays a case after `migrate`: started by the relay, reporting by the action. */
export function playAfter(each: Case): Promise<Outcome> {
  const options = { credentials: true }
  const { text } = migrated(each, options)
  const called = migrated({ name: 'called', on: each.on }, options).text
  const invocation = readInvocation({
    run: { id: RUN_ID },
    action: { identifier: 'act', blueprint: 'service' },
    inputs: each.inputs ?? {},
    entity: ENTITY,
    trigger: { by: { user: USER }, operation: 'DAY-2', origin: 'UI' },
  })
  const payload = packClientPayload(invocation, { delivery: 'd_1', relay: null })
  if (/^ {2}repository_dispatch:/m.test(text)) {
    const event_type = /types: \[(\w+)\]/.exec(text)![1]!
    return play(each, text, called, {
      name: 'repository_dispatch',
      payload: { event_type, client_payload: payload },
    })
  }
  // The relay gives each input by its name, and the payload as the input `port`.
  const inputs = Object.fromEntries(
    Object.entries(each.inputs ?? {}).map(([name, value]) => [name, asText(value)]),
  )
  const event = {
    name: 'workflow_dispatch',
    payload: { inputs: { ...inputs, port: JSON.stringify(payload) } },
  }
  return play(each, text, called, event)
}

/** Plays a case after `migrate`, started by a person on GitHub, who leaves the input `port` empty. */
export function playByHand(each: Case): Promise<Outcome> {
  const { text } = migrated(each)
  const called = migrated({ name: 'called' }).text
  const inputs = Object.fromEntries(
    Object.entries(each.inputs ?? {}).map(([name, value]) => [name, asText(value)]),
  )
  return play(each, text, called, { name: 'workflow_dispatch', payload: { inputs: { ...inputs, port: '' } } })
}

const asText = (value: Json) => (typeof value === 'object' ? JSON.stringify(value) : String(value))

async function play(
  each: Case,
  yaml: string,
  called: string,
  event: { name: string; payload: Record<string, unknown> },
): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'migrate-'))
  const [port, github] = await Promise.all([startPortApi(), startGitHubApi()])
  onTestFinished(async () => {
    rmSync(folder, { recursive: true, force: true })
    await Promise.all([port.close(), github.close()])
  })
  github.addRepository('acme/shop')
  const run = port.createRun({ id: RUN_ID })
  const now = new Date().toISOString()
  port.entities.push({ ...ENTITY, createdAt: now, updatedAt: now })
  const calls = join(folder, 'calls')
  writeFileSync(calls, '')
  writeCommand(folder, calls, each.broken)
  const workflows = join(folder, 'repository/.github/workflows')
  mkdirSync(workflows, { recursive: true })
  writeFileSync(join(workflows, 'called.yml'), onStandIn(called))
  const played = await playWorkflow({
    yaml: onStandIn(yaml),
    event,
    repository: 'acme/shop',
    sha: 'f83a356604ae3c5d03e1b46ef4d1ca77d64a90b0',
    repositoryRoot: join(folder, 'repository'),
    github,
    onLeftOut: () => {},
    actions: {
      'actions/checkout@*': join(root, 'test/fixtures/player/echo-action'),
      'port-labs/port-github-action@*': join(FIXTURES, 'port-github-action'),
      'org/port-webhook-action@v1': root,
    },
    env: {
      PATH: `${folder}:${process.env.PATH}`,
      PORT_STAND_IN: port.url,
    },
    vars: { PORT_API_URL: port.url },
    secrets: { PORT_CLIENT_ID: port.clientId, PORT_CLIENT_SECRET: port.clientSecret },
  })
  return {
    steps: ownSteps(played, each.name),
    calls: readFileSync(calls, 'utf8').replaceAll(RUN_ID, 'RUN').split('\n').filter(Boolean).sort(),
    entities: entitiesOf(port, played.runId, github.serverUrl),
    end: endOf(run.status, played),
    links: linksOf(port, github.serverUrl),
    log: run.logs
      .map(({ message }) => message)
      .join('\n')
      .replaceAll(RUN_ID, 'RUN'),
  }
}

/** The command `work` writes down how it is called, and fails with the argument `broken`. */
function writeCommand(folder: string, calls: string, broken = ''): void {
  const fails = broken === '' ? '' : `case " $* " in *" ${broken} "*) exit 1;; esac\n`
  writeFileSync(join(folder, 'work'), `#!/bin/sh\necho "$*" >> ${calls}\n${fails}`)
  chmodSync(join(folder, 'work'), 0o755)
}

/** A workflow does not name the address of a stand-in; what is shown meanwhile is not compared, so it need not be. */
const onStandIn = (yaml: string): string =>
  yaml
    .replace(/^ *port-api-url:.*\n/gm, '')
    .replace(/^( *)port-client-id:/gm, '$1port-api-url: ${{ vars.PORT_API_URL }}\n$1live: false\n$&')

/** The steps that have nothing to do with Port, as job, name and result. */
function ownSteps(played: PlayedRun, name: string): string[] {
  const text = beforeOf(name) + beforeOf('called')
  const reporting = new Set(
    [
      ...text.matchAll(
        /- name: (.*)\n(?: +[^-\s].*\n)*? +(?:uses: port-labs\/|run: \|\n(?:.*\n)*?.*PORT_STAND_IN)/g,
      ),
    ].map(([, step]) => step!),
  )
  return played.jobs
    .flatMap(job =>
      job.steps
        .filter(
          ({ kind, name }) => kind === 'run' && text.includes(`- name: ${name}\n`) && !reporting.has(name),
        )
        .map(step => `${job.name}: ${step.name}: ${step.conclusion}`),
    )
    .sort()
}

/** What was sent to Port, in order. On a busy machine an upsert whose answer is late is sent again, which changes nothing. */
function entitiesOf(port: PortApi, githubRunId: number, serverUrl: string): JsonObject[] {
  const sent = port.requests.flatMap(({ method, path, body }): JsonObject[] => {
    const match = /^\/v1\/blueprints\/([^/?]+)\/entities(?:\/([^/?]+))?/.exec(path)
    if (!match || method === 'GET') return []
    if (method === 'DELETE') return [{ operation: 'delete', blueprint: match[1]!, identifier: match[2]! }]
    return [{ ...(body as JsonObject), blueprint: match[1]! }]
  })
  const isNew = (entity: JsonObject, index: number) =>
    JSON.stringify(entity) !== JSON.stringify(sent[index - 1])
  return sent.filter(isNew).map(entity => {
    const { properties = {}, relations = {}, ...rest } = entity
    const text = JSON.stringify({
      ...rest,
      ...(rest.operation === 'delete' ? {} : { properties, relations }),
    })
    return JSON.parse(
      text.replaceAll(String(githubRunId), 'GITHUB_RUN').replaceAll(serverUrl, 'https://github.example'),
    ) as JsonObject
  })
}

/** What is not ended by the workflow, Port's own backend ends with the workflow's conclusion, and so does the relay. */
function endOf(status: string, { conclusion }: PlayedRun): string {
  if (status === 'FAILURE') return 'FAILURE'
  return status === 'SUCCESS' || conclusion === 'success' ? 'SUCCESS' : 'FAILURE'
}

function linksOf(port: PortApi, serverUrl: string): string[] {
  const sent = port.requests.flatMap(({ body }) =>
    [(body as { link?: string | string[] } | undefined)?.link ?? []].flat(),
  )
  return [...new Set(sent.filter(link => !link.startsWith(`${serverUrl}/acme/shop/actions/runs/`)))]
}
