import { randomUUID } from 'node:crypto'
import { LIMITS } from '../config/limits.ts'
import { MAX_DEPTH, scanJson } from '../http/body.ts'
import { Problem } from '../http/problem.ts'

/**
 * The body as JSON; an empty one is undefined.
 *
 * @throws Problem 400 if it isn't JSON in UTF-8, is nested too deeply, or contains a number that is too large; 422 if it
 *   has too many keys
 */
export function parseBody(body: Uint8Array): unknown {
  if (body.length === 0) return undefined
  const { depth, keys, mayOverflow } = scanJson(body)
  if (keys > LIMITS.jsonKeys.value) {
    throw new Problem(
      422,
      `The body has more than ${LIMITS.jsonKeys.value} keys: send fewer, or a part of it as text.`,
    )
  }
  let value: unknown
  try {
    value = JSON.parse(utf8.decode(body))
  } catch {
    throw new Problem(
      400,
      'The body is not JSON in UTF-8: check the "body" of the Port action\'s invocation method.',
    )
  }
  if (depth > MAX_DEPTH) {
    throw new Problem(400, `The body is nested more than ${MAX_DEPTH} levels deep, more than GitHub accepts.`)
  }
  if (mayOverflow) refuseInfinite(value, '')
  return value
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** Infinity would become null in JSON, and the workflow's input would differ from what was signed. */
function refuseInfinite(value: unknown, key: string | number): void {
  if (value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY) {
    const where = key === '' ? '' : ` at ${JSON.stringify(String(key))}`
    throw new Problem(
      400,
      `The number${where} is larger than 1.8e308, the largest number that JSON parsers represent: send it as text.`,
    )
  }
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) refuseInfinite(value[i], i)
    return
  }
  if (typeof value !== 'object' || value === null) return
  for (const [name, each] of Object.entries(value)) refuseInfinite(each, name)
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
