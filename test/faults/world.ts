import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type GitHubApi, startGitHubApi } from '../../tools/simulator/github/github.ts'
import { SECRET } from '../support/sign.ts'
import { type Load, type LoadOptions, startLoad, type Target, WORKFLOW } from './load.ts'
import { prepareRelay, type RelayProcess } from './relay-process.ts'

export const ADMIN_TOKEN = 'an-admin-token-for-the-faults'

/** A relay between a sender and GitHub, with a database, before anything goes wrong. */
export interface World {
  github: GitHubApi
  folder: string
  repositories: string[]
  relays: RelayProcess[]
  /** The first of them. */
  relay: RelayProcess
  /** Ids of the Port runs whose dispatches GitHub accepted, in that order. */
  accepted(): string[]
  load(options: Pick<LoadOptions, 'count' | 'perSecond' | 'onRun'>): Load
  close(): Promise<void>
}

export interface WorldOptions {
  /** A PostgreSQL address; SQLite in a folder of its own where absent. */
  database?: string
  relays?: number
  repositories?: number
  /** What deliveries start: a `repository_dispatch` where absent. */
  target?: Target
  /** The workflow runs that appear: named by the run id, or just by the event type, or none. `titled` where absent. */
  runs?: 'titled' | 'untitled' | 'none'
  env?: Record<string, string>
  /** Where SQLite's file is. */
  folder?: string
  /** Stands before the relay's command. */
  command?: string[]
}

/** Opens a world, and closes it when `act` has ended, or at once when a relay ends by itself. */
export async function inWorld<T>(options: WorldOptions, act: (world: World) => Promise<T>): Promise<T> {
  const world = await openWorld(options)
  try {
    return await Promise.race([act(world), ...world.relays.map(each => each.crashed)])
  } catch (error) {
    const printed = world.relays.map(each => each.printed().slice(-8_000)).join('\n')
    throw new Error(`${(error as Error).message}\nThe relays printed last:\n${printed}`, { cause: error })
  } finally {
    await world.close()
  }
}

async function openWorld(options: WorldOptions = {}): Promise<World> {
  const { relays: amount = 1, repositories: places = 40, runs = 'titled', target = 'event' } = options
  const folder = mkdtempSync(join(tmpdir(), 'faults-'))
  const github = await startGitHubApi({ autoRun: true })
  const repositories = Array.from({ length: places }, (_, i) => `acme/shop-${i}`)
  for (const repository of repositories) {
    github.addRepository(repository, { workflows: WORKFLOWS[runs] })
  }
  const env = {
    PORT_CLIENT_SECRET: SECRET,
    GITHUB_TOKEN: github.token,
    GITHUB_API_URL: github.url,
    RELAY_ALLOWED_REPOSITORIES: 'acme/*',
    RELAY_DATABASE: options.database ?? `sqlite:${join(options.folder ?? folder, 'relay.db')}`,
    RELAY_DISPATCH_RATE: '0',
    RELAY_ADMIN_TOKEN: ADMIN_TOKEN,
    ...options.env,
  }
  const relays = await Promise.all(Array.from({ length: amount }, () => prepareRelay(env, options.command)))
  const loads: Load[] = []
  return {
    github,
    folder,
    repositories,
    relays,
    relay: relays[0] as RelayProcess,
    accepted: () =>
      target === 'event'
        ? github.dispatches.map(each => String(each.clientPayload.run_id))
        : github.workflowDispatches.map(each => runIdOf(each.inputs)),
    load(given) {
      const load = startLoad({ ...given, urls: relays.map(each => each.url), repositories, target })
      loads.push(load)
      return load
    },
    async close() {
      await Promise.all([...loads.map(each => each.stop()), ...relays.map(each => each.kill())])
      await github.close()
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
const WORKFLOWS = {
  titled: [
    {
      ...DEPLOY,
      runName: (payload: Record<string, unknown>) => `${payload.action} ${payload.run_id}`,
      dispatch: {
        inputs: INPUTS,
        runName: (inputs: Record<string, string>) => `Deploy ${runIdOf(inputs)}`,
      },
    },
  ],
  untitled: [DEPLOY],
  none: [],
}
