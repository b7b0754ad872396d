import { randomUUID } from 'node:crypto'
import { PortError } from '../../port/client/client.ts'
import { logBatches, sendUpdate, UNREAD } from '../../port/client/run-bodies.ts'
import type { ClientPayload } from '../../port/payload.ts'
import { isLoopback } from '../../port/text.ts'
import type { Json, JsonObject, LogLine, RunState, RunUpdate } from '../../port/types.ts'
import { isObject } from '../../port/types.ts'
import type { RelayAccess, Runner } from '../runner/runner.ts'
import type { Reporter } from './reporter.ts'
import { createRetry, FINAL_EXTRA_MS, notTheRelay, readRelayResponse, requestJson } from './reporter.ts'

interface RelayInputs {
  /** The items that were omitted from the payload; null if no item was omitted. */
  payload: Pick<ClientPayload['port'], 'inputs' | 'encrypted' | 'entity' | 'event'> | null
  secrets: Record<string, string>
}

interface RelayStart extends RelayInputs {
  run: RunState
  /** Whether the delivery belongs to another workflow run. If so, the relay returns nothing else. */
  duplicate: boolean
  /** Whether the relay has Port credentials. */
  reports: boolean
}

export interface RelayReporter extends Omit<Reporter, 'late' | 'isDeferred' | 'token'> {
  /** Authenticates this workflow run to the relay. The first call sends a request, and later calls return the same result. */
  start(): Promise<RelayStart>
  /** Gets the inputs again after `start`, because post is another process and doesn't have main's response. */
  inputs(): Promise<RelayInputs>
  access(): RelayAccess
}

type Deps = Pick<Runner, 'fetch' | 'clock' | 'sleep'> & { core: Pick<Runner['core'], 'setSecret'> }
type Report =
  | { log: LogLine[] }
  | { update: RunUpdate }
  | { entity: { blueprint: string; properties: JsonObject; operation?: 'delete'; required?: true } }
type Waiting = {
  report: Report
  size: number
  /** Whether to send this report alone, because the relay rejected a message with several reports. */
  alone?: true
  resolve: () => void
  reject: (error: unknown) => void
}

/** The maximum size of a message, in bytes. The relay accepts 256 KB. */
const MAX_MESSAGE = 210_000

/**
 * Reports to Port through the relay. Exchanges a GitHub OIDC token for a report token. Concurrent reports share a
 * message. Messages are sent one at a time. If a response is lost, the same message is sent again with the same number,
 * so that the relay doesn't process it twice.
 * @param options.finishing whether the job is finishing, so that the relay polls the workflow run immediately
 */
