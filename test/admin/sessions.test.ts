import { Hono } from 'hono'
import { expect, test } from 'vitest'
import { createSessions } from '../../relay/admin/dashboard/sessions.ts'
import type { AdminTokens, Role } from '../../relay/admin/roles.ts'

const [ADMIN, VIEW] = ['an-admin-token-of-some-length', 'a-view-token-of-some-length']

/** The cookie that a relay with these tokens gives to who has signed in. */
async function cookieOf(tokens: AdminTokens, role: Role): Promise<string> {
  const app = new Hono().get('/', async c => {
    await createSessions(tokens, Date.now).begin(c, role)
    return c.text('')
  })
  return (await app.request('/')).headers.get('set-cookie')?.split(';')[0] ?? ''
}

async function roleOf(tokens: AdminTokens, cookie: string): Promise<Role | null> {
  const app = new Hono().get('/', async c =>
    c.json((await createSessions(tokens, Date.now).read(c))?.role ?? null),
  )
  return (await (await app.request('/', { headers: { cookie } })).json()) as Role | null
}

test('a session has the role of its token', async () => {
  const both = { adminToken: ADMIN, viewToken: VIEW }
  for (const role of ['admin', 'view'] as const)
    expect(await roleOf(both, await cookieOf(both, role))).toBe(role)
  expect(await cookieOf({ adminToken: null, viewToken: VIEW }, 'admin')).toBe('')
})

test.each([
  ['alone', null],
  ['beside the other', ADMIN],
])('who has the view token %s makes no session of an admin', async (_, adminToken) => {
  const tokens = { adminToken, viewToken: VIEW }
  const own = await cookieOf(tokens, 'view')
  const forged = [
    own.replace('view.', 'admin.'),
    await cookieOf({ adminToken: VIEW, viewToken: VIEW }, 'admin'),
    await cookieOf({ adminToken: VIEW, viewToken: null }, 'admin'),
  ]
  for (const cookie of forged) expect(await roleOf(tokens, cookie)).toBeNull()
})

test('the sessions of a token end when it changes, and those of the other stay', async () => {
  const before = { adminToken: ADMIN, viewToken: VIEW }
  const after = { ...before, viewToken: 'another-view-token' }
  expect(await roleOf(after, await cookieOf(before, 'view'))).toBeNull()
  expect(await roleOf(after, await cookieOf(before, 'admin'))).toBe('admin')
})
