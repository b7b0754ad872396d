import { randomUUID } from 'node:crypto'

/**
 * A UUID of version 7: its first 48 bits are the time, so that the index of a million deliveries grows at
 * its end instead of everywhere. The random bits are those of a UUID of version 4, which Node has ready: asking the
 * system for each id would cost more than verifying the signature.
 *
 * @param now milliseconds since 1970
 * @see https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-7; Node's own randomUUIDv7 is younger than Node 24
 */
export function deliveryId(now: number): string {
  const time = now.toString(16).padStart(12, '0')
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`
}
