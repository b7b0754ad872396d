import { createHash, createHmac, randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import type { Context, MiddlewareHandler } from 'hono'
import { deleteCookie, getCookie, getSignedCookie, setSignedCookie } from 'hono/cookie'
import type { Config } from '../config/config.ts'
import { LIMITS } from '../config/limits.ts'
import { Problem } from '../http/problem.ts'
import {
  bearer,
  createTokenBuckets,
  refuseOverRate,
  requestFields,
  senderAddress,
  VERIFIED,
} from '../http/request.ts'
import type { ThrottledLog } from '../log.ts'
import type { Store } from '../store/store.ts'

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
    /** Whether a token is set. Otherwise, the API and dashboard are disabled. */
    isOpen: adminToken !== null || viewToken !== null,
    of,
    /** Limits wrong tokens per sender; valid tokens always pass. @throws Problem 401 with `sentence`, 429 */
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

/** In constant time, for tokens of any length. */
function isSame(given: string | null, expected: string | null): boolean {
  if (given === null || expected === null) return false
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(expected))
}

const COOKIE = 'relay_session'
const LIFETIME_MS = 12 * 3_600_000

export interface Session {
  id: string
  role: Role
  /** Milliseconds since 1970 (wall clock). */
  expiresAt: number
  /** A secret in every form of this session. Other sites don't know the secret. */
  csrf: string
}

/** Sessions are signed cookies. Relays with the same tokens accept them until a token changes or the user signs out. */
export function createSessions(
  { adminToken, viewToken }: AdminTokens,
  clock: () => number,
  store: Pick<Store, 'revokeSession' | 'isSessionRevoked'>,
) {
  const tokens = { admin: adminToken, view: viewToken }
  const keys = new Map<Role, Promise<Buffer>>()

  /** Each token signs the sessions of its own role. scrypt makes guessing a token from a cookie expensive. */
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
      if (!role || !key || !(expiresAt > clock()) || (await store.isSessionRevoked(id))) return null
      const csrf = createHmac('sha256', key).update(`form ${cookie}`).digest('base64url')
      return { id, role, expiresAt, csrf }
    },
    async start(c: Context, role: Role): Promise<void> {
      const key = await keyOf(role)
      if (!key) return
      const content = `${role}.${clock() + LIFETIME_MS}.${randomBytes(12).toString('base64url')}`
      await setSignedCookie(c, COOKIE, content, key, {
        httpOnly: true,
        sameSite: 'Lax',
        path: '/',
        maxAge: LIFETIME_MS / 1000,
        // Browsers send the form's origin, which is https even if a proxy terminates TLS.
        secure: (c.req.header('origin') ?? '').startsWith('https://'),
      })
    },
    async end(c: Context, session: Session | null): Promise<void> {
      if (session) await store.revokeSession(session.id, session.expiresAt)
      deleteCookie(c, COOKIE, { path: '/' })
    },
  }
}

export const isOwnForm = (c: Context, session: Session, csrf: unknown) =>
  typeof csrf === 'string' && isSame(csrf, session.csrf) && isOwnSite(c)

/** Over plain HTTP, browsers omit `sec-fetch-site`, but send a form's origin. A proxy's header can contain its host. */
export function isOwnSite(c: Context): boolean {
  const [site, origin] = [c.req.header('sec-fetch-site'), c.req.header('origin')]
  if (site !== undefined) return site === 'same-origin' || site === 'none'
  const hosts = [c.req.header('host'), c.req.header('x-forwarded-host')]
  return origin === undefined || (URL.canParse(origin) && hosts.includes(new URL(origin).host))
}

const derive = promisify(scrypt) as (token: string, salt: string, length: number) => Promise<Buffer>

export type CallLogs = Pick<Config, 'trustedProxies'> &
  Record<'log' | 'throttled', Pick<ThrottledLog, 'info'>>

/** Logs the request, role, and response status of each call by an operator. Others get one line a minute. */
export function logCalls(
  { trustedProxies, log, throttled }: CallLogs,
  message: string,
  roleOf: (c: Context) => Promise<Role | null> | Role | null,
): MiddlewareHandler {
  return async (c, next) => {
    const role = await roleOf(c)
    await next()
    const target = role !== null || c.get(VERIFIED) ? log : throttled
    target.info({ role, ...requestFields(c, trustedProxies, c.res.status, c.error) }, message)
  }
}
