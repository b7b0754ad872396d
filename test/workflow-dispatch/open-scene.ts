import type { JsonObject } from '../../port/types.ts'
import type { DeclaredInput, GitHubApiOptions } from '../../simulator/github/types.ts'
import { openRelayHere, relayEnv, startServices } from '../support/relay.ts'
import { ADMIN_TOKEN, asAdmin, send } from '../support/requests.ts'

export const WEBHOOK_SECRET = 'a-secret-of-the-app-of-some-length'

/** A relay between a fake Port and a fake GitHub. */
export type Scene = Awaited<ReturnType<typeof openScene>>

/** A delivery's fields in the admin API. */
interface ShownDelivery {
  state: string
  github_run_id: number
  events: { type: string; details: JsonObject }[]
}

export async function openScene(options: GitHubApiOptions = {}, database: Record<string, string> = {}) {
  const { port, github, env } = await startServices(options)
  const settings = { RELAY_ALLOWED_REPOSITORIES: 'acme/*', RELAY_DISPATCH_RATE: '0' }
  const secret = { GITHUB_WEBHOOK_SECRET: WEBHOOK_SECRET, RELAY_ADMIN_TOKEN: ADMIN_TOKEN }
  const relay = await openRelayHere(relayEnv({ ...env, ...settings, ...secret, ...database }))
  const api = async (path: string) => (await asAdmin(`${relay.url}/api/deliveries${path}`)).json()
  return {
    ...{ port, github, relay },
    /** Creates a run in Port, and sends the run's webhook to this path of the relay. */
    async deliver(path: string) {
      const run = port.createRun({ action: 'deploy_service' })
      const body = { run: { id: run.id }, action: { identifier: 'deploy_service' }, inputs: {} }
      const { status, body: response } = await send(relay.url, { path, body })
      if (status !== 202) throw new Error(`The relay responded with ${status}: ${response.detail}`)
      return { run, delivery: response.delivery }
    },
    async shown(runId: string) {
      const { deliveries } = (await api(`?run_id=${runId}`)) as { deliveries: { delivery: string }[] }
      return (await api(`/${deliveries[0]?.delivery}`)) as ShownDelivery
    },
    /** Returns the URL of a workflow run's page. */
    page: (githubRunId: number) => `${github.serverUrl}/acme/shop/actions/runs/${githubRunId}`,
  }
}

/** Returns a workflow that users can start manually. */
export const workflow = (inputs: Record<string, DeclaredInput> = {}) => ({
  ...{ path: '.github/workflows/deploy.yml', name: 'Deploy', eventTypes: [], dispatch: { inputs } },
})
