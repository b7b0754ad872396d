import { createHmac } from 'node:crypto'

export const SECRET = 'test-client-secret-0123456789abcdef'

/** Signs as Port does: `v1,` + base64(HMAC-SHA256(secret, timestamp + "." + body)). */
export function sign(timestamp: string, body: Uint8Array | string, secret = SECRET): string {
  return `v1,${createHmac('sha256', secret).update(`${timestamp}.`).update(body).digest('base64')}`
}
