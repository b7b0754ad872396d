import { createHmac, randomBytes } from 'node:crypto'
import { describeNetworkError } from '../../port/client/errors.ts'
import { isLoopback, parseJson } from '../../port/text.ts'
import { isObject } from '../../port/types.ts'
import type { Config } from '../config/config.ts'
import { clockTime } from '../delivery/outcome.ts'
import type { ThrottledLog } from '../log.ts'

const CHALLENGE = /^[\w-]{32,64}$/
export const newChallenge = () => randomBytes(24).toString('base64url')

/** Signs a challenge of `GET /healthz`. @returns null for an invalid challenge */
export const signChallenge = (key: string, challenge = ''): string | null =>
  CHALLENGE.test(challenge) ? createHmac('sha256', key).update(challenge).digest('base64url') : null

/**
 * What responds at an address. `relay`: a relay of the expected database. `unknown`: the response doesn't show whether
 * the address is right. `cause`: a clause.
 */
export type Found =
  | { kind: 'relay'; hmac: string | null }
  | { kind: 'unknown'; cause: string }
  | { kind: 'failed'; cause: string; advice: string }

const TIMEOUT_MS = 10_000
const MAX_BYTES = 4096

/** Sends a challenge to an address. @param expected the challenge's HMAC; null to accept the response of any relay */
export async function challengeAddress(
  url: string,
  challenge: string,
  expected: string | null,
  fetch = globalThis.fetch,
): Promise<Found> {
  try {
    const init = { redirect: 'manual', signal: AbortSignal.timeout(TIMEOUT_MS) } as const
    const response = await fetch(`${url}/healthz?challenge=${challenge}`, init)
    if (response.ok) return readBody(parseJson(await readStart(response)), response.status, expected)
    await response.body?.cancel()
    return readStatus(response, url)
  } catch (error) {
    return readError(error)
  }
}

async function readStart({ body }: Response): Promise<string> {
  let text = ''
  for await (const chunk of body ?? []) {
    text += Buffer.from(chunk)
    if (text.length > MAX_BYTES) break
  }
  return text
}

const CORRECT = 'Correct RELAY_PUBLIC_URL, or correct the address to which the proxy forwards requests.'
const failed = (cause: string, advice: string): Found => ({ kind: 'failed', cause, advice })

function readBody(body: unknown, status: number, expected: string | null): Found {
  if (!isObject(body) || body.ok !== true) return failed(`another server responds (${status})`, CORRECT)
  const hmac = typeof body.hmac === 'string' ? body.hmac : null
  if (expected === null || hmac === expected) return { kind: 'relay', hmac }
  if (hmac === null) return { kind: 'unknown', cause: 'a relay of an earlier version responds' }
  return failed('a relay with another database responds', CORRECT)
}

function readStatus({ status, headers }: Response, url: string): Found {
  const cause = `the address responds with ${status}`
  const to = URL.parse(headers.get('location') ?? '', url)
  if (status < 400 && to?.pathname.endsWith('/healthz'))
    return failed(`the address redirects to ${to.origin}`, 'Set RELAY_PUBLIC_URL to that address.')
  // Responses with these statuses can come from a sign-in that protects the address.
  if (status < 400 || [401, 403, 429].includes(status)) return { kind: 'unknown', cause }
  if (status >= 500)
    return failed(cause, 'Start the relay, or correct the address to which the proxy forwards.')
  const routes = 'Let the proxy forward /healthz, /webhook, /github, and /report'
  return failed(cause, `${routes}, or correct RELAY_PUBLIC_URL.`)
}

const CA =
  'Let the proxy send the complete chain of certificates. If the CA is private, set NODE_EXTRA_CA_CERTS to its certificate; Port and the runners must trust the CA, too.'
const CONNECT =
  "Start the proxy, and check the firewall. If this network can't reach its own public address, set RELAY_CHECK_PUBLIC_URL=false."
/** Patterns of Node's error codes, the causes, and the advice. @see https://nodejs.org/api/tls.html#x509-certificate-error-codes */
const ERRORS: [RegExp, string, string][] = [
  [/^CERT_HAS_EXPIRED$/, 'the certificate has expired', 'Renew the certificate, and reload the proxy.'],
  [/^CERT_NOT_YET_VALID$/, "the certificate isn't valid yet", "Check this machine's clock."],
  [/ALTNAME/, 'the certificate is for another name', 'Correct the certificate, or RELAY_PUBLIC_URL.'],
  [/CERT|SIGNED|ISSUER|VERIFY/, "this machine doesn't trust the certificate's CA", CA],
  [/^ENOTFOUND|^EAI_AGAIN/, "the name doesn't resolve", 'Correct RELAY_PUBLIC_URL, or the DNS record.'],
  [/^ERR_SSL|^EPROTO/, "the server doesn't speak TLS", 'Let the proxy serve https on this port.'],
  [/^/, 'no connection', CONNECT],
]

function readError(error: unknown): Found {
  for (let each = error; each instanceof Error; each = each.cause)
    // Undici's message if the proxy in HTTPS_PROXY refuses the tunnel.
    if (each.message.includes('HTTP Tunneling'))
      return { kind: 'unknown', cause: 'the proxy in HTTPS_PROXY refuses the connection' }
  const code = describeNetworkError(error)
  const [, cause, advice] = ERRORS.find(([pattern]) => pattern.test(code)) as (typeof ERRORS)[number]
  return failed(`${cause} (${code})`, advice)
}

export const CHECK_MS = 5 * 60_000
const RETRY_MS = 30_000

/** `since`: when the consecutive failures started. */
export type AddressStatus = { kind: Found['kind'] | null; since: number; text: string; advice?: string }

/** Checks whether RELAY_PUBLIC_URL leads to a relay of this database. Times are milliseconds since 1970 by the store's clock. */
export function createPublicAddress(deps: {
  config: Pick<Config, 'publicUrl' | 'checkPublicUrl'>
  key: string
  clock: () => number
  throttled: Pick<ThrottledLog, 'warn'>
}) {
  const { config, clock, throttled, key } = deps
  const given = config.checkPublicUrl ? config.publicUrl : null
  const url = given !== null && isLoopback(new URL(given).hostname) ? null : given
  let [found, failures, since]: [Found | null, number, number] = [null, 0, 0]

  return {
    /** Returns the last result; null if the check is off. A single failure doesn't count as a result. */
    status(): AddressStatus | null {
      if (url === null) return null
      if (!found) return { kind: null, since, text: 'Not checked yet.' }
      const { kind } = found
      if (found.kind === 'relay') return { kind, since, text: `This machine reaches the relay at ${url}.` }
      if (found.kind === 'unknown') return { kind, since, text: `${url} can't be checked: ${found.cause}.` }
      const text = `RELAY_PUBLIC_URL (${url}) hasn't led to this relay since ${clockTime(since)}: ${found.cause}.`
      return { kind, since, text, advice: found.advice }
    },
    /** @returns the milliseconds until the next check */
    async check(): Promise<number> {
      if (url === null) return CHECK_MS
      const challenge = newChallenge()
      const result = await challengeAddress(url, challenge, signChallenge(key, challenge))
      const isFailed = result.kind === 'failed'
      if (isFailed && failures++ === 0) since = clock()
      if (!isFailed) failures = 0
      if (isFailed) throttled.warn({ reason: result.cause }, "RELAY_PUBLIC_URL doesn't lead to this relay")
      // The cause of a single failure can be the restart of a proxy.
      if (!isFailed || failures > 1) found = result
      return isFailed ? RETRY_MS : CHECK_MS
    },
  }
}

export type PublicAddress = ReturnType<typeof createPublicAddress>
