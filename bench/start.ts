import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { packClientPayload } from '../port/client-payload.ts'
import { readInvocation } from '../port/invocation/read-invocation.ts'
import { startGitHubApi } from '../test/support/github-api.ts'
import { playWorkflow } from '../test/support/player/play-workflow.ts'
import { startPortApi } from '../test/support/port-api.ts'
import { relayEnvironment } from './intake.ts'
import { startServer, stopServer } from './load.ts'

const ROUNDS = 15

/** Medians in milliseconds. */
export interface Starts {
  emptyNode: number
  main: number
  post: number
  relayListening: number
}

/** Wall time of the action's main and post, stand-ins on loopback included, against an empty Node started the same way; and of the relay's bundle until it listens. */
export async function starts(): Promise<Starts> {
  const empty = emptyAction()
  const [port, github] = await Promise.all([startPortApi(), startGitHubApi()])
  github.addRepository('acme/shop')
  const times: Record<keyof Starts, number[]> = { emptyNode: [], main: [], post: [], relayListening: [] }
  try {
    for (let i = 0; i < ROUNDS; i++) {
      const run = port.createRun({ action: 'deploy' })
      const invocation = readInvocation({
        inputs: { version: '1.2.3' },
        run: { id: run.id },
        action: { identifier: 'deploy' },
      })
      const played = await playWorkflow({
        yaml: workflow(port.url),
        event: {
          name: 'repository_dispatch',
          payload: {
            event_type: 'deploy',
            client_payload: packClientPayload(invocation, { delivery: 'bench', relay: null }),
          },
        },
        repository: 'acme/shop',
        github,
        actions: { 'bench/empty@v1': empty },
        repositoryRoot: join(import.meta.dirname, '..'),
        secrets: { ID: port.clientId, SECRET: port.clientSecret },
      })
      const steps = played.jobs[0]?.steps ?? []
      const took = (name: string) => steps.find(step => step.name === name)?.durationMs ?? Number.NaN
      times.emptyNode.push(took('empty'))
      times.main.push(took('port'))
      times.post.push(took('Post port'))
      times.relayListening.push(await relayListening())
    }
  } finally {
    await Promise.all([port.close(), github.close()])
    rmSync(empty, { recursive: true, force: true })
  }
  return Object.fromEntries(
    Object.entries(times).map(([name, all]) => [name, median(all)]),
  ) as unknown as Starts
}

/** Bytes of the bundles that the action runs. */
export function bundleSizes(): Record<string, number> {
  return Object.fromEntries(
    ['main', 'post'].map(name => [
      name,
      statSync(new URL(`../action/dist/${name}/index.js`, import.meta.url)).size,
    ]),
  )
}

async function relayListening(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-'))
  const server = await startServer(
    'relay/dist/main.js',
    relayEnvironment(`sqlite:${join(folder, 'relay.db')}`),
  )
  await stopServer(server)
  rmSync(folder, { recursive: true, force: true })
  return server.startedAfterMs
}

const workflow = (portUrl: string) => `
on: { repository_dispatch: { types: [deploy] } }
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:
      - name: port
        uses: ./
        with:
          port-client-id: \${{ secrets.ID }}
          port-client-secret: \${{ secrets.SECRET }}
          port-api-url: ${portUrl}
      - name: empty
        uses: bench/empty@v1
`

function emptyAction(): string {
  const folder = mkdtempSync(join(tmpdir(), 'bench-action-'))
  mkdirSync(folder, { recursive: true })
  writeFileSync(
    join(folder, 'action.yml'),
    'name: empty\ndescription: does nothing\nruns: { using: node24, main: main.js }\n',
  )
  writeFileSync(join(folder, 'main.js'), '')
  return folder
}

const median = (all: number[]) => [...all].sort((a, b) => a - b)[Math.floor(all.length / 2)] as number
