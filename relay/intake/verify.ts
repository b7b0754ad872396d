import { hash, randomUUID } from 'node:crypto'
import type { Readable } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { MIMEType } from 'node:util'
import { readInvocation } from '../../port/invocation/invocation.ts'
import type { Invocation } from '../../port/types.ts'
import type { Config } from '../config/config.ts'
import { LIMITS } from '../config/limits.ts'
import type { NewDelivery } from '../delivery/delivery.ts'
import { checkLength, readBody, readJson } from '../http/body.ts'
import { createBodyMemory } from '../http/body-memory.ts'
import { Problem } from '../http/problem.ts'
import type { Head } from '../http/request.ts'
import { runKey } from '../store/sql/intake.ts'
import { verifySignature } from './signature.ts'

export interface VerifiedWebhook {
  head: Head
  /** When the webhook's head arrived, in milliseconds by `performance.now()`. */
  arrivedAt: number
  /** The signing time, followed by a digest of timestamp and signature. */
  digest: string
  /** The request's path and query, which aren't signed. */
  address: string
  /** When the signature expires, in milliseconds since 1970 by the sender's clock. */
  expiresAt: number
  body: Uint8Array
}

export type VerifyWebhook = ReturnType<typeof createVerify>

/**
 * Creates a function that verifies Port's webhooks. It checks the size, the headers, the timestamp, and the signature,
 * in this order.
 * @param clock the wall clock, which signatures use
 * @returns a function that calls `handle` with the webhook, and then releases its memory; throws Problem for every refusal
 */
export function createVerify(
  config: Pick<Config, 'port' | 'webhook' | 'trustedProxies'>,
  clock: () => number,
) {
  const { tolerance, maxBody } = config.webhook
  const reserve = createBodyMemory({
    arrivingBytes: LIMITS.webhookArriving * maxBody,
    processingBytes: LIMITS.webhookProcessing * maxBody,
    trustedProxies: config.trustedProxies,
  })

  return async <T>(
    head: Head,
    stream: Readable,
    handle: (webhook: VerifiedWebhook) => Promise<T>,
  ): Promise<T> => {
    const arrivedAt = performance.now()
    const reservation = reserve(head)
    try {
      checkLength(head, maxBody) // The length is checked first, and again in `readBody`.
      checkContentType(head)
      const timestamp = requireHeader(head, 'x-port-timestamp')
      const header = requireHeader(head, 'x-port-signature')
      const signedAt = checkAge(timestamp, clock(), tolerance)
      const body = await readBody(head, stream, maxBody, reservation)
      const signature = verifySignature(config.port.secrets, header, timestamp, body)
      if (signature === null)
        throw new Problem(
          401,
          "The signature doesn't match: PORT_CLIENT_SECRET or PORT_PREVIOUS_SECRETS must contain the client secret of the Port organization that sends the webhook, and no proxy may change the body.",
        )
      reservation.accept(body.length)
      const { url } = head.req
      return await handle({
        // Because the digest starts with the time, new entries go to the end of a large index.
        digest: `${signedAt}.${digest(`${timestamp}.${signature}`)}`,
        address: url.slice(url.indexOf('/', 'https://'.length)),
        expiresAt: signedAt + tolerance,
        ...{ head, arrivedAt, body },
      })
    } finally {
      reservation.release()
    }
  }
}

const digest = (text: string) => hash('sha256', text, 'base64url')

function checkContentType(c: Head): void {
  const type = c.req.header('content-type')
  if (type && !isJson(type))
    throw new Problem(
      415,
      'The body must be application/json in UTF-8: remove the Content-Type header from the Port action, or set it to application/json.',
    )
  const encoding = c.req.header('content-encoding')
  if (encoding && !/^identity$/i.test(encoding.trim()))
    throw new Problem(415, 'The body must not be compressed: Port signs it as plain JSON.')
}

function isJson(type: string): boolean {
  if (type === 'application/json') return true
  try {
    const { essence, params } = new MIMEType(type)
    const charset = params.get('charset') ?? 'utf-8'
    return /^application\/(?:[\w.+-]+\+)?json$/.test(essence) && /^(?:utf-?8|us-ascii)$/i.test(charset)
  } catch {
    return false
  }
}

function requireHeader(c: Head, name: string): string {
  const value = c.req.header(name)
  if (value) return value
  throw new Problem(
    401,
    `The header ${name} is missing: the relay accepts only Port's webhooks, and a proxy in between must pass this header.`,
  )
}

function checkAge(timestamp: string, now: number, tolerance: number): number {
  const signedAt = readTimestamp(timestamp)
  if (signedAt === null)
    throw new Problem(401, 'x-port-timestamp must be a number of seconds or milliseconds since 1970.')
  if (Math.abs(now - signedAt) > tolerance)
    throw new Problem(
      401,
      `The webhook is ${signedAt < now ? 'older' : 'newer'} than RELAY_TOLERANCE allows (${tolerance / 1000} s): check this server's clock.`,
    )
  return signedAt
}

/**
 * Reads a timestamp; null if it isn't a number. A number above 1e11 is in milliseconds, and a smaller one in seconds.
 * Port documents seconds, but some samples use milliseconds.
 */
function readTimestamp(header: string): number | null {
  if (!/^\d{1,15}$/.test(header)) return null
  const value = Number(header)
  return value > 1e11 ? value : value * 1000
}

/** Parses a body; undefined if the body is empty. @throws Problem 400, 422: see `readJson` */
export function parseBody(body: Uint8Array): unknown {
  if (body.length === 0) return undefined
  const advice = {
    notJson: 'check the "body" of the Port action\'s invocation method',
    tooDeep: "GitHub doesn't accept deeper JSON",
  }
  return readJson(body, advice, LIMITS.jsonKeys)
}

/**
 * Parses a body. Other requests run between the steps of parsing a large body.
 * @throws Problem 400, 422: see `readJson`
 */
export async function readWebhook({ head, digest, address, body }: VerifiedWebhook): Promise<{
  json: unknown
  invocation: Invocation
  identity: Pick<NewDelivery, 'dedupeKey' | 'sentAs' | 'signature'>
}> {
  const json = parseBody(body)
  if (body.length > LIMITS.webhookInSteps) await nextTurn()
  const invocation = readInvocation(json, head.req.header('run_id'))
  if (body.length > LIMITS.webhookInSteps) await nextTurn()
  const { runId, runIdFrom } = invocation
  const dedupeKey = runId ? runKey(runId) : `signed:${digest}`
  const signature = runIdFrom === 'body' ? null : digest
  return { json, invocation, identity: { dedupeKey, sentAs: `${digest} ${address}`, signature } }
}

export const usedElsewhere = () =>
  new Problem(
    409,
    "A webhook with this signature was received at another address. The address isn't signed, so a signature is valid for one address only: send each webhook to a single URL.",
  )

/**
 * Creates a version 7 UUID. Because it starts with the time, new entries go to the end of a large index. The random
 * bytes are from a version 4 UUID, for which Node caches them. Requesting random bytes would take longer than verifying
 * the signature.
 * @see https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-7; Node's randomUUIDv7 needs 24.16
 */
export function deliveryId(now: number): string {
  const time = now.toString(16).padStart(12, '0')
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`
}
