/**
 * `npm run action -- --event FILE [--workflow FILE]`: plays a workflow of one's own on this machine, against
 * stand-ins of Port and GitHub, and prints what Port would show. Nothing leaves the machine.
 *
 * - `--event`: the body that Port sends, or a `repository_dispatch` event with its `client_payload`, as JSON
 * - `--workflow`: without it, a job of one step that prints its outputs
 * - `--secret NAME=VALUE`, `--var NAME=VALUE`: more of the repository's secrets and variables; repeatable
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { packClientPayload, readClientPayload } from '../port/client-payload.ts'
import { readInvocation } from '../port/invocation.ts'
import { isObject, type JsonObject } from '../port/json.ts'
import { startGitHubApi } from '../test/support/github-api.ts'
import { playWorkflow } from '../test/support/player/play-workflow.ts'
import type { PlayedRun } from '../test/support/player/types.ts'
import { startPortApi } from '../test/support/port-api.ts'

const USAGE = 'npm run action -- --event FILE [--workflow FILE] [--secret NAME=VALUE] [--var NAME=VALUE]'
const PROJECT = resolve(import.meta.dirname, '..')

const DEFAULT_WORKFLOW = `
on: { repository_dispatch: { types: [trial] } }
jobs:
  trial:
    runs-on: ubuntu-latest
    steps:
      - uses: org/port-webhook-action@v1
        id: port
        with:
          port-client-id: \${{ vars.PORT_CLIENT_ID }}
          port-client-secret: \${{ secrets.PORT_CLIENT_SECRET }}
      - name: Show the outputs
        env: { OUTPUTS: "\${{ toJSON(steps.port.outputs) }}" }
        run: echo "$OUTPUTS"
`

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      event: { type: 'string' },
      workflow: { type: 'string' },
      secret: { type: 'string', multiple: true, default: [] },
      var: { type: 'string', multiple: true, default: [] },
    },
  })
  if (!values.event) throw new Error(`--event is missing: ${USAGE}`)
  const given: unknown = JSON.parse(readFileSync(values.event, 'utf8'))
  const yaml = values.workflow ? readFileSync(values.workflow, 'utf8') : DEFAULT_WORKFLOW
  const { body, payload, type } = readEvent(given)
  const repository = 'you/your-repository'

  const [port, github] = await Promise.all([startPortApi(), startGitHubApi()])
  const folder = mkdtempSync(join(tmpdir(), 'action-'))
  try {
    github.addRepository(repository)
    const inputs = isObject(payload.port) && isObject(payload.port.inputs) ? payload.port.inputs : {}
    const run = port.createRun({
      ...(typeof payload.run_id === 'string' && { id: payload.run_id }),
      properties: inputs,
      payload: { body },
    })
    copyAction(folder, port.url)
    const credentials = credentialsIn(yaml, port)
    const played = await playWorkflow({
      yaml,
      ...(values.workflow && { file: values.workflow }),
      repositoryRoot: values.workflow ? rootOf(values.workflow) : PROJECT,
      event: {
        name: 'repository_dispatch',
        payload: { event_type: typeIn(yaml) ?? type, client_payload: payload },
      },
      repository,
      github,
      actions: { '*/port-webhook-action@?*': folder },
      vars: { PORT_API_URL: port.url, ...credentials.vars, ...pairs(values.var) },
      secrets: { ...credentials.secrets, ...pairs(values.secret) },
      env: { PORT_API_URL: port.url },
    })
    print(played)
    console.log(`\nPort shows run ${run.id}`)
    console.log(`  status   ${run.status}, "${run.statusLabel ?? ''}"`)
    console.log(`  link     ${[run.link ?? 'none'].flat().join(', ')}`)
    console.log(indented('log', run.logs.map(log => log.message).join('\n')))
    console.log(indented('summary', run.summary ?? ''))
    for (const { blueprint, identifier, properties } of port.entities)
      console.log(`  entity   ${blueprint}/${identifier} ${JSON.stringify(properties)}`)
    return played.conclusion === 'success' ? 0 : 1
  } finally {
    rmSync(folder, { recursive: true, force: true })
    await Promise.all([port.close(), github.close()])
  }
}

