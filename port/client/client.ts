import { trimEnd } from '../text.ts'
import type { Json, JsonObject, LogLine, RunKind, RunState, RunUpdate } from '../types.ts'
import { isObject, runKind } from '../types.ts'
import type { Call } from './errors.ts'
import { describeNetworkError, PortError, readPortError, TOKEN_PATH } from './errors.ts'
import { actionRunBody, nodeRunBody, readNodeRun, readRun, sendUpdate, UNREAD } from './messages.ts'
import { createRateLimitPause } from './rate-limit.ts'

export { PortError } from './errors.ts'

/** An action run or a node run. Every method throws {@link PortError}. */
export interface PortRun {
  id: string
  kind: RunKind
  /** Reads the state. A node run's status can be `unknown`, because Port doesn't document how to read node runs. */
  read(): Promise<RunState>
  /**
   * Replaces the given fields. Port keeps all others, except for a node run's link and external run id. Every call must
   * include these two. If Port rejects a field other than the conclusion, the run finishes without that field.
   */
  update(update: RunUpdate): Promise<void>
  /** Sends lines that fit in one request (see `logBatches`). Not idempotent. */
  log(lines: readonly LogLine[]): Promise<void>
}

/** The part of `fetch` that the client uses. It must not follow redirects. */
export type Fetch = (
  url: string,
  init: { method: string; headers: Record<string, string>; body?: string; signal?: AbortSignal },
) => Promise<{ status: number; headers: { get(name: string): string | null }; text(): Promise<string> }>

export interface PortClientOptions {
  /** Whether to try to read node runs, although Port doesn't document how. */
  readNodeRuns?: boolean
  apiUrl: string
  clientId: string
  clientSecret: string
  /** A token from earlier, used while it is valid. */
  token?: Token | null
  fetch?: Fetch
  timeoutMs?: number
  /** ms since the epoch */
  clock?: () => number
  /** Called with each new token, so that the caller can mask the token. */
  onToken?: (token: string) => void
  /** Redacts additional secrets from Port's error messages. */
  redact?: (text: string) => string
  /** The names of the caller's settings, for error messages. */
  settings?: Call['settings']
  /** Called after each call, with null or the call's error. */
  onResult?: (error: PortError | null) => void
}

export interface PortClient {
  run(id: string): PortRun
  /** The end of the rate-limit pause, in ms since the epoch. Until then, every call throws and sends no request. */
  pausedUntil(): number
  /** Gets a token. This shows whether the credentials are valid. */
  authorize(): Promise<void>
  /** Checks the credentials with a request, even if there is a valid token. */
  check(): Promise<void>
  /** The current token; null before there is a token. */
  token(): Token | null
  /**
   * Creates the entity, or updates the given properties and relations.
   *
   * @param runId an action run in progress to link the entity to
   */
  upsertEntity(blueprint: string, entity: JsonObject, runId: string | null): Promise<void>
  /** Deletes only this entity. Port rejects the request if another entity requires it. */
  deleteEntity(blueprint: string, identifier: string): Promise<void>
}

/**
 * A client for Port's API. It doesn't retry, except once with a new token after a 401.
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
    const granted = await request('POST', TOKEN_PATH, null, { clientId, clientSecret }, null)
    const value = isObject(granted) ? granted.accessToken : null
    if (typeof value !== 'string' || !isObject(granted)) throw notPort(`POST ${TOKEN_PATH}`)
    onToken?.(value)
    const seconds = typeof granted.expiresIn === 'number' ? granted.expiresIn : 0
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

  /** Sends one request. Returns the JSON response, or throws an error. */
  async function request(
    method: string,
    path: string,
    runId: string | null,
    body: JsonObject | undefined,
    token: string | null,
  ): Promise<Json> {
    const what = `${method} ${path.replace(/\?.*/, '')}`
    pause.check(what)
    let response: { status: number; headers: { get(name: string): string | null }; text: string }
    try {
      const sent = await send(base + path, {
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
      response = { status: sent.status, headers: sent.headers, text: await sent.text() }
    } catch (cause) {
      throw new PortError(
        'unreachable',
        `Port did not respond to ${what} at ${base}: ${describeNetworkError(cause)}. Check ${settings.apiUrl}, and whether this ` +
          'machine can reach it (proxy, firewall).',
        { cause },
      )
    }
    if (response.status >= 300) {
      const hide = (text: string) =>
        [clientSecret, token].reduce<string>(
          (hidden, secret) => (secret ? hidden.replaceAll(secret, '***') : hidden),
          redact(text),
        )
      const call = { what, runId, host: new URL(base).host, settings, redact: hide }
      const error = readPortError(call, response, clock())
      if (error.kind === 'later') pause.limited(error.retryAt)
      throw error
    }
    pause.accepted()
    try {
      return response.text === '' ? null : JSON.parse(response.text)
    } catch {
      throw notPort(what, response.status)
    }
  }

  const notPort = (what: string, status: number | null = null) =>
    new PortError(
      'unreachable',
      `${base} responded to ${what}, but not in the format of Port's API: check ${settings.apiUrl}.`,
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
      // Lines are joined into one message, because each request counts against the rate limit.
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
        // Port can't link an entity to a finished run. The entity can still be sent without the link.
        if (!(error instanceof PortError && error.kind === 'finished')) throw error
        await call('POST', path, null, entity)
      }
    },
    async deleteEntity(blueprint, identifier) {
      // `.` and `..` would change the path. An empty identifier would address all entities of the blueprint.
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
  /** ms since the epoch */
  expiresAt: number
}

/**
 * Provides a token until shortly before it expires. Concurrent calls share one token request.
 * Port returns the same token until it expires, so a newly requested token may expire soon. The safety margin
 * is a tenth of the remaining time, at most one minute.
 *
 * @param first a token that was requested earlier
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
    /** The most recent token; null if there is none. */
    current: () => latest,
    async get(): Promise<string> {
      const held = current
      const token = await (held ?? start())
      if (held === null || token.renewAt > clock()) return token.value
      return (await (current === held ? start() : (current ?? start()))).value
    },
    /** Discards a token that Port no longer accepts, unless another call has already replaced it. */
    async drop(value: string): Promise<void> {
      const held = current
      if (held && (await held.catch(() => null))?.value === value && current === held) current = null
    },
  }
}
