import { trimEnd } from '../text.ts'
import {
  isObject,
  type Json,
  type JsonObject,
  type LogLine,
  type RunKind,
  type RunState,
  type RunUpdate,
  runKind,
} from '../types.ts'
import { type Call, describeNetworkError, PortError, readPortError, TOKEN_PATH } from './errors.ts'
import { actionRunBody, nodeRunBody, readNodeRun, readRun, sendUpdate, UNREAD } from './messages.ts'
import { createRateLimitPause } from './rate-limit-pause.ts'

export { PortError } from './errors.ts'

/** An action run or a node run; every method throws {@link PortError}. */
export interface PortRun {
  id: string
  kind: RunKind
  /** Port documents no way to read a node run, so its status is `unknown`. */
  read(): Promise<RunState>
  /**
   * Replaces the given fields and keeps the others, except for a node run's link and external run id: give those each
   * time. If Port rejects a field besides the conclusion, the run finishes without it.
   */
  update(update: RunUpdate): Promise<void>
  /** Sends lines that fit into one request, see `logBatches`. Not idempotent. */
  log(lines: readonly LogLine[]): Promise<void>
}

/** The part of `fetch` that the client uses; it must not follow redirects. */
export type Fetch = (
  url: string,
  init: { method: string; headers: Record<string, string>; body?: string; signal?: AbortSignal },
) => Promise<{ status: number; headers: { get(name: string): string | null }; text(): Promise<string> }>

export interface PortClientOptions {
  /** Whether to try to read node runs, which Port does not document. */
  readNodeRuns?: boolean
  apiUrl: string
  clientId: string
  clientSecret: string
  /** A token from before, used as long as it is valid. */
  token?: Token | null
  fetch?: Fetch
  timeoutMs?: number
  /** ms epoch */
  clock?: () => number
  /** Called with each new token, so that it can be masked. */
  onToken?: (token: string) => void
  /** Hides further secrets in Port's messages, for error messages. */
  redact?: (text: string) => string
  /** The names of the caller's settings, for error messages. */
  settings?: Call['settings']
  /** Called with the result of each call: null, or its error. */
  onResult?: (error: PortError | null) => void
}

export interface PortClient {
  run(id: string): PortRun
  /** When Port accepts requests again after it limited one, ms epoch; until then, every call throws without a request. */
  pausedUntil(): number
  /** Gets a token, which shows whether the credentials are valid. */
  authorize(): Promise<void>
  /** The same with a request, also if there is a valid token. */
  check(): Promise<void>
  /** The token in use; null before there is one. */
  token(): Token | null
  /**
   * Creates the entity, or changes the properties and relations that it names.
   *
   * @param runId of an action run in progress, which the entity is then tied to
   */
  upsertEntity(blueprint: string, entity: JsonObject, runId: string | null): Promise<void>
  /** Deletes only this entity: Port rejects it if another one requires it. */
  deleteEntity(blueprint: string, identifier: string): Promise<void>
}

/**
 * Port's API. It doesn't retry, except with one new token after a 401.
 *
 * @see https://docs.port.io/api-reference/port-api
 */
