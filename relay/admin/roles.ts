import { createHash, timingSafeEqual } from 'node:crypto'

/** `view` reads; `admin` may also change things. */
export type Role = 'admin' | 'view'

export interface Roles {
  /** Whether any token is set: without one, API and dashboard are closed. */
  isOpen: boolean
  /** The role that a token gives; null for none. */
  of(token: string | null): Role | null
}

export interface AdminTokens {
  /** RELAY_ADMIN_TOKEN */
  adminToken: string | null
  /** RELAY_VIEW_TOKEN */
  viewToken: string | null
}

export function createRoles({ adminToken, viewToken }: AdminTokens): Roles {
  return {
    isOpen: adminToken !== null || viewToken !== null,
    of: token => (isSame(token, adminToken) ? 'admin' : isSame(token, viewToken) ? 'view' : null),
  }
}

/** In constant time, whatever the length of what is given. */
export function isSame(given: string | null, expected: string | null): boolean {
  if (given === null || expected === null) return false
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(expected))
}
