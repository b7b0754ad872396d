import { createHash, timingSafeEqual } from 'node:crypto'
import type { Context } from 'hono'
import { BOUNDS } from '../config/bounds.ts'
import { bearer } from '../http/bearer.ts'
import { Problem } from '../http/problem.ts'
import { senderAddress } from '../http/sender-address.ts'
import { createTokenBuckets, refuseOverRate } from '../http/token-bucket.ts'

/** `view` reads; `admin` may also change things. */
export type Role = 'admin' | 'view'

export interface Roles {
  /** Whether any token is set: without one, API and dashboard are closed. */
  isOpen: boolean
  /** The role that a token gives; null for none. */
  of(token: string | null): Role | null
  /**
   * The role of a request's bearer token. Wrong tokens have a rate for each sender; a right one always passes.
   * @throws Problem 401 with this sentence, 429
   */
  ofRequest(c: Context, sentence: string): Role
}

export interface AdminTokens {
  /** RELAY_ADMIN_TOKEN */
  adminToken: string | null
  /** RELAY_VIEW_TOKEN */
  viewToken: string | null
}

export function createRoles({
  adminToken,
  viewToken,
  trustedProxies,
}: AdminTokens & { trustedProxies: number }): Roles {
  const failures = createTokenBuckets(BOUNDS.signInRate.value)
  const of = (token: string | null): Role | null =>
    isSame(token, adminToken) ? 'admin' : isSame(token, viewToken) ? 'view' : null
  return {
    isOpen: adminToken !== null || viewToken !== null,
    of,
    ofRequest(c, sentence) {
      const token = bearer(c)
      const role = of(token)
      if (role !== null) return role
      const waitMs = token === null ? 0 : failures.take(senderAddress(c, trustedProxies))
      if (waitMs > 0)
        throw refuseOverRate('Too many requests with a wrong token: wait, or send a right one.', waitMs)
      throw new Problem(401, sentence, { 'www-authenticate': 'Bearer' })
    },
  }
}

/** In constant time, whatever the length of what is given. */
export function isSame(given: string | null, expected: string | null): boolean {
  if (given === null || expected === null) return false
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(expected))
}
