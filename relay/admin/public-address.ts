import { createHmac, randomBytes } from 'node:crypto'
import { cleanText, isLoopback, parseJson } from '../../port/text.ts'
import { isObject } from '../../port/types.ts'
import type { Config } from '../config/config.ts'
import { clockTime } from '../delivery/outcome.ts'
import type { ThrottledLog } from '../log.ts'
import { explainNetworkError } from './network-error.ts'

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
    if (response.ok) return readBody(parseJson(await readStart(response)), response, expected)
    await response.body?.cancel()
    return readStatus(response, url)
  } catch (error) {
    return readError(error, url)
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

function readBody(body: unknown, { status, headers }: Response, expected: string | null): Found {
  const server = cleanText(headers.get('server') ?? '', 40)
  if (!isObject(body) || body.ok !== true)
    return failed(`another server responds (${status}${server && `, ${server}`})`, CORRECT)
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

const OWN_ADDRESS = " If this network can't reach its own public address, set RELAY_CHECK_PUBLIC_URL=false."

function readError(error: unknown, url: string): Found {
  const { byProxy, cause, advice } = explainNetworkError(error, url, 'RELAY_PUBLIC_URL')
  if (byProxy) return { kind: 'unknown', cause }
  if (cause.includes('trust')) return failed(cause, `${advice} Port and the runners must trust the CA, too.`)
  const hint = cause.includes('certificate') ? '' : OWN_ADDRESS
  return failed(cause, advice + hint)
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
  let first = 'Not checked yet. The relay checks it 5 seconds after its start.'

  return {
    /** Returns the last result; null if the check is off. A single failure doesn't count as a result. */
    status(): AddressStatus | null {
      if (url === null) return null
      if (!found) return { kind: null, since, text: first }
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
      if (result.kind === 'failed' && failures++ === 0) {
        since = clock()
        first = `The first check of ${url} failed: ${result.cause}. ${result.advice} The relay checks again after 30 seconds.`
      }
      if (!isFailed) failures = 0
      if (isFailed) throttled.warn({ reason: result.cause }, "RELAY_PUBLIC_URL doesn't lead to this relay")
      // The cause of a single failure can be the restart of a proxy.
      if (!isFailed || failures > 1) found = result
      return isFailed ? RETRY_MS : CHECK_MS
    },
  }
}

export type PublicAddress = ReturnType<typeof createPublicAddress>
