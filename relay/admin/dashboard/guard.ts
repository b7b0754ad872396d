import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { html } from 'hono/html'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { LIMITS } from '../../config/limits.ts'
import { Problem } from '../../http/problem.ts'
import { createTokenBuckets, senderAddress, VERIFIED } from '../../http/request.ts'
import { type CallLogs, logCalls, type Role, type Roles } from '../auth.ts'
import { RUN_AGAIN } from '../problems.ts'
import { type createSessions, isOwnForm, isOwnSite, type Session } from '../sessions.ts'
import type { Html } from './format.ts'
import { type About, layout, message, type Page, signInPage } from './layout.ts'

/** Headers that let pages load resources from no other server, and keep other sites from embedding pages or seeing URLs. */
export const SECURITY = {
  'content-security-policy':
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'same-origin',
  'cache-control': 'no-store',
}

type Form = Record<string, unknown>

export function problemPage({ status, message: sentence }: Problem, session: Session | null): Page {
  const more = status === 503 && html` ${RUN_AGAIN} <a href="/status">Status</a>`
  return message(session, status === 404 ? 'Not found' : 'Not possible', html`${sentence}${more}`)
}

/** Sends a page. Without RELAY_PUBLIC_URL, the page shows the host of the request. */
export function sendPage(
  c: Context,
  page: Page,
  about: Partial<About>,
  status: ContentfulStatusCode,
  headers: Record<string, string> = {},
) {
  const host = about.host ?? new URL(c.req.url).host
  return c.html(layout(page, { ...about, host }), status, { ...SECURITY, ...headers })
}

export interface GuardDeps extends CallLogs {
  roles: Roles
  sessions: ReturnType<typeof createSessions>
  about: About
  banner: (path: string) => Promise<Html>
}

export type Guard = ReturnType<typeof createGuard>

/** Protects pages with the sign-in. Each form contains a session secret, so that other sites can't submit forms. */
export function createGuard({ roles, sessions, about, banner, ...logs }: GuardDeps) {
  const app = new Hono()
  const signIns = createTokenBuckets(LIMITS.signInRate)
  const tooLarge = () => {
    throw new Problem(413, 'The form is too large.')
  }
  const limit = bodyLimit({ maxSize: LIMITS.form, onError: tooLarge })
  const viewOnly = () =>
    new Problem(403, 'RELAY_VIEW_TOKEN only allows reading: sign in with RELAY_ADMIN_TOKEN.')
  // If the database is unavailable, the user is treated as signed out.
  const readOrNull = (c: Context) => sessions.read(c).catch(() => null)

  app.onError(async (error, c) => {
    if (!(error instanceof Problem)) throw error
    return sendPage(c, problemPage(error, await readOrNull(c)), about, error.status, error.headers)
  })
  const roleOf = async (c: Context) => (await readOrNull(c))?.role ?? null
  const logged = logCalls(logs, 'a dashboard form was submitted', roleOf)
  app.post('/sign-in', logged, limit, async (c: Context) => {
    checkOpen()
    // The origin is checked first, so that another site can't use up this browser's sign-in attempts.
    if (!isOwnSite(c)) throw new Problem(403, 'The form came from another site: sign in here.')
    const wait = signIns.take(senderAddress(c, logs.trustedProxies))
    if (wait > 0) {
      const seconds = Math.ceil(wait / 1000)
      const page = signInPage('/', `Too many sign-in attempts: wait ${seconds} s.`)
      return sendPage(c, page, about, 429, { 'retry-after': String(seconds) })
    }
    const form = await parseForm(c)
    const next = localPath(form.next)
    const role = roles.of(typeof form.token === 'string' ? form.token.trim() : null)
    if (role === null) {
      const sentence = 'The token is wrong: use RELAY_ADMIN_TOKEN or RELAY_VIEW_TOKEN.'
      return sendPage(c, signInPage(next, sentence), about, 401)
    }
    c.set(VERIFIED, true)
    await sessions.start(c, role)
    return c.redirect(next, 303)
  })
  app.post('/sign-out', logged, limit, async c => {
    checkOpen()
    const session = await sessions.read(c)
    if (session) await readForm(c, session)
    await sessions.end(c, session)
    return c.redirect('/', 303)
  })
  return {
    app,
    /** Shows a page, below the current problems, to signed-in users. Other users see the sign-in page. */
    get(path: string, role: Role, show: (c: Context, session: Session) => Promise<Page> | Page): void {
      app.get(path, async c => {
        checkOpen()
        const session = await sessions.read(c)
        if (!session) return sendPage(c, signInPage(localPath(pathOf(c)), null), about, 401)
        if (role === 'admin' && session.role !== 'admin') throw viewOnly()
        const [page, problems] = await Promise.all([show(c, session), banner(path)])
        return sendPage(c, { ...page, banner: problems }, about, 200)
      })
    },
    /** Accepts a form that an admin sent from one of our pages. @param change returns the URL to redirect to */
    post(path: string, change: (c: Context, form: Form) => Promise<string>): void {
      app.post(path, logged, limit, async c => {
        checkOpen()
        const session = await sessions.read(c)
        if (!session)
          return sendPage(c, signInPage('/', 'Sign in again: the session has expired.'), about, 401)
        const form = await readForm(c, session)
        if (session.role !== 'admin') throw viewOnly()
        return c.redirect(await change(c, form), 303)
      })
    },
  }

  function checkOpen(): void {
    if (!roles.isOpen)
      throw new Problem(404, 'The dashboard is off: set RELAY_ADMIN_TOKEN or RELAY_VIEW_TOKEN to turn it on.')
  }
}

async function parseForm(c: Context): Promise<Form> {
  try {
    return await c.req.parseBody()
  } catch {
    throw new Problem(400, "The form can't be read: reload the page.")
  }
}

async function readForm(c: Context, session: Session): Promise<Form> {
  const form = await parseForm(c)
  if (isOwnForm(c, session, form.csrf)) return form
  throw new Problem(403, "The form doesn't belong to this session: reload the page.")
}

const pathOf = (c: Context) => c.req.url.slice(new URL(c.req.url).origin.length)

/** Returns the path if it leads to a page of this relay; otherwise, `/`. Excludes `//host` and `/\host`, which point to other hosts. */
const localPath = (given: unknown) =>
  typeof given === 'string' && /^\/(?![/\\])[\x21-\x7e]*$/.test(given) && !given.startsWith('/sign-')
    ? given
    : '/'
