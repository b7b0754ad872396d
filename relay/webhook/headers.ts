import { MIMEType } from 'node:util'
import type { Context } from 'hono'
import { Problem } from '../http/problem.ts'
import { readTimestamp } from './timestamp.ts'

/** @throws Problem 415 for a body that is not plain JSON in UTF-8 */
export function checkContentType(c: Context): void {
  const type = c.req.header('content-type')
  if (type && !isJson(type)) {
    throw new Problem(
      415,
      'The body must be application/json in UTF-8: remove the Content-Type header from the Port action, or set it to application/json.',
    )
  }
  const encoding = c.req.header('content-encoding')
  if (encoding && !/^identity$/i.test(encoding.trim())) {
    throw new Problem(415, 'The body must not be compressed: Port signs it as plain JSON.')
  }
}

function isJson(type: string): boolean {
  // As Port writes it.
  if (type === 'application/json') return true
  try {
    const { essence, params } = new MIMEType(type)
    const charset = params.get('charset') ?? 'utf-8'
    return /^application\/(?:[\w.+-]+\+)?json$/.test(essence) && /^(?:utf-?8|us-ascii)$/i.test(charset)
  } catch {
    return false
  }
}

/** @throws Problem 401 where the header is missing */
export function requireHeader(c: Context, name: string): string {
  const value = c.req.header(name)
  if (value) return value
  throw new Problem(
    401,
    `The header ${name} is missing: only Port's webhooks are accepted, and a proxy in between must pass it on.`,
  )
}

/** @returns when it was signed, milliseconds since 1970. @throws Problem 401 for a webhook signed too long ago, or too far ahead */
export function checkAge(timestamp: string, now: number, tolerance: number): number {
  const signedAt = readTimestamp(timestamp)
  if (signedAt === null)
    throw new Problem(401, 'x-port-timestamp must be a number of seconds or milliseconds since 1970.')
  if (Math.abs(now - signedAt) > tolerance) {
    throw new Problem(
      401,
      `The webhook is ${signedAt < now ? 'older' : 'newer'} than RELAY_TOLERANCE allows (${tolerance / 1000} s): check this server's clock.`,
    )
  }
  return signedAt
}

/** Port's run id where the body holds none. Two lines of one value are one: a proxy may have added the second. */
export function runIdHeader(c: Context): string | undefined {
  const header = c.req.header('run_id')
  const [first, ...others] = header?.split(',').map(line => line.trim()) ?? []
  return others.every(other => other === first) ? first || undefined : header
}
