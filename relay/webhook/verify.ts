import { createHash } from 'node:crypto'
import type { Context } from 'hono'
import { BOUNDS } from '../config/bounds.ts'
import type { Config } from '../config/config.ts'
import { type BodyRoom, createBodyMemory } from '../http/body-memory.ts'
import { checkLength } from '../http/content-length.ts'
import { Problem } from '../http/problem.ts'
import { readBody } from '../http/read-body.ts'
import type { SignatureUse } from '../store/delivery.ts'
import { checkAge, checkContentType, requireHeader } from './headers.ts'
import { verifySignature } from './signature.ts'

/** A webhook of Port whose signature matches. */
export interface VerifiedWebhook {
  organisation: string
  use: SignatureUse
  body: Uint8Array
  room: BodyRoom
}

/** Verifies a webhook, and gives it to a handler. */
export type VerifyWebhook = (
  c: Context,
  take: (webhook: VerifiedWebhook) => Promise<Response>,
) => Promise<Response>

/**
 * Verifies webhooks of Port, in this order: size → headers → timestamp → signature. Nothing of the body is read
 * before its headers have passed (one that came without its length is measured as it comes), and nothing is parsed
 * before its signature is verified.
 *
 * @param clock the wall clock, which webhooks are signed by; milliseconds since 1970
 * @returns a function that throws Problem for every refusal
 */
export function createVerify(
  config: Pick<Config, 'organisations' | 'webhook' | 'trustedProxies'>,
  clock: () => number,
): VerifyWebhook {
  const { tolerance, maxBody } = config.webhook
  const withRoom = createBodyMemory({
    arrivingBytes: BOUNDS.webhookArriving.value * maxBody,
    processingBytes: BOUNDS.webhookProcessing.value * maxBody,
    trustedProxies: config.trustedProxies,
  })

  return (c, take) =>
    withRoom(c, async room => {
      checkLength(c, maxBody)
      checkContentType(c)
      const timestamp = requireHeader(c, 'x-port-timestamp')
      const signature = requireHeader(c, 'x-port-signature')
      const signedAt = checkAge(timestamp, clock(), tolerance)
      const body = await readBody(c, maxBody, room)
      const verified = verifySignature(config.organisations, signature, timestamp, body)
      if (!verified) {
        throw new Problem(
          401,
          'The signature does not match: PORT_CLIENT_SECRET (or PORT_WEBHOOK_SECRETS) must hold the client secret of the Port organisation that sends this, and nothing between Port and here may change the body.',
        )
      }
      room.accept()
      const { url } = c.req
      const use = {
        digest: digest(`${timestamp}.${verified.signature}`),
        // Path and query, without the host.
        address: digest(url.slice(url.indexOf('/', 'https://'.length))),
        expiresAt: signedAt + tolerance,
      }
      return take({ organisation: verified.organisation, use, body, room })
    })
}

const digest = (text: string) => createHash('sha256').update(text).digest('base64url')
