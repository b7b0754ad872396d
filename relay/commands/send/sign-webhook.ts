import { createHmac } from 'node:crypto'

/**
 * The headers that Port puts on a body: the signature is over the timestamp's text, a dot and the bytes.
 *
 * @param now ms since the epoch
 */
export function signWebhook(body: Uint8Array, secret: string, now: number): Record<string, string> {
  const timestamp = String(Math.floor(now / 1000))
  const signature = createHmac('sha256', secret).update(`${timestamp}.`).update(body).digest('base64')
  return {
    'content-type': 'application/json',
    'x-port-timestamp': timestamp,
    'x-port-signature': `v1,${signature}`,
  }
}
