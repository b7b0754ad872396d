import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'yaml'
import { type GitHubApi, startGitHubApi } from '../simulator/github/github.ts'
import { type OidcIssuer, startOidcIssuer } from '../simulator/github/oidc-issuer.ts'
import { keepPort } from '../simulator/keep-port.ts'
import { type PortApi, startPortApi } from '../simulator/port/port.ts'
import { type LogLine, type Relay, startRelay } from './start-relay.ts'

export const REPOSITORY = 'acme/shop'
const BLUEPRINT = join(import.meta.dirname, '../examples/report-deployment/blueprint.json')

/** Everything that the demo runs. */
export interface System {
  port: PortApi
  github: GitHubApi
  issuer: OidcIssuer
  /** See {@link SystemOptions.oidc}. */
  oidc: boolean
  /** RELAY_ADMIN_TOKEN */
  adminToken: string
  repositoryId: number
  /** Paths of the repository's workflows, relative to the project's root. */
  workflows: { deploy: string; report: string; preview: string; release: string }
  /** GITHUB_WEBHOOK_SECRET */
  webhookSecret: string
  /** Deliveries with a bound workflow run. */
  bound: Set<string>
  /** The currently running relay. */
  relay: Relay
  /** The folder of the relay's database. */
  folder: string
  /** Restarts the relay on the same database. These variables override its environment. */
  restartRelay(variables: Record<string, string>): Promise<void>
  /** Stops everything and removes the folder. Throws if the relay didn't stop by itself. */
  close(): Promise<void>
}

export interface SystemOptions {
  /** Whether all workflows report through the relay with OIDC. The workflow of act two always does. */
  oidc: boolean
  /** Variables that override the relay's environment. */
  settings: Record<string, string>
  /** Called with each line of the relay's log. */
  onLog: (line: LogLine) => void
  /** The file that starts the relay; `cli/main.ts` by default. */
  entry?: string
}

export async function startSystem({ oidc, settings, onLog, entry }: SystemOptions): Promise<System> {
  const bound = new Set<string>()
  const workflows = {
    deploy: `examples/${oidc ? 'deploy-oidc' : 'deploy'}/deploy.yml`,
    report: 'examples/report-deployment/deploy.yml',
    preview: 'examples/preview/preview.yml',
    release: `examples/existing-workflow/${oidc ? 'release-reporting' : 'release'}.yml`,
  }
  const read = async (file: string) => parse(await readFile(join(import.meta.dirname, '..', file), 'utf8'))
  const [deploy, release, report, preview] = await Promise.all(
    [workflows.deploy, workflows.release, workflows.report, workflows.preview].map(read),
  )
  const [webhookSecret, adminToken] = [1, 2].map(() => randomBytes(24).toString('hex')) as [string, string]
  const folder = await mkdtemp(join(tmpdir(), 'port-webhook-demo-'))
  const [port, github, issuer, listen] = await Promise.all([
    startPortApi(),
    startGitHubApi({ autoRun: true }),
    startOidcIssuer(),
    keepPort(),
  ])
  const { id: repositoryId } = github.addRepository(REPOSITORY, {
    refs: ['release'],
    workflows: [
      ...Object.entries({ deploy, 'deploy-and-report': report, preview }).map(([file, workflow]) => ({
        path: `.github/workflows/${file}.yml`,
        name: workflow.name,
        eventTypes: workflow.on.repository_dispatch.types,
        runName: ({ action, run_id }: Record<string, unknown>) => `${action} ${run_id}`,
      })),
      {
        path: '.github/workflows/release.yml',
        name: release.name,
        eventTypes: [],
        dispatch: { inputs: release.on.workflow_dispatch.inputs },
      },
    ],
  })
  const blueprint = JSON.parse(await readFile(BLUEPRINT, 'utf8'))
  port.declareBlueprint(blueprint.identifier, { type: 'object', ...blueprint.schema })
  const clear = async () => {
    await Promise.all([port.close(), github.close(), issuer.close()])
    await rm(folder, { recursive: true, force: true })
  }
  const env = {
    PORT_API_URL: port.url,
    PORT_CLIENT_ID: port.clientId,
    PORT_CLIENT_SECRET: port.clientSecret,
    GITHUB_API_URL: github.url,
    GITHUB_TOKEN: github.token,
    GITHUB_WEBHOOK_SECRET: webhookSecret,
    RELAY_ADMIN_TOKEN: adminToken,
    RELAY_REPOSITORY: REPOSITORY,
    RELAY_DATABASE: `sqlite:${join(folder, 'relay.db')}`,
    HOST: '127.0.0.1',
    PORT: String(listen),
    GITHUB_OIDC_ISSUER: issuer.url,
    RELAY_PUBLIC_URL: `http://127.0.0.1:${listen}`,
  }
  const hear = (line: LogLine) => {
    onLog(line)
    if (line.delivery && line.evidence) bound.add(line.delivery)
  }
  const start = (variables = {}) => startRelay({ ...env, ...variables, ...settings }, folder, hear, entry)
  const stop = async (relay: Relay) => {
    const code = await relay.stop()
    if (code !== 0) throw new Error(`The relay didn't stop cleanly: exit code ${code}.`)
  }
  try {
    const system: System = {
      port,
      github,
      issuer,
      oidc,
      adminToken,
      repositoryId,
      workflows,
      webhookSecret,
      bound,
      relay: await start(),
      folder,
      async restartRelay(variables) {
        await stop(system.relay)
        system.relay = await start(variables)
      },
      async close() {
        await stop(system.relay).finally(clear)
      },
    }
    return system
  } catch (error) {
    await clear()
    throw error
  }
}
