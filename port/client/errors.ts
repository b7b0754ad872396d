import { LONGEST_WAIT_MS, readRetryAt } from '../retry.ts'
import { parseJson } from '../text.ts'
import { isObject } from '../types.ts'

/**
 * - `synchronized`: Port uses the webhook response as the run's result, so no request can set the result
 * - `unknown_run`: the run doesn't exist in this region and organization of Port
 * - `credentials`: Port issues no token, or rejects even a new token
 * - `unreachable`: no response, a 5xx, a conflict, a redirect, or a response that didn't come from Port
 * - `refused`: any other error; a retry helps only after an operator grants a missing permission (403)
 */
export type PortErrorKind =
  | 'finished'
  | 'synchronized'
  | 'unknown_run'
  | 'credentials'
  | 'later'
  | 'unreachable'
  | 'refused'

export class PortError extends Error {
  override name = 'PortError'
  readonly kind: PortErrorKind
  /** The status of the response; null if there was no response. */
  readonly status: number | null
  /** When Port accepts the next request, in milliseconds since 1970. */
  readonly retryAt: number | null
  /** Whether the client got no token, and therefore didn't send the request. */
  ofToken = false
  /** For `log` calls: how many lines must not be sent again. */
  linesSent = 0
  /** For `log` calls: how many lines may be missing without a notice in Port's log. */
  linesLost = 0

  constructor(
    kind: PortErrorKind,
    message: string,
    more: { status?: number | null; retryAt?: number | null; cause?: unknown } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause })
    this.kind = kind
    this.status = more.status ?? null
    this.retryAt = more.retryAt ?? null
  }

  get temporary(): boolean {
    return this.kind === 'later' || this.kind === 'unreachable'
  }
}

export interface Call {
  what: string
  /** The id of the call's run; null for tokens and entities. */
  runId: string | null
  host: string
  settings: { credentials: string; apiUrl: string }
  /** Applied to Port's messages, which may quote the request. */
  redact: (text: string) => string
}

export type Response = { status: number; headers: { get(name: string): string | null }; text: string }

export const TOKEN_PATH = '/v1/auth/access_token'

export function readPortError(call: Call, response: Response, now: number): PortError {
  const { status } = response
  const body = readBody(response.text)
  const { code, message } = body ?? { code: '', message: '' }
  // Texts are redacted before they are cut, because redaction can't recognize a cut secret.
  const detail = [code, message]
    .filter(Boolean)
    .map(text => call.redact(text).slice(0, LONGEST))
    .join(': ')
  const head = `Port (${call.host}) responded with ${status} to ${call.what}${detail && ` (${detail})`}`
  const moved = status < 400 ? movedTo(call, response.headers.get('location')) : null
  const retryAt = readRetryAt(response.headers, now, LONGEST_WAIT_MS)
  const { credentials, apiUrl } = call.settings
  const error = (kind: PortErrorKind, sentence: string) => {
    const isTemporary = kind === 'later' || kind === 'unreachable'
    return new PortError(kind, `${head}: ${sentence}`, { status, retryAt: isTemporary ? retryAt : null })
  }
  if (status === 429) {
    const until = retryAt === null ? '' : `, until ${new Date(retryAt).toISOString()}`
    return error('later', `Port limits the organization's requests${until}.`)
  }
  if (status >= 500 || status === 408 || status === 425)
    return error('unreachable', 'Port failed to process the request.')
  if (moved !== null) return error('unreachable', `correct ${apiUrl} to ${moved}.`)
  // The response of a proxy or gateway shows nothing about the run, unless its status is 413.
  if (status < 400 || (body === null && status !== 401 && status !== 413)) {
    return error('unreachable', `this response isn't from Port; check ${apiUrl} and the proxy.`)
  }
  const forToken = call.what === `POST ${TOKEN_PATH}`
  if (forToken && status === 404) {
    return error(
      'credentials',
      `this route doesn't exist; set ${apiUrl} to the address of Port's API without a path, such as https://api.port.io.`,
    )
  }
  const later = () => error('unreachable', "Port can't accept this request right now.")
  if (forToken && status === 409) return later()
  // Port rejected the token, or issued none.
  if (status === 401 || (forToken && status !== 413)) {
    const cure = `check both values, and check that ${apiUrl} is the API of the organization's region.`
    return error('credentials', `Port doesn't accept ${credentials}; ${cure}`)
  }
  const run = call.runId === null ? 'the run' : `run ${call.runId}`
  if (code === 'run_exhausted') return error('finished', `${run} has already finished.`)
  if (call.runId !== null) {
    if (status === 404 && NOT_FOUND.test(code)) {
      const cure = `check that ${credentials} belong to the organization of the run, and that ${apiUrl} is the API of the organization's region.`
      return error('unknown_run', `Port has no ${run}; ${cure}`)
    }
    // Port documents the error code for a finished run only for logs and entities, so the message is also checked.
    if (code === 'run_synchronized_error') {
      const cure = 'to report the job, set "synchronized": false in the Port action or in the node.'
      return error(
        'synchronized',
        `${run} is synchronous, so Port uses the response to its webhook as the result; ${cure}`,
      )
    }
    if (/already (finished|ended|completed)/i.test(message))
      return error('finished', `${run} has already finished.`)
    if (status === 409 || status === 404) return later()
  }
  if (status === 403)
    return error('refused', `${credentials} lack the permission for this request; grant it in Port.`)
  const blueprint = /\/blueprints\/([^/]+)\/entities$/.exec(call.what)?.[1]
  if (status === 404 && blueprint !== undefined) {
    const name = decodeURIComponent(blueprint)
    return error('refused', `Port has no blueprint "${name}"; create it, or correct the identifier.`)
  }
  return error('refused', 'Port rejects this request.')
}

