import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { packClientPayload } from '../../port/payload.ts'
import type { Invocation } from '../../port/types.ts'
import type { RunOptions } from '../../simulator/runner/types.ts'
import { runWorkflow } from '../../simulator/runner/workflow.ts'
import { startServices, temporaryFolder } from './relay.ts'

/** Simulates a workflow with the built action. Fake commands record calls, and fail if an argument is `broken`. */
export async function simulateForPort(
  workflow: Pick<RunOptions, 'file' | 'yaml'>,
  invocation: Invocation,
  commands: string[],
  {
    broken = '',
    inputs,
  }: {
    broken?: string
    /** The inputs of a `workflow_dispatch`. Default: the event is a `repository_dispatch`. */
    inputs?: Record<string, string>
  } = {},
) {
  const bin = temporaryFolder()
  const { port, github } = await startServices()
  github.addRepository('acme/shop')
  const calls = join(bin, 'calls')
  writeFileSync(calls, '')
  for (const command of commands) {
    const fails = broken ? `case " $* " in *" ${broken} "*) exit 1;; esac\n` : ''
    const script = `#!/bin/sh\necho "${command} $*" >> ${calls}\n${fails}`
    writeFileSync(join(bin, command), script, { mode: 0o755 })
  }
  const client_payload = packClientPayload(invocation, { delivery: 'd_1', relay: null })
  const run = port.createRun({ id: invocation.runId! })
  const node = port.createNodeRun({ id: invocation.runId! })
  const credentials = { PORT_CLIENT_ID: port.clientId, PORT_CLIENT_SECRET: port.clientSecret }
  const simulated = await runWorkflow({
    ...workflow,
    event: inputs
      ? { name: 'workflow_dispatch', payload: { inputs } }
      : { name: 'repository_dispatch', payload: { event_type: invocation.action, client_payload } },
    onLeftOut: () => {},
    repository: 'acme/shop',
    github,
    actions: { 'actions/checkout@*': 'test/fixtures/simulator/echo-action' },
    env: { PATH: `${bin}:${process.env.PATH}` },
    vars: { PORT_API_URL: port.url, PORT_CLIENT_ID: port.clientId },
    secrets: { ...credentials, SCAFFOLD_TOKEN: 'ghp_x' },
  })
  return {
    ...{ run, node, played: simulated },
    log: run.logs.map(({ message }) => message).join('\n'),
    calls: readFileSync(calls, 'utf8').split('\n'),
    entities: port.entities,
    serverUrl: github.serverUrl,
  }
}

const CREDENTIALS = [
  'with:',
  '  port-client-id: ${{ vars.PORT_CLIENT_ID }}',
  '  port-client-secret: ${{ secrets.PORT_CLIENT_SECRET }}',
]

/**
 * Adapts a workflow from the docs: adds the fake Port's URL, and replaces the checked-out script with a command.
 * Adds Port credentials if missing, because without a relay, the workflow must report directly.
 */
export const onFakes = (yaml: string): string =>
  yaml
    .replace('./deploy.sh', 'deploy.sh')
    .replace(/^( *)id: port\n(?! *with:)/m, `$&${CREDENTIALS.map(line => `$1${line}\n`).join('')}`)
    .replace(/^( *)port-client-id:/m, '$1port-api-url: ${{ vars.PORT_API_URL }}\n$&')
