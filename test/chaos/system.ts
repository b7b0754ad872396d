import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startGitHubApi } from '../../simulator/github/github.ts'
import { startOidcIssuer } from '../../simulator/github/oidc-issuer.ts'
import { startPortApi } from '../../simulator/port/port.ts'
import { SECRET } from '../support/requests.ts'
import { type Load, type LoadOptions, type Sent, startLoad, type Target, WORKFLOW } from './load.ts'
import { prepareRelay, type RelayProcess } from './relay-process.ts'

export const ADMIN_TOKEN = 'an-admin-token-for-the-faults'
export const GITHUB_SECRET = 'the secret of the GitHub webhook'
/** RELAY_PUBLIC_URL, which is also the audience of OIDC tokens. */
export const AUDIENCE = 'https://relay.example'
/** The connected relay's repository. */
export const REPOSITORY = 'acme/shop-0'
/** Node's flags for a relay whose memory is measured: see {@link memoryOf}. */
export const MEASURED = ['--expose-gc', '--import', join(import.meta.dirname, 'memory.ts')]

/** Relay processes with a database, between a sender and the fakes. */
export type System = Awaited<ReturnType<typeof openSystem>>

export interface SystemOptions {
  /** A PostgreSQL URL. Default: SQLite in a separate folder. */
  database?: string
  relays?: number
  repositories?: number
  /** How deliveries start workflows. Default: by `repository_dispatch`. */
  target?: Target
  /** The workflow runs that appear: titled with the run id (default), the same and soon successful, untitled, or none. */
  runs?: keyof typeof WORKFLOWS
  /** Whether the relay has Port credentials, and accepts reports and GitHub webhooks. */
  connected?: boolean
  env?: Record<string, string>
  /** The folder of the SQLite file. */
  folder?: string
  /** Node flags for the relay. */
  flags?: string[]
}

/** Opens a system. Closes the system when `act` has finished, or as soon as a relay exits by itself. */
export async function withSystem<T>(options: SystemOptions, act: (system: System) => Promise<T>): Promise<T> {
  const system = await openSystem(options)
  try {
    return await Promise.race([act(system), ...system.relays.map(each => each.crashed)])
  } catch (error) {
    const printed = system.relays.map(each => each.printed().slice(-8_000)).join('\n')
    throw new Error(`${(error as Error).message}\nThe last output of the relays:\n${printed}`, {
      cause: error,
    })
  } finally {
    await system.close()
  }
}

async function openSystem(options: SystemOptions) {
  const { relays: count = 1, runs = 'titled', target = 'event' } = options
  const folder = mkdtempSync(join(tmpdir(), 'chaos-'))
  const [github, port, issuer] = await Promise.all([
    startGitHubApi({ autoRun: true }),
    startPortApi({ clientSecret: SECRET }),
    startOidcIssuer(),
  ])
  const repositories = Array.from({ length: options.repositories ?? 40 }, (_, i) => `acme/shop-${i}`)
  const [repositoryId = 0] = repositories.map(
    name => github.addRepository(name, { workflows: WORKFLOWS[runs] }).id,
  )
  const env = {
    PORT_CLIENT_SECRET: SECRET,
    GITHUB_TOKEN: github.token,
    GITHUB_API_URL: github.url,
    RELAY_ALLOWED_REPOSITORIES: 'acme/*',
    RELAY_DATABASE: options.database ?? `sqlite:${join(options.folder ?? folder, 'relay.db')}`,
    RELAY_DISPATCH_RATE: '0',
    RELAY_ADMIN_TOKEN: ADMIN_TOKEN,
    ...(options.connected && {
      PORT_API_URL: port.url,
      PORT_CLIENT_ID: port.clientId,
      GITHUB_OIDC_ISSUER: issuer.url,
      GITHUB_WEBHOOK_SECRET: GITHUB_SECRET,
      ...{ RELAY_PUBLIC_URL: AUDIENCE, RELAY_CHECK_PUBLIC_URL: 'false' },
      RELAY_REPOSITORY: REPOSITORY,
    }),
    ...options.env,
  }
  const relays = await Promise.all(Array.from({ length: count }, () => prepareRelay(env, options.flags)))
  const loads: Load[] = []
  const sent: Sent = { acknowledged: new Map(), started: new Map(), responses: new Map() }
  let succeeded = 0
  const timer = setInterval(() => {
    if (runs !== 'successful') return
    for (; succeeded < github.runs.length; succeeded++) github.setRun(github.runs[succeeded]!.id, SUCCESS)
  }, 1_000)
  return {
    ...{ github, port, issuer, relays, repositoryId, env, sent },
    relay: relays[0] as RelayProcess,
    /** The ids of the Port runs whose dispatches GitHub accepted, in order of acceptance. */
    accepted: () =>
      target === 'event'
        ? github.dispatches.map(each => String(each.clientPayload.run_id))
        : github.workflowDispatches.map(each => runIdOf(each.inputs)),
    load(given: Pick<LoadOptions, 'count' | 'perSecond' | 'onRun'>): Load {
      const load = startLoad({ ...given, urls: relays.map(each => each.url), repositories, target }, sent)
      loads.push(load)
      return load
    },
    async close() {
      clearInterval(timer)
      await Promise.all([...loads.map(each => each.stop()), ...relays.map(each => each.kill())])
      await Promise.all([github.close(), port.close(), issuer.close()])
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

const runIdOf = (inputs: Record<string, string>) => String(JSON.parse(inputs.port ?? '{}').run_id)

const INPUTS = { version: {}, port: {} }
const DEPLOY = {
  path: `.github/workflows/${WORKFLOW}`,
  name: 'Deploy',
  eventTypes: ['deploy'],
  dispatch: { inputs: INPUTS },
}
const TITLED = {
  ...DEPLOY,
  runName: (payload: Record<string, unknown>) => `${payload.action} ${payload.run_id}`,
  dispatch: { inputs: INPUTS, runName: (inputs: Record<string, string>) => `Deploy ${runIdOf(inputs)}` },
}
const WORKFLOWS = { titled: [TITLED], successful: [TITLED], untitled: [DEPLOY], none: [] }
const SUCCESS = { status: 'completed', conclusion: 'success' } as const
