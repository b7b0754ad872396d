import { createHash, timingSafeEqual } from 'node:crypto'
import type { Context, MiddlewareHandler } from 'hono'
import type { Config } from '../config/config.ts'
import { LIMITS } from '../config/limits.ts'
import { Problem } from '../http/problem.ts'
import {
  bearer,
  createTokenBuckets,
  noteVerified,
  refuseOverRate,
  requestFields,
  senderAddress,
  VERIFIED,
} from '../http/request.ts'
import type { ThrottledLog } from '../log.ts'

/** `view` can read; `admin` can also make changes. */
export type Role = 'admin' | 'view'

export type AdminTokens = Pick<Config, 'adminToken' | 'viewToken'>

export type Roles = ReturnType<typeof createRoles>

export function createRoles(config: AdminTokens & Pick<Config, 'trustedProxies'>) {
  const { adminToken, viewToken, trustedProxies } = config
  const failures = createTokenBuckets(LIMITS.signInRate)
  const of = (token: string | null): Role | null =>
    isSame(token, adminToken) ? 'admin' : isSame(token, viewToken) ? 'view' : null
  return {
    /** Whether a token is set. Without a token, the API and the dashboard are off. */
    isOpen: adminToken !== null || viewToken !== null,
    of,
    /** Returns the role of the request's token. Limits the number of wrong tokens per sender. @throws Problem 401 with `sentence`; 429 for too many wrong tokens */
    ofRequest(c: Context, sentence: string): Role {
      const token = bearer(c)
      const role = of(token)
      if (role !== null) return role
      const waitMs = token === null ? 0 : failures.take(senderAddress(c, trustedProxies))
      if (waitMs > 0)
        throw refuseOverRate('Too many requests with a wrong token: wait, or send a valid token.', waitMs)
      throw new Problem(401, sentence, { 'www-authenticate': 'Bearer' })
    },
  }
}

/** Compares tokens of any length, in constant time. */
export function isSame(given: string | null, expected: string | null): boolean {
  if (given === null || expected === null) return false
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(expected))
}

export type CallLogs = Pick<Config, 'trustedProxies'> &
  Record<'log' | 'throttled', Pick<ThrottledLog, 'info'>>

/**
 * Logs each call by an operator: the request, the role, and the status of the response. Calls without a valid token, and
 * repeated reads, cause at most one line per minute.
 */
export function logCalls(
  { trustedProxies, log, throttled }: CallLogs,
  message: string,
  roleOf: (c: Context) => Promise<Role | null> | Role | null,
): MiddlewareHandler {
  let previous = ''
  return async (c, next) => {
    const role = await roleOf(c)
    if (role !== null) noteVerified(c)
    await next()
    const fields = { role, ...requestFields(c, trustedProxies, c.res.status, c.error) }
    const call = JSON.stringify(fields)
    const isRepeated = c.req.method === 'GET' && call === previous
    previous = call
    const target = c.get(VERIFIED) && !isRepeated ? log : throttled
    target.info(fields, message)
  }
}
