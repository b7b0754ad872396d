import { trimEnd } from '../text.ts'
import type { Json, JsonObject, LogLine, RunKind, RunState, RunUpdate } from '../types.ts'
import { isObject, runKind } from '../types.ts'
import type { Call, Response } from './errors.ts'
import { describeNetworkError, PortError, readPortError, TOKEN_PATH } from './errors.ts'
import { createRateLimitPause } from './rate-limit.ts'
import { actionRunBody, nodeRunBody, readNodeRun, readRun, sendUpdate, UNREAD } from './run-bodies.ts'

export { PortError } from './errors.ts'

/** An action run or a node run. Every method throws {@link PortError}. */
export interface PortRun {
  id: string
  kind: RunKind
  /** Reads the run. The status of a node run is `unknown` while the run is in progress, or if Port doesn't show it. */
  read(): Promise<RunState>
  /**
   * Replaces the given fields. Every update of a node run must repeat the link and the external run ID, because Port
   * removes values that an update omits. If Port rejects a field other than the conclusion, the run finishes without
   * that field.
   */
  update(update: RunUpdate): Promise<void>
  /** Sends lines that fit in one request (see `logBatches`). Not idempotent: a second request adds the lines again. */
  log(lines: readonly LogLine[]): Promise<void>
}

/** A `fetch` that doesn't follow redirects. */
export type Fetch = (
  url: string,
  init: { method: string; headers: Record<string, string>; body?: string; signal?: AbortSignal },
) => Promise<{ status: number; headers: { get(name: string): string | null }; text(): Promise<string> }>

type Request = { method: string; path: string; runId: string | null; body?: JsonObject | undefined }

export interface PortClientOptions {
  readNodeRuns?: boolean
  apiUrl: string
  clientId: string
  clientSecret: string
  /** A token to use until it expires. */
  token?: Token | null
  fetch?: Fetch
  timeoutMs?: number
  clock?: () => number
  onToken?: (token: string) => void
  /** Redacts further secrets from Port's error messages. */
  redact?: (text: string) => string
  settings?: Call['settings']
  onResult?: (error: PortError | null) => void
}

export type PortClient = ReturnType<typeof createPortClient>

/** Calls Port's API. Retries once after a 401, with a new token, and never after another error. @see https://docs.port.io/api-reference/port-api */
export function createPortClient(options: PortClientOptions) {
  const { clientId, clientSecret, onToken, onResult = () => {} } = options
  const { clock = Date.now, redact = text => text, timeoutMs = 15_000 } = options
  const { settings = { credentials: 'PORT_CLIENT_ID and PORT_CLIENT_SECRET', apiUrl: 'PORT_API_URL' } } =
    options
  const base = trimEnd(options.apiUrl, '/')
  const send: Fetch = options.fetch ?? ((url, init) => fetch(url, { ...init, redirect: 'manual' }))
  const tokens = createTokenCache(mint, clock, options.token)
  if (options.token) onToken?.(options.token.value)
  const pause = createRateLimitPause(clock)

  async function mint(): Promise<Token> {
    const body = { clientId, clientSecret }
    const granted = await request({ method: 'POST', path: TOKEN_PATH, runId: null, body }, null)
    const value = isObject(granted) ? granted.accessToken : null
    if (typeof value !== 'string' || !isObject(granted)) throw notPort(`POST ${TOKEN_PATH}`)
    onToken?.(value)
    const seconds = typeof granted.expiresIn === 'number' ? granted.expiresIn : 0
    return { value, expiresAt: clock() + seconds * 1000 }
  }

  const call = (method: string, path: string, runId: string | null, body?: JsonObject): Promise<Json> =>
    observed(() => authorizedRequest({ method, path, runId, body }))

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

  async function authorizedRequest(given: Request): Promise<Json> {
    const token = await tokens.get()
    try {
      return await request(given, token)
    } catch (error) {
      if (!(error instanceof PortError) || error.status !== 401) throw error
      await tokens.drop(token)
      return request(given, await tokens.get())
    }
  }

  async function request({ method, path, runId, body }: Request, token: string | null): Promise<Json> {
    const what = `${method} ${path.replace(/\?.*/, '')}`
    pause.check(what)
    let response: Response
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
        `Port didn't respond to ${what} at ${base}: ${describeNetworkError(cause)}. Check ${settings.apiUrl}, and whether this ` +
          'machine can reach it (proxy, firewall).',
        { cause },
      )
    }
    if (response.status >= 300) {
      const own = [clientSecret, token ?? ''].filter(secret => secret !== '')
      const hide = (text: string) =>
        own.reduce((hidden, secret) => hidden.replaceAll(secret, '***'), redact(text))
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

  /** @param workflowRunId if it is missing, the client reads the node run from a route that Port doesn't document */
  function nodeRun(id: string, workflowRunId?: string): PortRun {
    const path = `/v1/workflows/nodes/runs/${encodeURIComponent(id)}`
    const read = workflowRunId ? `/v1/workflows/runs/${encodeURIComponent(workflowRunId)}` : path

    return {
      id,
      kind: 'node_run',
      async read() {
        if (!options.readNodeRuns) return UNREAD
        try {
          return readNodeRun(await call('GET', read, id), id)
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
    run: (id: string, workflowRunId?: string) =>
      runKind(id) === 'node_run' ? nodeRun(id, workflowRunId) : actionRun(id),
    /** The end of the rate-limit pause, in milliseconds since 1970. Until then, every call throws and sends no request. */
    pausedUntil: pause.until,
    async authorize() {
      await tokens.get()
    },
    /** Checks the credentials by requesting a token, even if the client has a valid token. */
    check: () => observed(tokens.renew),
    token: tokens.current,
    request: (method: string, path: string, body?: JsonObject) => call(method, path, null, body),
    /** Creates or updates the entity. @param runId the action run to which the entity is linked, and which must be in progress */
    async upsertEntity(blueprint: string, entity: JsonObject, runId: string | null) {
      const path = `/v1/blueprints/${encodeURIComponent(blueprint)}/entities?upsert=true&merge=true`
      const tied = runId === null ? path : `${path}&run_id=${encodeURIComponent(runId)}`
      try {
        await call('POST', tied, null, entity)
      } catch (error) {
        // Port can't link an entity to a finished run, so the entity is sent without the link.
        if (!(error instanceof PortError && error.kind === 'finished')) throw error
        await call('POST', path, null, entity)
      }
    },
    /** Deletes the entity. Port rejects the request if another entity requires this entity. */
    async deleteEntity(blueprint: string, identifier: string) {
      // `.` and `..` would change the URL's path. An empty identifier would address all entities of the blueprint.
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
  /** The expiry time in milliseconds since 1970. */
  expiresAt: number
}

/**
 * Provides a token. Concurrent calls share one request. Port returns the same token until it expires, so a token can
 * expire soon after the request. The next token is requested a minute before the token expires, or when nine tenths of
 * its remaining lifetime have passed, whichever is later.
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
    current: () => latest,
    async get(): Promise<string> {
      const held = current
      const token = await (held ?? start())
      if (held === null || token.renewAt > clock()) return token.value
      return (await (current === held ? start() : (current ?? start()))).value
    },
    /** Forgets the token, unless another call has replaced it in the meantime. */
    async drop(value: string): Promise<void> {
      const held = current
      if (held && (await held.catch(() => null))?.value === value && current === held) current = null
    },
  }
}
