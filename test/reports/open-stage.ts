import { onTestFinished } from 'vitest'
import type { ClientPayload } from '../../port/payload.ts'
import type { JsonObject } from '../../port/types.ts'
import type { Dispatch, GitHubApi } from '../../simulator/github/github.ts'
import { type OidcIssuer, type OidcRun, startOidcIssuer } from '../../simulator/github/oidc-issuer.ts'
import type { WorkflowDispatch } from '../../simulator/github/types.ts'
import { until } from '../../simulator/http-server.ts'
import { keepPort } from '../../simulator/keep-port.ts'
import type { PortApi, PortRun } from '../../simulator/port/port.ts'
import { type Env, openRelayHere, type Relay, relayEnv, startServices } from '../support/relay.ts'
import { send } from '../support/requests.ts'

export const REPOSITORY = 'acme/shop'
export const GITHUB_RUN_ID = 16_000_000_042

/** The fake Port, the fake GitHub with its issuer, and a relay process that accepts reports. */
export interface System {
  port: PortApi
  github: GitHubApi
  issuer: OidcIssuer
  /** The running relay. */
  relay: Relay
  /** RELAY_PUBLIC_URL: the address for reports and the audience of their tokens. */
  url: string
  env: Env
  repositoryId: number
  /** Returns the claims of GitHub's token for the run that a delivery started. `more` overrides claims. */
  run(more?: Partial<OidcRun>): OidcRun
  /** Sends an invocation, and waits until its delivery is dispatched. `runId: null` omits the Port run. */
  deliver(invocation?: {
    runId?: string | null
    body?: JsonObject
    /** Default: Port's client secret. */
    secret?: string
  }): Promise<{ id: string; payload: ClientPayload; dispatch: Dispatch; portRun: PortRun | null }>
  /** Like `deliver`, but starts a workflow (default: deploy.yml) on the branch `release`. GitHub returns the run. */
  deliverWorkflow(
    file?: string,
  ): Promise<{ id: string; payload: ClientPayload; runId: number; portRun: PortRun }>
  /** Returns GitHub's token for the run that a delivery started. `more` overrides claims. */
  token(more?: Partial<OidcRun>): string
  /** Sends a request as the action does. */
  post(path: string, token: string | null, body: unknown): Promise<Response>
  /** Requests to start reporting. `more` overrides claims of GitHub's token. */
  start(delivery: string, more?: Partial<OidcRun>): Promise<Response>
  /** Sends reports as one message, by default the first message of the sender `a`. */
  report(token: unknown, delivery: string, reports: unknown[], from?: Partial<Sender>): Promise<Response>
  /** Restarts the relay with the same database and address, by default in this process. */
  restart(open?: (env: Env) => Promise<Relay>): Promise<void>
}

const WORKFLOWS = ['deploy.yml', 'deploy@v2.yml'].map(file => ({
  ...{ path: `.github/workflows/${file}`, name: 'Deploy', eventTypes: [] },
  dispatch: { inputs: { port: {} } },
}))

interface Sender {
  sender: string
  number: number
}

interface Response {
  status: number
  type: string | null
  body: JsonObject
}

/**
 * @param env overrides the relay's environment
 * @param open `startRelay` for a relay that is killed
 */
export async function startSystem(
  env: Env = {},
  open: (env: Env) => Promise<Relay> = openRelayHere,
): Promise<System> {
  const [services, issuer] = await Promise.all([startServices(), startOidcIssuer()])
  onTestFinished(() => issuer.close())
  const { port, github } = services
  const { id: repositoryId } = github.addRepository(REPOSITORY, { refs: ['release'], workflows: WORKFLOWS })
  const listen = await keepPort()
  const all = relayEnv({
    ...services.env,
    ...{ PORT: String(listen), GITHUB_OIDC_ISSUER: issuer.url, RELAY_DISPATCH_RATE: '0' },
    RELAY_PUBLIC_URL: `http://127.0.0.1:${listen}`,
    ...env,
  })
  const relay = await open(all)
  const { url } = relay
  const system: System = {
    ...{ port, github, issuer, relay, url, repositoryId },
    env: all,
    run: more => ({ repository: REPOSITORY, repositoryId, runId: GITHUB_RUN_ID, ...more }),
    async deliver({ runId, body, secret = port.clientSecret } = {}) {
      const portRun =
        runId === null ? null : port.createRun({ ...(runId && { id: runId }), action: 'deploy_service' })
      const action = { identifier: 'deploy_service', blueprint: 'service', encryptedProperties: [] }
      const context = { action, inputs: { version: '1.4.2' }, trigger: {} }
      const sent = { run: { id: portRun?.id ?? 'none' }, ...context, ...body }
      const { body: answer } = await send(url, { secret, body: sent })
      const id = String(answer.delivery)
      const payloadOf = (dispatch: Dispatch) => dispatch.clientPayload as unknown as ClientPayload
      const dispatch = (await until(
        () => github.dispatches.find(each => payloadOf(each).port.delivery === id),
        'GitHub gets the dispatch',
      ))!
      return { id, payload: payloadOf(dispatch), dispatch, portRun }
    },
    async deliverWorkflow(file = 'deploy.yml') {
      const portRun = port.createRun({ action: 'deploy_service' })
      const { body: answer } = await send(url, {
        path: `/webhook?workflow=${file}&ref=release`,
        body: { run: { id: portRun.id }, action: { identifier: 'deploy_service' }, inputs: {} },
      })
      const id = String(answer.delivery)
      const payloadOf = ({ inputs }: WorkflowDispatch) => JSON.parse(inputs.port as string) as ClientPayload
      const dispatch = (await until(
        () => github.workflowDispatches.find(each => payloadOf(each).port.delivery === id),
        'GitHub gets the dispatch',
      ))!
      await until(() => portRun.logs.length > 0, 'the response is recorded, and Port is updated')
      return { id, payload: payloadOf(dispatch), runId: dispatch.runId, portRun }
    },
    async post(path, token, body) {
      const response = await fetch(url + path, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(token !== null && { authorization: `Bearer ${token}` }),
        },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      })
      const text = await response.text()
      return {
        status: response.status,
        type: response.headers.get('content-type'),
        body: text === '' ? {} : (JSON.parse(text) as JsonObject),
      }
    },
    token: more => issuer.token(system.run(more), url),
    start: (delivery, more) => system.post('/report/start', system.token(more), { delivery }),
    report: (token, delivery, reports, from) =>
      system.post('/report', String(token), { delivery, sender: 'a', number: 1, reports, ...from }),
    async restart(again = openRelayHere) {
      system.relay = await again(all)
    },
  }
  return system
}

/** Sends a successful start, and returns its report token. */
export async function startReport(
  system: System,
  delivery: string,
  more: Partial<OidcRun> = {},
): Promise<string> {
  const answer = await system.start(delivery, more)
  if (answer.status !== 200) throw new Error(`The start got ${answer.status}: ${answer.body.detail}`)
  return String(answer.body.token)
}