export function createPortClient(options: PortClientOptions): PortClient {
  const { clientId, clientSecret, onToken, redact = text => text, timeoutMs = 15_000 } = options
  const { onResult = () => {} } = options
  const {
    clock = Date.now,
    settings = { credentials: 'PORT_CLIENT_ID and PORT_CLIENT_SECRET', apiUrl: 'PORT_API_URL' },
  } = options
  const base = trimEnd(options.apiUrl, '/')
  const send: Fetch = options.fetch ?? ((url, init) => fetch(url, { ...init, redirect: 'manual' }))
  const tokens = createTokenCache(mint, clock, options.token)
  if (options.token) onToken?.(options.token.value)
  const pause = createRateLimitPause(clock)

  async function mint(): Promise<Token> {
    const answer = await request('POST', TOKEN_PATH, null, { clientId, clientSecret }, null)
    const value = isObject(answer) ? answer.accessToken : null
    if (typeof value !== 'string' || !isObject(answer)) throw notPort(`POST ${TOKEN_PATH}`)
    onToken?.(value)
    const seconds = typeof answer.expiresIn === 'number' ? answer.expiresIn : 0
    return { value, expiresAt: clock() + seconds * 1000 }
  }

  const call = (method: string, path: string, runId: string | null, body?: JsonObject): Promise<Json> =>
    observed(() => authorizedRequest(method, path, runId, body))

  async function observed<T>(send: () => Promise<T>): Promise<T> {
    try {
      const result = await send()
      onResult(null)
      return result
    } catch (error) {
      if (error instanceof PortError) onResult(error)
      throw error
    }
  }

  async function authorizedRequest(
    method: string,
    path: string,
    runId: string | null,
    body: JsonObject | undefined,
  ): Promise<Json> {
    const token = await tokens.get()
    try {
      return await request(method, path, runId, body, token)
    } catch (error) {
      if (!(error instanceof PortError) || error.status !== 401) throw error
      await tokens.drop(token)
      return request(method, path, runId, body, await tokens.get())
    }
  }

  /** One request; its response as JSON, or as an error. */
  async function request(
    method: string,
    path: string,
    runId: string | null,
    body: JsonObject | undefined,
    token: string | null,
  ): Promise<Json> {
    const what = `${method} ${path.replace(/\?.*/, '')}`
    pause.check(what)
    let answer: { status: number; headers: { get(name: string): string | null }; text: string }
    try {
      const response = await send(base + path, {
        method,
        headers: {
          accept: 'application/json',
          'user-agent': 'port-webhook-action',
          ...(body && { 'content-type': 'application/json' }),
          ...(token && { authorization: `Bearer ${token}` }),
        },
        ...(body && { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(timeoutMs),
      })
      answer = { status: response.status, headers: response.headers, text: await response.text() }
    } catch (cause) {
      throw new PortError(
        'unreachable',
        `Port did not respond to ${what} at ${base}: ${describeNetworkError(cause)}. Check ${settings.apiUrl}, and whether this ` +
          'machine reaches it (proxy, firewall).',
        { cause },
      )
    }
    if (answer.status >= 300) {
      const hide = (text: string) =>
        [clientSecret, token].reduce<string>(
          (hidden, secret) => (secret ? hidden.replaceAll(secret, '***') : hidden),
          redact(text),
        )
      const call = { what, runId, host: new URL(base).host, settings, redact: hide }
      const error = readPortError(call, answer, clock())
      if (error.kind === 'later') pause.limited(error.retryAt)
      throw error
    }
    pause.accepted()
    try {
      return answer.text === '' ? null : JSON.parse(answer.text)
    } catch {
      throw notPort(what, answer.status)
    }
  }

  const notPort = (what: string, status: number | null = null) =>
    new PortError(
      'unreachable',
      `${base} responded with ${what} with something that is not Port's: check ${settings.apiUrl}.`,
      { status },
    )

  function actionRun(id: string): PortRun {
    const path = `/v1/actions/runs/${encodeURIComponent(id)}`
    return {
      id,
      kind: 'action_run',
      async read() {
        const state = readRun(await call('GET', `${path}?version=v2`, id))
        if (!state) throw notPort(`GET ${path}`)
        return state
      },
      update: update => sendUpdate(update, each => call('PATCH', path, id, actionRunBody(each))),
      // One message a call: the lines become one, since each request counts against the rate limit.
      async log(lines) {
        await call('POST', `${path}/logs`, id, { message: lines.map(line => line.message).join('\n') })
      },
    }
  }

  function nodeRun(id: string): PortRun {
    const path = `/v1/workflows/nodes/runs/${encodeURIComponent(id)}`
    return {
      id,
      kind: 'node_run',
      async read() {
        if (!options.readNodeRuns) return UNREAD
        try {
          return readNodeRun(await call('GET', path, id))
        } catch (error) {
          if (error instanceof PortError && [404, 405].includes(error.status ?? 0)) return UNREAD
          throw error
        }
      },
      update: update => sendUpdate(update, each => call('PATCH', path, id, nodeRunBody(each))),
      async log(lines) {
        const logs = lines.map(({ level, message }) => ({ level, message }))
        await call('POST', `${path}/logs`, id, { logs })
      },
    }
  }

  return {
    run: id => (runKind(id) === 'node_run' ? nodeRun(id) : actionRun(id)),
    pausedUntil: pause.until,
    async authorize() {
      await tokens.get()
    },
    check: () => observed(tokens.renew),
    token: tokens.current,
    async upsertEntity(blueprint, entity, runId) {
      const path = `/v1/blueprints/${encodeURIComponent(blueprint)}/entities?upsert=true&merge=true`
      const tied = runId === null ? path : `${path}&run_id=${encodeURIComponent(runId)}`
      try {
        await call('POST', tied, null, entity)
      } catch (error) {
        // Only to be tied to an ended run is impossible.
        if (!(error instanceof PortError && error.kind === 'ended')) throw error
        await call('POST', path, null, entity)
      }
    },
    async deleteEntity(blueprint, identifier) {
      // Dots alone would change the path, and no identifier would name the entities of the blueprint.
      if (identifier === '' || identifier === '.' || identifier === '..') {
        throw new PortError('refused', `${JSON.stringify(identifier)} isn't the identifier of an entity.`)
      }
      const [of, id] = [blueprint, identifier].map(encodeURIComponent)
      await call('DELETE', `/v1/blueprints/${of}/entities/${id}?delete_dependents=false`, null)
    },
  }
}

export interface Token {
  value: string
  /** ms epoch */
  expiresAt: number
}

/**
 * Hands out one token until shortly before its end; calls at the same time share one minting.
 * Port hands out the same token until it expires, so a fresh one may be near its end: the margin
 * is a tenth of what is left, at most a minute.
 *
 * @param first one that was minted before
 */
function createTokenCache(mint: () => Promise<Token>, clock: () => number, first: Token | null = null) {
  let latest = first
  let current: Promise<Token & { renewAt: number }> | null = first && Promise.resolve(withMargin(first))

  async function obtain() {
    latest = await mint().catch(error => {
      if (error instanceof PortError) error.ofToken = true
      throw error
    })
    return withMargin(latest)
  }

  function withMargin(token: Token) {
    const left = token.expiresAt - clock()
    return { ...token, renewAt: token.expiresAt - Math.min(60_000, left / 10) }
  }

  function start() {
    const minting = obtain()
    current = minting
    minting.catch(() => {
      if (current === minting) current = null
    })
    return minting
  }

  return {
    async renew(): Promise<void> {
      await start()
    },
    /** The one that was minted last; null before that. */
    current: () => latest,
    async get(): Promise<string> {
      const held = current
      const token = await (held ?? start())
      if (held === null || token.renewAt > clock()) return token.value
      return (await (current === held ? start() : (current ?? start()))).value
    },
    /** Forgets a token that Port no longer accepts, unless another call has replaced it already. */
    async drop(value: string): Promise<void> {
      const held = current
      if (held && (await held.catch(() => null))?.value === value && current === held) current = null
    },
  }
}
