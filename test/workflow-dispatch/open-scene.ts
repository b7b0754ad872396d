import { onTestFinished } from 'vitest'
import type { JsonObject } from '../../port/types.ts'
import { type GitHubApi, startGitHubApi } from '../../tools/simulator/github/github.ts'
import type { DeclaredInput, GitHubApiOptions } from '../../tools/simulator/github/types.ts'
import { type PortApi, type PortRun, startPortApi } from '../../tools/simulator/port/port.ts'
import { type Env, openRelayHere, type Relay, relayEnv } from '../support/relay.ts'
import { send } from '../support/send.ts'
import { SECRET } from '../support/sign.ts'

export const REPOSITORY = 'acme/shop'
export const ADMIN_TOKEN = 'an-admin-token-of-some-length'

/** A delivery's fields in the admin API. */
interface ShownDelivery {
  delivery: string
  state: string
  github_run_id: number | null
  evidence: string | null
  events: { type: string; details: JsonObject }[]
}

/** A relay between a fake Port and a fake GitHub. */
export interface Scene {
  port: PortApi
  github: GitHubApi
  relay: Relay
  /** The relay's environment. */
  env: Env
  /** Creates a run in Port, and sends the run's webhook to this path of the relay. */
  deliver(webhook: { path: string }): Promise<{ run: PortRun; response: JsonObject }>
  shown(runId: string): Promise<ShownDelivery>
  /** Returns the URL of a workflow run's page. */
  page(githubRunId: number): string
}

export async function openScene(options: { github?: GitHubApiOptions; env?: Env } = {}): Promise<Scene> {
  const [port, github] = await Promise.all([
    startPortApi({ clientSecret: SECRET }),
    startGitHubApi(options.github),
  ])
  onTestFinished(async () => {
    await Promise.all([port.close(), github.close()])
  })
  const env = relayEnv({
    PORT_API_URL: port.url,
    PORT_CLIENT_ID: port.clientId,
    GITHUB_API_URL: github.url,
    GITHUB_TOKEN: github.token,
    RELAY_REPOSITORY: REPOSITORY,
    RELAY_ALLOWED_REPOSITORIES: 'acme/*',
    RELAY_DISPATCH_RATE: '0',
    RELAY_ADMIN_TOKEN: ADMIN_TOKEN,
    ...options.env,
  })
  const relay = await openRelayHere(env)
  const api = async (path: string) => {
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` }
    const response = await fetch(`${relay.url}/api/deliveries${path}`, { headers })
    return (await response.json()) as JsonObject
  }
  return {
    ...{ port, github, relay, env },
    async deliver({ path }) {
      const run = port.createRun({ action: 'deploy_service' })
      const action = { identifier: 'deploy_service', blueprint: 'service', encryptedProperties: [] }
      const body = { run: { id: run.id }, action, inputs: {}, trigger: { operation: 'CREATE' } }
      const { status, body: response } = await send(relay.url, { path, body })
      if (status !== 202) throw new Error(`The relay responded with ${status}: ${response.detail}`)
      return { run, response }
    },
    async shown(runId) {
      const { deliveries } = await api(`?run_id=${runId}`)
      const [first] = deliveries as JsonObject[]
      return (await api(`/${first?.delivery}`)) as unknown as ShownDelivery
    },
    page: githubRunId => `${github.serverUrl}/${REPOSITORY}/actions/runs/${githubRunId}`,
  }
}

/** The inputs that the relay sends in addition to the form's inputs. */
export const OFFERED = { port: {}, port_context: {}, port_run_id: {}, run_id: {}, port_payload: {} }

/** Returns a workflow that users can start manually. */
export const workflow = (inputs: Record<string, DeclaredInput> = {}) => ({
  ...{ path: '.github/workflows/deploy.yml', name: 'Deploy', eventTypes: [], dispatch: { inputs } },
})
