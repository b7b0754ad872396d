import { randomUUID } from 'node:crypto'
import { LIMITS } from '../config/limits.ts'
import { readJson } from '../http/body.ts'

/**
 * Parses a Port webhook's body as JSON. An empty body is undefined.
 *
 * @throws Problem 400, 422: see `readJson`
 */
export function parseBody(body: Uint8Array): unknown {
  if (body.length === 0) return undefined
  const advice = {
    notJson: 'check the "body" of the Port action\'s invocation method',
    tooDeep: 'GitHub accepts no deeper JSON',
  }
  return readJson(body, advice, LIMITS.jsonKeys.value)
}

/**
 * Creates a version 7 UUID. Its first 48 bits are the time, so that a large index grows at its end instead of
 * everywhere. The random bits come from a version 4 UUID, which Node caches. Requesting random bytes from the system
 * for each id would take longer than verifying the signature.
 *
 * @param now milliseconds since 1970
 * @see https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-7; Node's own randomUUIDv7 is younger than Node 24
 */
export function deliveryId(now: number): string {
  const time = now.toString(16).padStart(12, '0')
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`
}