export function createRelayReporter(
  given: RelayAccess,
  { core, fetch, clock, sleep }: Deps,
  options: { budgetMs: number; finishing?: boolean },
): RelayReporter {
  const retry = createRetry({ budgetMs: options.budgetMs, clock, sleep })
  const { url, delivery, complete, finishes, required } = given
  const mark = required ? ({ required } as const) : {}
  const sender = randomUUID()
  const waiting: Waiting[] = []
  /** The outputs that the relay already has, as JSON text by name. The relay sends them to Port with each update. */
  const sent = new Map<string, string>()
  let { token, idToken } = given
  let starting: Promise<RelayStart> | null = null
  let count = 0
  let sending = false
  for (const secret of [token, idToken?.requestToken]) if (secret) core.setSecret(secret)

  const start = () => {
    starting ??= retry(trade).catch(error => {
      starting = null
      throw error
    })
    return starting
  }

  async function trade(): Promise<RelayStart> {
    const response = await post('/report/start', await proof(), { delivery, complete, finishes }, hasStarted)
    if (response.duplicate === true) {
      const run = readRun({ external_run_id: String(response.github_run_id) })
      return { run, duplicate: true, reports: true, payload: null, secrets: {} }
    }
    keepToken(response.token)
    const run = readRun(isObject(response.run) ? response.run : {})
    return { run, duplicate: false, reports: response.reports === true, ...readInputs(response) }
  }

  function keepToken(given: unknown): void {
    if (typeof given !== 'string') return
    token = given
    core.setSecret(token)
  }

  /** Authenticates again if the token has expired, for example after six hours. */
  async function underToken<T>(task: (bearer: string) => Promise<T>): Promise<T> {
    const bearer = await reportToken()
    try {
      return await task(bearer)
    } catch (error) {
      if (!(error instanceof PortError) || error.status !== 401 || error.temporary || !idToken) throw error
      token = null
      starting = null
      return task(await reportToken())
    }
  }

  /** Requests the OIDC token. Doesn't use `core.getIDToken`, which would add its own HTTP client to the bundle. */
  async function proof(): Promise<string> {
    if (!idToken) throw new PortError('credentials', `the job has no permission for an OIDC token. ${HINT}`)
    const { protocol, hostname } = new URL(url)
    if (protocol !== 'https:' && !isLoopback(hostname)) {
      const sentence =
        `the relay's address ${url} is plain HTTP, so the OIDC token isn't sent to it: ` +
        'set RELAY_PUBLIC_URL of the relay to its https:// address.'
      throw new PortError('credentials', sentence)
    }
    const audience = encodeURIComponent(url)
    const request = { method: 'GET', url: `${idToken.url}&audience=${audience}`, token: idToken.requestToken }
    const { status, body, retryAt } = await requestJson('GitHub', request, { fetch, clock })
    if (typeof body.value !== 'string') {
      const head = `GitHub responded with ${status} to the request for an OIDC token`
      if ([401, 403, 404].includes(status)) throw new PortError('credentials', `${head}. ${HINT}`, { status })
      const sentence = `${head}, but without a token: GitHub has an incident, or a proxy responded.`
      throw new PortError('unreachable', sentence, { status, retryAt })
    }
    core.setSecret(body.value)
    return body.value
  }

  /** @param fits whether the relay sent the response. The status isn't enough, because a proxy's login page can have any status. */
  async function post(
    path: string,
    bearer: string,
    body: JsonObject,
    fits: (response: JsonObject) => boolean,
  ): Promise<JsonObject> {
    const request = { method: 'POST', url: url + path, token: bearer, body }
    const what = `POST ${url}${path}`
    const response = await requestJson('The relay', request, { fetch, clock })
    const read = readRelayResponse(what, response)
    if (fits(read)) return read
    throw notTheRelay(what, response)
  }

  async function reportToken(): Promise<string> {
    if (token === null) await start()
    if (token === null) throw new PortError('credentials', 'another workflow run reports for this delivery.')
    return token
  }

  async function flush(): Promise<void> {
    if (sending) return
    sending = true
    // Waits, so that all reports that the caller adds in the same tick share the first message.
    await null
    while (waiting.length > 0) {
      const batch = takeBatch(waiting)
      const reports = batch.map(({ report }) => report) as unknown as Json
      const message = { delivery, sender, number: ++count, reports, finishing: options.finishing === true }
      try {
        const final = batch.some(({ report }) => 'update' in report && report.update.conclusion)
        const taken = (response: JsonObject) => response.number === message.number
        const extraMs = final ? FINAL_EXTRA_MS : 0
        const response = await underToken(bearer =>
          retry(() => post('/report', bearer, message, taken), { extraMs }),
        )
        // The relay renews the token after half of its lifetime.
        keepToken(response.token)
        for (const { resolve } of batch) resolve()
      } catch (error) {
        // Each report is sent again alone. Otherwise, one rejected report would block the others, and a used-up quota
        // would block a conclusion.
        const isRefused = error instanceof PortError && [400, 410, 413, 422].includes(error.status ?? 0)
        if (isRefused && batch.length > 1) {
          waiting.unshift(...batch.map(each => ({ ...each, alone: true as const })))
        } else for (const { reject } of batch) reject(error)
      }
    }
    sending = false
  }

  function send(report: Report): Promise<void> {
    return new Promise((resolve, reject) => {
      waiting.push({ report, size: Buffer.byteLength(JSON.stringify(report)) + 1, resolve, reject })
      void flush()
    })
  }

  return {
    start,
    async inputs() {
      if (token === null) return start()
      const body = { delivery, complete }
      const ask = (bearer: string) => retry(() => post('/report/inputs', bearer, body, hasInputs))
      return readInputs(await underToken(ask))
    },
    access: () => ({
      ...{ url, delivery, complete, finishes, required, token },
      idToken: token === null ? idToken : null,
    }),
    prepare: async () => {
      if (token === null) await start().catch(() => {})
    },
    async read() {
      const { run, reports } = await start()
      if (reports) return run
      throw new PortError(
        'credentials',
        "the relay has no Port credentials: set PORT_CLIENT_ID in the relay's environment, or port-client-id and " +
          "port-client-secret in the action's inputs.",
      )
    },
    async update({ output = {}, ...update }) {
      const changed = Object.entries(output).filter(
        ([name, value]) => sent.get(name) !== JSON.stringify(value),
      )
      const more = changed.length > 0 && { output: Object.fromEntries(changed) }
      await sendUpdate({ ...update, ...more }, each => send({ update: each }))
      for (const [name, value] of changed) sent.set(name, JSON.stringify(value))
    },
    async log(lines) {
      await Promise.all(logBatches(lines).map(log => send({ log })))
    },
    upsertEntity: (blueprint, properties) => send({ entity: { blueprint, properties, ...mark } }),
    deleteEntity: (blueprint, identifier) =>
      send({ entity: { blueprint, properties: { identifier }, operation: 'delete', ...mark } }),
  }
}

const HINT = 'Give the job "permissions: id-token: write", or set port-client-id and port-client-secret.'

/** Removes as many reports from the list as fit in one message, but at least one, and returns them. */
function takeBatch(waiting: Waiting[]): Waiting[] {
  let size = 0
  const end = waiting.findIndex((each, index) => {
    size += each.size
    return index > 0 && (size > MAX_MESSAGE || each.alone || waiting[0]!.alone)
  })
  return waiting.splice(0, end < 0 ? waiting.length : end)
}

function readRun(run: JsonObject): RunState {
  return {
    ...UNREAD,
    status: typeof run.status === 'string' ? (run.status as RunState['status']) : 'unknown',
    finished: run.ended === true,
    externalRunId: typeof run.external_run_id === 'string' ? run.external_run_id : null,
    synchronized: run.synchronized === true,
  }
}

const hasInputs = (response: JsonObject) => isObject(response.secrets)
const hasStarted = (response: JsonObject) =>
  response.duplicate === true || (typeof response.token === 'string' && hasInputs(response))

function readInputs({ payload, secrets }: JsonObject): RelayInputs {
  return {
    payload: isObject(payload) ? (payload as unknown as RelayInputs['payload']) : null,
    secrets: secrets as Record<string, string>,
  }
}
