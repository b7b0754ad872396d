import { Hono } from 'hono'
import { expect, test } from 'vitest'
import { type AdminTokens, createSessions, type Role } from '../../relay/admin/auth.ts'
import { openRelayHere, type Relay, relayEnv } from '../support/relay.ts'
import { newDatabase } from '../support/shared-postgres.ts'

const [ADMIN, VIEW] = ['an-admin-token-of-some-length', 'a-view-token-of-some-length']

const NONE_REVOKED = { revokeSession: async () => {}, isSessionRevoked: async () => false }

/** Starts a session with these tokens and this role, and returns the session cookie. */
async function cookieOf(tokens: AdminTokens, role: Role): Promise<string> {
  const app = new Hono().get('/', async c => {
    await createSessions(tokens, Date.now, NONE_REVOKED).start(c, role)
    return c.text('')
  })
  return (await app.request('/')).headers.get('set-cookie')?.split(';')[0] ?? ''
}

async function roleOf(tokens: AdminTokens, cookie: string): Promise<Role | null> {
  const app = new Hono().get('/', async c =>
    c.json((await createSessions(tokens, Date.now, NONE_REVOKED).read(c))?.role ?? null),
  )
  return (await (await app.request('/', { headers: { cookie } })).json()) as Role | null
}

test.each([
  ['no admin token is set', null],
  ['an admin token is set', ADMIN],
])('an admin session cannot be forged with the view token if %s', async (_, adminToken) => {
  const tokens = { adminToken, viewToken: VIEW }
  const own = await cookieOf(tokens, 'view')
  const forged = [
    own.replace('view.', 'admin.'),
    await cookieOf({ adminToken: VIEW, viewToken: VIEW }, 'admin'),
    await cookieOf({ adminToken: VIEW, viewToken: null }, 'admin'),
  ]
  for (const cookie of forged) expect(await roleOf(tokens, cookie)).toBeNull()
})

test('changing a token ends its sessions, but not the sessions of the other token', async () => {
  const before = { adminToken: ADMIN, viewToken: VIEW }
  const after = { ...before, viewToken: 'another-view-token' }
  expect(await roleOf(after, await cookieOf(before, 'view'))).toBeNull()
  expect(await roleOf(after, await cookieOf(before, 'admin'))).toBe('admin')
})

const TOKENS = { RELAY_ADMIN_TOKEN: ADMIN, RELAY_VIEW_TOKEN: VIEW }

function formsOf({ url }: Relay) {
  const post = (path: string, form: Record<string, string>, headers: Record<string, string> = {}) =>
    fetch(url + path, { method: 'POST', redirect: 'manual', body: new URLSearchParams(form), headers })
  return {
    post,
    page: (cookie: string) => fetch(url, { headers: { cookie } }),
    async signIn() {
      const response = await post('/sign-in', { token: ADMIN })
      expect(response.status).toBe(303)
      return response.headers.get('set-cookie')!.split(';')[0]!
    },
  }
}

test.each(['SQLite', 'PostgreSQL'])(
  'signing out invalidates the cookie on all relays that share a database on %s, also after a restart',
  async kind => {
    const database: Record<string, string> = kind === 'SQLite' ? {} : { RELAY_DATABASE: await newDatabase() }
    const env = relayEnv({ ...TOKENS, ...database })
    const first = await openRelayHere(env)
    const forms = formsOf(first)
    const [kept, ended] = [await forms.signIn(), await forms.signIn()]
    const page = await (await forms.page(ended)).text()
    const csrf = /name="csrf" value="([^"]+)"/.exec(page)![1]!
    const others = kind === 'SQLite' ? [] : [formsOf(await openRelayHere(env))]
    const statuses = async (cookie: string) =>
      Promise.all([forms, ...others].map(async relay => (await relay.page(cookie)).status))
    expect(new Set(await statuses(ended))).toEqual(new Set([200]))
    expect((await forms.post('/sign-out', { csrf }, { cookie: ended })).status).toBe(303)
    expect(new Set(await statuses(ended))).toEqual(new Set([401]))
    expect(new Set(await statuses(kept))).toEqual(new Set([200]))
    expect((await forms.post('/redeliver', { csrf, state: 'failed' }, { cookie: ended })).status).toBe(401)
    await first.stop()
    const again = formsOf(await openRelayHere(env))
    expect([(await again.page(ended)).status, (await again.page(kept)).status]).toEqual([401, 200])
  },
)

test.each([
  ['sec-fetch-site', 'cross-site'],
  ['origin', 'https://other.example'],
  ['origin', 'null'],
])('forms from another site do not count as sign-in attempts (%s: %s)', async (name, value) => {
  const forms = formsOf(await openRelayHere(relayEnv(TOKENS)))
  for (let n = 0; n < 12; n++) {
    const response = await forms.post('/sign-in', { token: 'x' }, { [name]: value })
    expect(response.status).toBe(403)
  }
  await forms.signIn()
})

test('wrong API and metrics tokens are rate limited; correct tokens always work, and missing tokens are not counted', async () => {
  const { url } = await openRelayHere(relayEnv(TOKENS))
  const ask = async (path: string, token?: string) =>
    (await fetch(url + path, { headers: token ? { authorization: `Bearer ${token}` } : {} })).status
  const responses = { 401: 0, 429: 0 } as Record<number, number>
  for (let n = 0; n < 40; n++) responses[await ask(n % 2 ? '/metrics' : '/api/deliveries', `guess ${n}`)]!++
  expect(responses[429]).toBeGreaterThan(20)
  for (const path of ['/api/deliveries', '/metrics']) {
    expect([await ask(path, ADMIN), await ask(path, VIEW), await ask(path)]).toEqual([200, 200, 401])
  }
})