/**
 * Returns the base URL that a redirect points to; null for a proxy's page. The client doesn't follow redirects, because
 * the new request could have another method, or send the secret to another host.
 */
function movedTo(call: Call, location: string | null): string | null {
  const to = URL.parse(location ?? '')
  const path = call.what.slice(call.what.indexOf(' ') + 1)
  return to?.pathname.endsWith(path) ? to.origin + to.pathname.slice(0, -path.length) : null
}

const NOT_FOUND = /^(?:[a-z]+_)*not_found$/

/** Port's format is `{ ok: false, error: code, message }`. A gateway's format can be `{ message: "Not Found" }`. */
function readBody(text: string): { code: string; message: string } | null {
  const body = parseJson(text)
  if (!isObject(body) || body.ok !== false || typeof body.error !== 'string') return null
  return /^[a-z][a-z0-9_]*$/.test(body.error) ? { code: body.error, message: textOf(body.message) } : null
}

const LONGEST = 300
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

/** The codes of failures before a connection is established. */
const NOT_SENT =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ENETUNREACH|EHOSTUNREACH|UND_ERR_CONNECT_TIMEOUT|CERT_|ERR_TLS_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_SSL_WRONG_VERSION_NUMBER|ERR_SSL_PACKET_LENGTH_TOO_LONG)/

/** Whether a request certainly failed before any byte reached the server, so that a retry is safe. */
export function wasNotSent(error: unknown): boolean {
  return errorChain(error).some(({ code, syscall }) => NOT_SENT.test(String(code)) || syscall === 'connect')
}

/** Describes a network failure by its innermost code (such as ECONNRESET), or else by its message. Never quotes a header or body. */
export function describeNetworkError(error: unknown): string {
  const errors = errorChain(error)
  const code = errors.findLast(each => typeof each.code === 'string')?.code
  // The message of a TypeError may quote a header.
  const last = errors.at(-1)
  const isTimeout = errors.some(({ name }) => name === 'TimeoutError' || name === 'AbortError')
  return isTimeout ? 'no response in time' : (code ?? (last?.name === 'Error' ? last.message : 'no response'))
}

/** Returns an error and its causes, the innermost last. `fetch` and Octokit wrap network errors. If a host has several addresses, each address has its own error. */
export function errorChain(error: unknown): NodeJS.ErrnoException[] {
  const errors: NodeJS.ErrnoException[] = []
  for (let each = error; each instanceof Error && errors.length < 10; ) {
    errors.push(each)
    each = each instanceof AggregateError ? each.errors[0] : each.cause
  }
  return errors
}