/** A dispatch as it is, or what the relay makes of a body. */
function readEvent(given: unknown): { body: JsonObject; payload: JsonObject; type: string } {
  const event = isObject(given) ? given : {}
  if (readClientPayload(event.client_payload)) {
    const payload = event.client_payload as JsonObject
    return { body: {}, payload, type: String(event.event_type ?? event.action ?? payload.action) }
  }
  const invocation = readInvocation(given)
  const payload = packClientPayload(
    { ...invocation, runId: invocation.runId ?? 'r_LocalTrial00000', kind: 'action_run' },
    { delivery: 'trial', relay: null },
  )
  return { body: event, payload: payload as unknown as JsonObject, type: invocation.action ?? 'port_action' }
}

/** This action, with the stand-in in place of api.port.io. */
function copyAction(folder: string, portUrl: string): void {
  cpSync(join(PROJECT, 'action/dist'), join(folder, 'action/dist'), { recursive: true })
  const definition = readFileSync(join(PROJECT, 'action.yml'), 'utf8')
  writeFileSync(
    join(folder, 'action.yml'),
    definition.replace('default: https://api.port.io', `default: ${portUrl}`),
  )
}

/** The stand-in's credentials, under whatever names the workflow gives them. */
function credentialsIn(yaml: string, { clientId, clientSecret }: { clientId: string; clientSecret: string }) {
  const found: { vars: Record<string, string>; secrets: Record<string, string> } = {
    vars: { PORT_CLIENT_ID: clientId },
    secrets: { PORT_CLIENT_SECRET: clientSecret },
  }
  for (const [, input, context, name] of yaml.matchAll(
    /port-client-(id|secret):\s*"?\$\{\{\s*(vars|secrets)\.(\w+)/g,
  ))
    found[context as 'vars' | 'secrets'][name!] = input === 'id' ? clientId : clientSecret
  return found
}

/** The first event type that the workflow listens to. */
const typeIn = (yaml: string): string | undefined =>
  /types:\s*(?:\[\s*|\n\s*-\s*)["']?([\w.-]+)/.exec(yaml)?.[1]

/** The folder that holds `.github`, from which `uses: ./…` is read. */
const rootOf = (workflow: string) =>
  resolve(/^(.*?)\/?\.github\/workflows\//.exec(resolve(workflow))?.[1] ?? dirname(workflow))

function pairs(given: string[]): Record<string, string> {
  return Object.fromEntries(
    given.map(pair => {
      const at = pair.indexOf('=')
      if (at < 1) throw new Error(`"${pair}" is not NAME=VALUE: ${USAGE}`)
      return [pair.slice(0, at), pair.slice(at + 1)]
    }),
  )
}

/** Without the runner's own lines: the header of the step, and masks. */
function withoutHeader(log: string): string {
  return log.replace(/##\[group\][\s\S]*?##\[endgroup\]\n?/g, '').replace(/^::add-mask::.*\n?/gm, '')
}

function print({ jobs, conclusion }: PlayedRun): void {
  for (const job of jobs) {
    console.log(`Job ${job.name}: ${job.conclusion}`)
    for (const step of job.steps.filter(one => one.kind !== 'setup' && one.kind !== 'complete')) {
      console.log(
        `  ${step.conclusion === 'success' ? '✓' : step.conclusion === 'skipped' ? '–' : '✗'} ${step.name}`,
      )
      for (const line of withoutHeader(step.log)
        .split('\n')
        .filter(text => text.trim() !== '' && step.kind !== 'post'))
        console.log(`      ${line}`)
      for (const { level, message } of step.annotations) console.log(`      ${level}: ${message}`)
    }
  }
  console.log(`Workflow run: ${conclusion}`)
}

const indented = (title: string, text: string) =>
  text
    .split('\n')
    .map((line, index) => `  ${(index === 0 ? title : '').padEnd(8)} ${line}`)
    .join('\n')

try {
  process.exitCode = await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
