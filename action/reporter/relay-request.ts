import { PortError } from '../../port/client/client.ts'
import { LONGEST_WAIT_MS, readRetryAt } from '../../port/client/errors.ts'
import { parseJson } from '../../port/text.ts'
import { isObject, type JsonObject } from '../../port/types.ts'
import { whyNoResponse } from '../runner/fetch.ts'
import type { Runner } from '../runner/runner.ts'

export interface RelayResponse {
  status: number
  /** The response body; empty if it isn't an object. */
  body: JsonObject
  /** Whether this is an error in the relay's own format, rather than a page from a proxy or gateway. */
  isProblem: boolean
  /** The origin that a redirect points to; null if there is no redirect. */
  movedTo: string | null
  /** When the relay accepts the next request, in ms since the epoch. */
  retryAt: number | null
}

const TIMEOUT_MS = 10_000

/**
 * Sends one request with a bearer token.
 *
 * @param who the server's name in error messages
 * @throws PortError if there was no response
 */
export async function requestJson(
  who: string,
  request: { method: string; url: string; token: string; body?: JsonObject },
  { fetch, clock }: Pick<Runner, 'fetch' | 'clock'>,
): Promise<RelayResponse> {
  const { method, url, token, body: given } = request
  try {
    const response = await fetch(url, {
      method,
      headers: {
        accept: 'application/json',
        authorization: `Bearer ${token}`,
        'user-agent': 'port-webhook-action',
        ...(given && { 'content-type': 'application/json' }),
      },
      ...(given && { body: JSON.stringify(given) }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    const { status, headers } = response
    const json = parseJson(await response.text())
    const body = isObject(json) ? json : {}
    const type = headers.get('content-type') ?? ''
    const location = headers.get('location') ?? ''
    return {
      status,
      body,
      isProblem: /^application\/problem\+json\b/i.test(type) && body.status === status,
      movedTo:
        status >= 300 && status < 400 && URL.canParse(location, url) ? new URL(location, url).origin : null,
      retryAt: readRetryAt(headers, clock(), LONGEST_WAIT_MS),
    }
  } catch (cause) {
    throw new PortError(
      'unreachable',
      `${who} did not respond at ${new URL(url).host}: ${whyNoResponse(cause)}. Check whether this machine reaches it (proxy, firewall).`,
      { cause },
    )
  }
}

/**
 * The run's report quota is used up, so the relay accepts no more lines. An update with a conclusion is always
 * accepted.
 */
export class QuotaError extends PortError {
  constructor(message: string) {
    super('refused', message, { status: 413 })
  }
}

/** Returns the body, or throws the error that the relay's response describes. */
export function readRelayResponse(what: string, response: RelayResponse): JsonObject {
  const { status, body, isProblem, retryAt } = response
  if (status < 300 || (status === 409 && body.duplicate === true)) return body
  const detail = typeof body.detail === 'string' ? ` (${body.detail.slice(0, 600)})` : ''
  const head = `the relay responded with ${status} to ${what}${detail}`
  if (status >= 500 || status === 429 || status === 408) {
    throw new PortError('unreachable', head, { status, retryAt })
  }
  // A 413 is reliable even if a gateway sends it, because the body is too large for the gateway.
  if (!isProblem && status !== 413) throw notTheRelay(what, response)
  if (isProblem && status === 413) throw new QuotaError(head)
  if (status === 410) throw new PortError('ended', head, { status })
  throw new PortError(status === 401 || status === 403 ? 'credentials' : 'refused', head, { status })
}

/** Describes a response from something between this machine and the relay. It says nothing about the report. */
export function notTheRelay(what: string, { status, movedTo, retryAt }: RelayResponse): PortError {
  const sentence =
    movedTo === null
      ? 'check RELAY_PUBLIC_URL of the relay, and the proxy on the way.'
      : `it redirects to ${movedTo}. RELAY_PUBLIC_URL must be the address of the relay itself.`
  const head = `the response ${status} to ${what} isn't the relay's`
  return new PortError('unreachable', `${head}: ${sentence}`, { status, retryAt })
}
