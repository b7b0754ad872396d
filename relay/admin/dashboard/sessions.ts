import { createHmac, randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import type { Context } from 'hono'
import { deleteCookie, getCookie, setCookie } from 'hono/cookie'
import type { AdminTokens, Role } from '../roles.ts'

const COOKIE = 'relay_session'
const LIFETIME_MS = 12 * 3_600_000

/** A person who has signed in. */
export interface Session {
  role: Role
  /** What each form of this session holds: another site cannot know it. */
  csrf: string
}

/** Sessions are in signed cookies alone: they hold for every relay with the same tokens, and end when a token changes. */
export interface Sessions {
  read(c: Context): Promise<Session | null>
  begin(c: Context, role: Role): Promise<void>
  end(c: Context): void
}

/** @param clock the wall clock; milliseconds since 1970 */
export function createSessions({ adminToken, viewToken }: AdminTokens, clock: () => number): Sessions {
  const tokens = { admin: adminToken, view: viewToken }
  const keys = new Map<Role, Promise<Buffer>>()

  /** The token itself cannot be found from what it has signed, unless it can be guessed. */
  function keyOf(role: Role): Promise<Buffer> | null {
    const token = tokens[role]
    if (token === null) return null
    const key = keys.get(role) ?? derive(token, `dashboard session of ${role}`, 32)
    keys.set(role, key)
    return key
  }

  return {
    async read(c) {
      const cookie = getCookie(c, COOKIE) ?? ''
      const [role = '', expires = '', nonce = '', mac = ''] = cookie.split('.')
      if (role !== 'admin' && role !== 'view') return null
      const key = await keyOf(role)
      if (!key || !(Number(expires) > clock())) return null
      if (!isSame(mac, sign(key, `${role}.${expires}.${nonce}`))) return null
      return { role, csrf: sign(key, `form ${cookie}`) }
    },
    async begin(c, role) {
      const key = await keyOf(role)
      if (!key) return
      const content = `${role}.${clock() + LIFETIME_MS}.${randomBytes(12).toString('base64url')}`
      setCookie(c, COOKIE, `${content}.${sign(key, content)}`, {
        httpOnly: true,
        sameSite: 'Lax',
        path: '/',
        maxAge: LIFETIME_MS / 1000,
        // Browsers send the address of the form with it, also where a proxy ends TLS.
        secure: (c.req.header('origin') ?? '').startsWith('https://'),
      })
    },
    end: c => void deleteCookie(c, COOKIE, { path: '/' }),
  }
}

/** Whether a form of this session was sent, by a page of this relay. */
export const isOwnForm = (c: Context, session: Session, csrf: unknown) =>
  typeof csrf === 'string' && isSame(csrf, session.csrf) && isOwnSite(c)

/** Browsers say where a request comes from; those that do not are old, and have the form's secret alone. */
export const isOwnSite = (c: Context) =>
  ['same-origin', 'none', undefined].includes(c.req.header('sec-fetch-site'))

const derive = promisify(scrypt) as (token: string, salt: string, length: number) => Promise<Buffer>
const sign = (key: Buffer, text: string) => createHmac('sha256', key).update(text).digest('base64url')
const isSame = (a: string, b: string) =>
  a.length === b.length && timingSafeEqual(Buffer.from(a, 'latin1'), Buffer.from(b, 'latin1'))
