import { PortError } from '../../port/client/port-client.ts'
import { LONGEST_WAIT_MS } from '../../port/client/port-error.ts'
import { readRetryAt } from '../../port/client/retry-after.ts'
import { isObject, type JsonObject } from '../../port/types.ts'
import type { Runner } from '../runner/runner.ts'
import { whyNoAnswer } from '../runner/why-no-answer.ts'

export interface RelayAnswer {
  status: number
  /** Empty where it was no object. */
  body: JsonObject
  /** ms epoch; when it wants to be asked again. */
  retryAt: number | null
}

const TIMEOUT_MS = 10_000

/**
 * One request with a bearer token.
 *
 * @param who for the error
 * @throws PortError where there was no answer
 */
export async function requestJson(
  who: string,
  request: { method: string; url: string; token: string; body?: JsonObject },
  { fetch, clock }: Pick<Runner, 'fetch' | 'clock'>,
): Promise<RelayAnswer> {
  const { method, url, token, body } = request
  try {
    const response = await fetch(url, {
      method,
      headers: {
        accept: 'application/json',
        authorization: `Bearer ${token}`,
        'user-agent': 'port-webhook-action',
        ...(body && { 'content-type': 'application/json' }),
      },
      ...(body && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    const retryAt = readRetryAt(response.headers, clock(), LONGEST_WAIT_MS)
    return { status: response.status, body: parseObject(await response.text()), retryAt }
  } catch (cause) {
    throw new PortError(
      'unreachable',
      `${who} did not answer at ${new URL(url).host}: ${whyNoAnswer(cause)}. Check whether this machine reaches it (proxy, firewall).`,
      { cause },
    )
  }
}

/**
 * The run has used up what may be reported of it: the relay accepts no further lines. An update with a conclusion is
 * always accepted.
 */
export class QuotaError extends PortError {
  constructor(message: string) {
    super('refused', message, { status: 413 })
  }
}

/** The body, or the error that the relay's answer stands for. */
export function readRelayAnswer(what: string, { status, body, retryAt }: RelayAnswer): JsonObject {
  if (status < 300 || (status === 409 && body.duplicate === true)) return body
  const detail = typeof body.detail === 'string' ? ` (${body.detail.slice(0, 600)})` : ''
  const head = `the relay answered ${status} to ${what}${detail}`
  if (status === 413) throw new QuotaError(head)
  if (status >= 500 || status === 429 || status === 408) {
    throw new PortError('unreachable', head, { status, retryAt })
  }
  throw new PortError(status === 401 || status === 403 ? 'credentials' : 'refused', head, { status })
}

/** Empty where the text is no JSON object. */
function parseObject(text: string): JsonObject {
  try {
    const body: unknown = JSON.parse(text)
    return isObject(body) ? body : {}
  } catch {
    return {}
  }
}
