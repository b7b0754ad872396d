import { spawnSync } from 'node:child_process'
import { mkdtempDisposableSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
// @ts-expect-error: the package has no types
import ncc from '@vercel/ncc'
import { readInvocation } from '../port/invocation/invocation.ts'
import { packClientPayload } from '../port/payload.ts'
import { startGitHubApi } from '../simulator/github/github.ts'
import { startPortApi } from '../simulator/port/port.ts'
import { runWorkflow } from '../simulator/runner/workflow.ts'
import { startServer } from './processes.ts'
import { relayEnvironment } from './relay-environment.ts'
import { type Spread, spread } from './statistics.ts'

const ROUNDS = 15

const PARTS = ['emptyNode', 'onlyCore', 'main', 'post', 'progress', 'relayListening'] as const
type Part = (typeof PARTS)[number]

/** Wall time in milliseconds, and relative to an empty Node process in the same round. */
export type Starts = Record<Part, { ms: Spread; ratio: Spread }> & {
  /** Wall time relative to a bundle with only `@actions/core`, in the same round. */
  mainOfCore: Spread
  postOfCore: Spread
}

/**
 * Measures three wall times: of the action's main and post steps, with the fakes on loopback; of the progress reporter,
 * until it is loaded; and of the relay's package, started as by `npx`, until it listens. For comparison, starts an empty Node
 * process, and a bundle that loads nothing but `@actions/core`.
 */
export async function starts(): Promise<Starts> {
  using empty = makeAction('')
  using onlyCore = makeAction(await bundleCore())
  const [port, github] = await Promise.all([startPortApi(), startGitHubApi()])
  github.addRepository('acme/shop')
  const rounds: Record<Part, number>[] = []
  try {
    for (let i = 0; i < ROUNDS; i++) {
      const run = port.createRun({ action: 'deploy' })
      const invocation = readInvocation({
        inputs: { version: '1.2.3' },
        run: { id: run.id },
        action: { identifier: 'deploy' },
      })
      const simulated = await runWorkflow({
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
        actions: { 'bench/empty@v1': empty.path, 'bench/core@v1': onlyCore.path },
        repositoryRoot: join(import.meta.dirname, '..'),
        secrets: { ID: port.clientId, SECRET: port.clientSecret },
      })
      const steps = simulated.jobs[0]?.steps ?? []
      const took = (name: string) => steps.find(step => step.name === name)?.durationMs ?? Number.NaN
      rounds.push({
        emptyNode: took('empty'),
        onlyCore: took('core'),
        main: took('port'),
        post: took('Post port'),
        progress: timeOf('action/dist/progress/index.js'),
        relayListening: await relayListening(),
      })
    }
  } finally {
    await Promise.all([port.close(), github.close()])
  }
  const ofCore = (part: Part) => spread(rounds.map(round => round[part] / round.onlyCore))
  const parts = Object.fromEntries(
    PARTS.map(part => [
      part,
      {
        ms: spread(rounds.map(round => round[part])),
        ratio: spread(rounds.map(round => round[part] / round.emptyNode)),
      },
    ]),
  ) as Record<Part, { ms: Spread; ratio: Spread }>
  return { ...parts, mainOfCore: ofCore('main'), postOfCore: ofCore('post') }
}

/** Measures a process with empty input. If its input contains no job, the progress reporter exits when it is loaded. */
function timeOf(file: string): number {
  const started = performance.now()
  spawnSync(process.execPath, [file], { input: '' })
  return performance.now() - started
}

/** Builds the smallest possible action, which only loads `@actions/core`. */
async function bundleCore(): Promise<string> {
  using folder = mkdtempDisposableSync(join(import.meta.dirname, 'core-'))
  const entry = join(folder.path, 'main.mjs')
  writeFileSync(entry, "import * as core from '@actions/core'\ncore.debug('loaded')\n")
  return (await ncc(entry, { minify: true, quiet: true, cache: false, target: 'es2024' })).code
}

/** Returns the sizes of the action's bundles, in bytes. */
export function bundleSizes(): Record<string, number> {
  return Object.fromEntries(
    ['main', 'post', 'progress'].map(name => [
      name,
      statSync(new URL(`../action/dist/${name}/index.js`, import.meta.url)).size,
    ]),
  )
}

async function relayListening(): Promise<number> {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'bench-'))
  await using server = await startServer(
    'relay/dist/cli.js',
    relayEnvironment(`sqlite:${join(folder.path, 'relay.db')}`),
  )
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
      - name: core
        uses: bench/core@v1
`

function makeAction(code: string) {
  const folder = mkdtempDisposableSync(join(tmpdir(), 'bench-action-'))
  writeFileSync(
    join(folder.path, 'action.yml'),
    'name: bench\ndescription: does nothing\nruns: { using: node24, main: main.mjs }\n',
  )
  writeFileSync(join(folder.path, 'main.mjs'), code)
  return folder
}
