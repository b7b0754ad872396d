import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { readInvocation } from '../../port/invocation/invocation.ts'
import { packClientPayload } from '../../port/payload.ts'
import type { Json, JsonObject } from '../../port/types.ts'
import { type GitHubApi, startGitHubApi } from '../../simulator/github/github.ts'
import type { Dispatch } from '../../simulator/github/types.ts'
import { type PortApi, type PortRun, startPortApi } from '../../simulator/port/port.ts'
import type { PortApiOptions } from '../../simulator/port/state.ts'
import type { RunOptions, SimulatedJob, SimulatedRun, SimulatedStep } from '../../simulator/runner/types.ts'
import { runWorkflow } from '../../simulator/runner/workflow.ts'
import type { System as RelaySystem } from '../reports/open-stage.ts'
import { temporaryFolder } from '../support/relay.ts'

export const REPOSITORY = 'acme/shop'
const RUN_ID = 'r_Q0YotCZMKxDLdlaU'
const GITHUB_RUN_ID = 16_000_000_042

/** A fake Port with one run in progress, a fake GitHub with one repository, and a function to simulate a workflow. */
export interface System {
  port: PortApi
  github: GitHubApi
  /** The run in Port, updated as requests arrive. */
  run: PortRun
  /** Simulates the steps after the action in one job "deploy", or the workflow in `yaml`. */
  simulate(options?: Play): Promise<SimulatedRun>
}

type Play = Partial<RunOptions> & {
  /** More inputs of the action. */
  with?: Record<string, string>
  /** The steps after the action. Default: a successful step. */
  steps?: string
  clientPayload?: unknown
}

const BUILD = '- { name: Build image, run: echo building }'
const INPUTS = { version: '1.4.2', replicas: 3, tags: ['a', 'b'], notes: null, dry_run: false }

/** Opens the system for one test, and closes it afterwards. */
export async function startSystem(
  options: PortApiOptions = {},
  /** `onTestFinished` from the test's context, if tests run in parallel. */
  atEnd: (close: () => Promise<void>) => void = onTestFinished,
): Promise<System> {
  const [port, github] = await Promise.all([startPortApi(options), startGitHubApi()])
  atEnd(async () => {
    await Promise.all([port.close(), github.close()])
  })
  github.addRepository(REPOSITORY)
  const run = port.createRun({ id: RUN_ID, action: 'deploy_service' })
  return {
    port,
    github,
    run,
    simulate: ({ with: inputs, steps = BUILD, clientPayload, ...rest } = {}) =>
      runWorkflow({
        yaml: workflow(`${action(inputs)}\n      ${steps.trim().replaceAll('\n', '\n      ')}`),
        event: {
          name: 'repository_dispatch',
          payload: { event_type: 'deploy_service', client_payload: clientPayload ?? payloadFor(RUN_ID) },
        },
        repository: REPOSITORY,
        runId: GITHUB_RUN_ID,
        github,
        vars: { PORT_API_URL: port.url, PORT_CLIENT_ID: port.clientId },
        secrets: { PORT_CLIENT_SECRET: port.clientSecret },
        ...rest,
      }),
  }
}

/** Simulates a workflow that a relay has dispatched. The jobs can report through the relay or directly. */
export const runDispatched = (
  { port, github, issuer, repositoryId, run }: RelaySystem,
  { eventType, clientPayload }: Dispatch,
  jobs: string,
  { runId = GITHUB_RUN_ID, ...more }: Partial<RunOptions> = {},
) =>
  runWorkflow({
    yaml: `
on: { repository_dispatch: { types: [deploy_service] } }
permissions: { id-token: write, actions: read }
jobs:
${jobs}`,
    event: { name: 'repository_dispatch', payload: { event_type: eventType, client_payload: clientPayload } },
    ...{ repository: REPOSITORY, repositoryId, github, runId },
    vars: { PORT_API_URL: port.url, PORT_CLIENT_ID: port.clientId },
    secrets: { PORT_CLIENT_SECRET: port.clientSecret },
    oidc: issuer.runner(run({ runId, runAttempt: more.attempt })),
    ...more,
  })

/** The payload that the relay sends for an invocation of `deploy_service`. */
export function payloadFor(
  runId: string,
  inputs: JsonObject = INPUTS,
  { maxBytes, ...more }: { encrypted?: string[]; event?: Json; maxBytes?: number } = {},
): JsonObject {
  const invocation = readInvocation(bodyFor(runId, inputs, more))
  return packClientPayload(invocation, { delivery: 'd_1', relay: null }, maxBytes) as unknown as JsonObject
}

/** The body that Port sends for the invocation. */
export function bodyFor(
  runId: string,
  inputs: JsonObject,
  { encrypted = [], event = null }: { encrypted?: string[]; event?: Json } = {},
): JsonObject {
  return {
    run: { id: runId },
    action: { identifier: 'deploy_service', blueprint: 'service', encryptedProperties: encrypted },
    inputs,
    entity: { identifier: 'shop', title: 'Shop' },
    event,
    trigger: {
      by: { user: { email: 'ada@acme.example', firstName: 'Ada', lastName: 'Lovelace' } },
      origin: 'UI',
      at: '2026-11-01T10:00:00.000Z',
      operation: 'DAY-2',
    },
  }
}

/** Creates a repository with these files, in which `uses: ./` is replaced by a release of the action. */
export function repositoryWith(
  files: Record<string, string>,
): Pick<RunOptions, 'repositoryRoot' | 'actions'> {
  const root = temporaryFolder()
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(root, name, '..'), { recursive: true })
    writeFileSync(join(root, name), content.replaceAll('uses: ./\n', `uses: ${RELEASE}\n`))
  }
  return { repositoryRoot: root, actions: { [RELEASE]: join(import.meta.dirname, '../..') } }
}

const RELEASE = 'org/port-webhook-action@v1'

/** Returns a step that uses the action with Port's credentials and these additional inputs. */
export function action(inputs: Record<string, string> = {}, id = 'port'): string {
  const more = Object.entries(inputs).map(([name, value]) => `          ${name}: ${JSON.stringify(value)}\n`)
  return `
      - uses: ./
        id: ${id}
        with:
          port-api-url: \${{ vars.PORT_API_URL }}
          port-client-id: \${{ vars.PORT_CLIENT_ID }}
          port-client-secret: \${{ secrets.PORT_CLIENT_SECRET }}
${more.join('')}`
}

/** Returns a workflow with one job "deploy" that has these steps. */
export const workflow = (steps: string, on = 'repository_dispatch: { types: [deploy_service] }') => `
on: { ${on} }
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:${steps}
`

/** The action's own step and its post step, in a job. */
export function ownSteps(job: SimulatedJob): { main: SimulatedStep; post: SimulatedStep } {
  const [main, post] = (['main', 'post'] as const).map(kind => job.steps.find(step => step.kind === kind))
  if (!main || !post) throw new Error(`Steps: ${job.steps.map(step => step.name).join(', ')}`)
  return { main, post }
}

export const RUN_PATH = `/v1/actions/runs/${RUN_ID}`

/** The lines of Port's log. */
export const linesOf = ({ logs }: { logs: { message: string }[] }) =>
  logs.flatMap(({ message }) => message.split('\n'))
