import { randomUUID } from 'node:crypto'
import { LIMITS } from '../config/limits.ts'
import { readJson } from '../http/json.ts'

/**
 * The body of a webhook of Port as JSON; an empty one is undefined.
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
 * A UUID of version 7: its first 48 bits are the time, so that the index of a million deliveries grows at
 * its end instead of everywhere. The random bits are those of a UUID of version 4, which Node keeps in stock: asking
 * the system for each id would cost more than verifying the signature.
 *
 * @param now milliseconds since 1970
 * @see https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-7; Node's own randomUUIDv7 is younger than Node 24
 */
export function deliveryId(now: number): string {
  const time = now.toString(16).padStart(12, '0')
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`
}
