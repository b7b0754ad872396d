import { onTestFinished } from 'vitest'
import { packClientPayload } from '../../port/client-payload.ts'
import { readInvocation } from '../../port/invocation.ts'
import { isObject, type Json, type JsonObject } from '../../port/json.ts'
import { type GitHubApi, startGitHubApi } from '../support/github-api.ts'
import type { ReceivedRequest } from '../support/http-server.ts'
import { playWorkflow } from '../support/player/play-workflow.ts'
import type { PlayedJob, PlayedRun, PlayedStep, PlayOptions } from '../support/player/types.ts'
import type { PortApiOptions } from '../support/port-api/types.ts'
import { type PortApi, type PortRun, startPortApi } from '../support/port-api.ts'

export const REPOSITORY = 'acme/shop'
const RUN_ID = 'r_Q0YotCZMKxDLdlaU'
const GITHUB_RUN_ID = 16_000_000_042

/** Port with one run in progress, GitHub with one repository, and a way to play a workflow between them. */
export interface Stage {
  port: PortApi
  github: GitHubApi
  /** The run in Port, live. */
  run: PortRun
  /** The address that Port is to show, of an attempt. */
  runUrl(attempt?: number): string
  /** Plays the steps after the action, in one job "deploy" unless `yaml` says otherwise. */
  play(options?: Play): Promise<PlayedRun>
}

type Play = Partial<PlayOptions> & {
  /** Further inputs of the action. */
  with?: Record<string, string>
  /** The steps after the action; default: one that succeeds. */
  steps?: string
  clientPayload?: unknown
}

const INPUTS = { version: '1.4.2', replicas: 3, tags: ['a', 'b'], notes: null, dry_run: false }

/** Opens the stage for one test, and closes it after. */
export async function openStage(
  options: { enterprise?: boolean; inputs?: JsonObject; port?: PortApiOptions } = {},
  /** That of the test's context, where tests run side by side. */
  atEnd: (close: () => Promise<void>) => void = onTestFinished,
): Promise<Stage> {
  const [port, github] = await Promise.all([startPortApi(options.port), startGitHubApi(options)])
  atEnd(async () => {
    await Promise.all([port.close(), github.close()])
  })
  github.addRepository(REPOSITORY)
  const run = port.createRun({ id: RUN_ID, action: 'deploy_service' })
  return {
    port,
    github,
    run,
    runUrl: (attempt = 1) =>
      `${github.serverUrl}/${REPOSITORY}/actions/runs/${GITHUB_RUN_ID}/attempts/${attempt}`,
    play: ({ with: inputs, steps, clientPayload, ...rest } = {}) =>
      playWorkflow({
        yaml: workflow(inputs, steps),
        event: {
          name: 'repository_dispatch',
          payload: {
            event_type: 'deploy_service',
            client_payload: clientPayload ?? payloadFor(RUN_ID, options.inputs),
          },
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

/** What the relay sends for an invocation of `deploy_service`. */
export function payloadFor(
  runId: string,
  inputs: JsonObject = INPUTS,
  { maxBytes, ...more }: { encrypted?: string[]; event?: Json; maxBytes?: number } = {},
): JsonObject {
  const invocation = readInvocation(bodyFor(runId, inputs, more))
  return packClientPayload(invocation, { delivery: 'd_1', relay: null }, maxBytes) as unknown as JsonObject
}

/** The body that Port sends for it. */
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

/** The action as an author uses it, with further inputs. */
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

const workflow = (inputs?: Record<string, string>, steps = '- { name: Build image, run: echo building }') => `
on: { repository_dispatch: { types: [deploy_service] } }
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:${action(inputs)}
      ${steps.trim().replaceAll('\n', '\n      ')}
`

/** The action's own step and its post, in a job. */
export function ownSteps(job: PlayedJob): { main: PlayedStep; post: PlayedStep } {
  const main = job.steps.find(step => step.kind === 'main')
  const post = job.steps.find(step => step.kind === 'post')
  if (!main || !post)
    throw new Error(`The job has only the steps ${job.steps.map(step => step.name).join(', ')}`)
  return { main, post }
}

/** `level: message` of a step's annotations. */
export const annotations = (step: PlayedStep): string[] =>
  step.annotations.map(({ level, message }) => `${level}: ${message}`)

/** Method, path and body of each request, with durations made equal, and summaries, which have tests of their own, left out. */
export function told({ requests }: { requests: ReceivedRequest[] }): string[] {
  return requests.map(({ method, path, body }) =>
    `${method} ${path} ${body === undefined ? '' : withoutTimes(JSON.stringify(withoutSummary(body)))}`.trim(),
  )
}

export const withoutTimes = (text: string): string => text.replace(/\b\d+ s\b/g, 'N s')

function withoutSummary(body: unknown): unknown {
  if (!isObject(body)) return body
  const output =
    isObject(body.output) && 'summary' in body.output ? { output: { ...body.output, summary: '…' } } : {}
  return { ...body, ...output, ...('summary' in body && { summary: '…' }) }
}

export const RUN_PATH = `/v1/actions/runs/${RUN_ID}`
export const JOBS_PATH = `/repos/${REPOSITORY}/actions/runs/${GITHUB_RUN_ID}/attempts/1/jobs?per_page=100&page=1`

/** The requests of a start that goes well. */
export function toldAtStart({ port, runUrl }: Stage, label = 'Running'): string[] {
  const credentials = { clientId: port.clientId, clientSecret: port.clientSecret }
  const update = { statusLabel: label, link: [runUrl()], externalRunId: String(GITHUB_RUN_ID) }
  return [
    `POST /v1/auth/access_token ${JSON.stringify(credentials)}`,
    `GET ${RUN_PATH}?version=v2`,
    `PATCH ${RUN_PATH} ${JSON.stringify(update)}`,
    `POST ${RUN_PATH}/logs ${JSON.stringify({ message: `Workflow run started: ${runUrl()}` })}`,
  ]
}

/** The requests of an end that goes well. */
export function toldAtEnd(
  { port }: Stage,
  end: { status: 'SUCCESS' | 'FAILURE'; label: string; steps: string[]; log?: string[]; job: string },
): string[] {
  const credentials = { clientId: port.clientId, clientSecret: port.clientSecret }
  const message = [...end.steps, ...(end.log ?? []), end.job].join('\n')
  return [
    `POST /v1/auth/access_token ${JSON.stringify(credentials)}`,
    `POST ${RUN_PATH}/logs ${JSON.stringify({ message })}`,
    `PATCH ${RUN_PATH} ${JSON.stringify({ status: end.status, statusLabel: end.label, summary: '…' })}`,
  ]
}
