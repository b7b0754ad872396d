import { createHmac, randomBytes, scrypt } from 'node:crypto'
import { promisify } from 'node:util'
import type { Context } from 'hono'
import { deleteCookie, getCookie, getSignedCookie, setSignedCookie } from 'hono/cookie'
import { BoundedMap } from '../cache.ts'
import { LIMITS } from '../config/limits.ts'
import type { Store } from '../store/store.ts'
import { type AdminTokens, isSame, type Role } from './auth.ts'

const COOKIE = 'relay_session'

export interface Session {
  id: string
  role: Role
  /** Milliseconds since 1970 (wall clock). */
  expiresAt: number
  /** A secret that other sites don't know, and that every form of this session contains. */
  csrf: string
}

/** Sessions are signed cookies. All relays with the same token accept a session until the token changes or the user signs out. */
export function createSessions(
  { adminToken, viewToken }: AdminTokens,
  clock: () => number,
  store: Pick<Store, 'revokeSession' | 'isSessionRevoked'>,
) {
  const tokens = { admin: adminToken, view: viewToken }
  const keys = new Map<Role, Promise<Buffer>>()
  /** By ID: whether a recent session is revoked. While the database is unavailable, only sessions that were valid before can read pages. */
  const known = new BoundedMap<string, boolean>(100)

  /** Returns the key for the sessions of a role, from the role's token. With scrypt, guessing a token from a cookie is expensive. */
  function keyOf(role: Role): Promise<Buffer> | null {
    const token = tokens[role]
    if (token === null) return null
    const key = keys.get(role) ?? derive(token, `dashboard session of ${role}`, 32)
    keys.set(role, key)
    return key
  }

  return {
    async read(c: Context): Promise<Session | null> {
      const role = /^(admin|view)\./.exec(getCookie(c, COOKIE) ?? '')?.[1] as Role | undefined
      const key = role && (await keyOf(role))
      const cookie = (key && (await getSignedCookie(c, key, COOKIE))) || ''
      const [, expires, id = ''] = cookie.split('.')
      const expiresAt = Number(expires)
      if (!role || !key || !(expiresAt > clock())) return null
      const isRevoked = await store.isSessionRevoked(id).catch(error => {
        if (c.req.method !== 'GET') throw error
        return known.get(id) ?? true
      })
      known.set(id, isRevoked)
      if (isRevoked) return null
      const csrf = createHmac('sha256', key).update(`form ${cookie}`).digest('base64url')
      return { id, role, expiresAt, csrf }
    },
    async start(c: Context, role: Role): Promise<void> {
      const key = await keyOf(role)
      if (!key) return
      const id = randomBytes(12).toString('base64url')
      known.set(id, false)
      const content = `${role}.${clock() + LIMITS.session}.${id}`
      await setSignedCookie(c, COOKIE, content, key, {
        httpOnly: true,
        sameSite: 'Lax',
        path: '/',
        maxAge: LIMITS.session / 1000,
        // Browsers send the form's origin, which is https even if a proxy terminates TLS.
        secure: (c.req.header('origin') ?? '').startsWith('https://'),
      })
    },
    async end(c: Context, session: Session | null): Promise<void> {
      if (session)
        await store.revokeSession(session.id, session.expiresAt).then(() => known.set(session.id, true))
      deleteCookie(c, COOKIE, { path: '/' })
    },
  }
}

export const isOwnForm = (c: Context, session: Session, csrf: unknown) =>
  typeof csrf === 'string' && isSame(csrf, session.csrf) && isOwnSite(c)

/** Whether a form came from a page of this relay. Over plain HTTP, browsers send `origin`, but not `sec-fetch-site`. */
export function isOwnSite(c: Context): boolean {
  const [site, origin] = [c.req.header('sec-fetch-site'), c.req.header('origin')]
  if (site !== undefined) return site === 'same-origin' || site === 'none'
  const hosts = [c.req.header('host'), c.req.header('x-forwarded-host')]
  return origin === undefined || (URL.canParse(origin) && hosts.includes(new URL(origin).host))
}

const derive = promisify(scrypt) as (token: string, salt: string, length: number) => Promise<Buffer>
