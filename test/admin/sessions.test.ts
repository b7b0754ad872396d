import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { Hono } from 'hono'
import { expect, test } from 'vitest'
import type { AdminTokens, Role } from '../../relay/admin/auth.ts'
import { banner, statusTable } from '../../relay/admin/dashboard/banner.ts'
import { createTally, NO_PROBLEMS } from '../../relay/admin/health.ts'
import type { Health } from '../../relay/admin/problems.ts'
import { createSessions } from '../../relay/admin/sessions.ts'
import { LIMITS } from '../../relay/config/limits.ts'
import { openStore } from '../../relay/store/open.ts'
import { aDelivery, NO_OUTCOME } from '../store/place.ts'
import { openRelayHere, type Relay, relayEnv, temporaryFolder } from '../support/relay.ts'
import { ADMIN_TOKEN, asAdmin, send, signIn, VIEW_TOKEN } from '../support/requests.ts'
import { newDatabase } from '../support/shared-postgres.ts'

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
  ['an admin token is set', ADMIN_TOKEN],
])('an admin session cannot be forged with the view token if %s', async (_, adminToken) => {
  const tokens = { adminToken, viewToken: VIEW_TOKEN }
  const own = await cookieOf(tokens, 'view')
  const forged = [
    own.replace('view.', 'admin.'),
    await cookieOf({ adminToken: VIEW_TOKEN, viewToken: VIEW_TOKEN }, 'admin'),
    await cookieOf({ adminToken: VIEW_TOKEN, viewToken: null }, 'admin'),
  ]
  for (const cookie of forged) expect(await roleOf(tokens, cookie)).toBeNull()
})

test('changing one token ends its own sessions, but not the sessions of the other token', async () => {
  const before = { adminToken: ADMIN_TOKEN, viewToken: VIEW_TOKEN }
  const after = { ...before, viewToken: 'another-view-token' }
  expect(await roleOf(after, await cookieOf(before, 'view'))).toBeNull()
  expect(await roleOf(after, await cookieOf(before, 'admin'))).toBe('admin')
})

const TOKENS = { RELAY_ADMIN_TOKEN: ADMIN_TOKEN, RELAY_VIEW_TOKEN: VIEW_TOKEN }

function formsOf({ url }: Relay) {
  const post = (path: string, form: Record<string, string>, headers: Record<string, string> = {}) =>
    fetch(url + path, { method: 'POST', redirect: 'manual', body: new URLSearchParams(form), headers })
  return {
    post,
    page: (cookie: string) => fetch(url, { headers: { cookie } }),
    signIn: () => signIn(url),
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

test('without the database, signed-in users see the status and the refused webhooks, and error pages link to both', async () => {
  const database = join(temporaryFolder(), 'relay.db')
  const env = relayEnv({ ...TOKENS, RELAY_DATABASE: `sqlite:${database}` })
  const first = await openRelayHere(env)
  const old = await formsOf(first).signIn()
  await first.stop()
  const relay = await openRelayHere(env)
  const forms = formsOf(relay)
  const [cookie, ended] = [await forms.signIn(), await forms.signIn()]
  const see = async (path: string, as = cookie) => {
    const response = await fetch(relay.url + path, { headers: { cookie: as, accept: 'text/html' } })
    return [response.status, await response.text()] as const
  }
  const csrf = /name="csrf" value="([^"]+)"/.exec((await see('/', ended))[1])![1]!
  await forms.post('/sign-out', { csrf }, { cookie: ended })
  rmSync(database)
  const [status, page] = await see('/')
  expect([status, page]).toEqual([
    503,
    expect.stringMatching(/run the Port actions of refused webhooks again.*href="\/status"/s),
  ])
  for (const path of ['/status', '/refused']) {
    // No session, sessions that signed out, and sessions that this relay doesn't know.
    for (const each of ['', ended, old]) expect((await see(path, each))[0]).toBe(401)
    const expected = /class="outage".*RELAY_DATABASE.*run the Port actions/s
    expect(await see(path)).toEqual([200, expect.stringMatching(expected)])
  }
  const [, table] = await see('/status')
  expect(table).toMatch(/Database <span class="state failed">problem/)
  expect(table).not.toMatch(/Queue <|queued|No message is waiting/)
})

test.each([
  ['sec-fetch-site', 'cross-site'],
  ['origin', 'null'],
])('forms from another site do not count as sign-in attempts (%s: %s)', async (name, value) => {
  const forms = formsOf(await openRelayHere(relayEnv(TOKENS)))
  for (let n = 0; n < 12; n++) {
    const response = await forms.post('/sign-in', { token: 'x' }, { [name]: value })
    expect(response.status).toBe(403)
  }
  await forms.signIn()
})

test('requests for the API or metrics are rate limited if their token is wrong, but not if it is correct or missing', async () => {
  const { url } = await openRelayHere(relayEnv(TOKENS))
  const ask = async (path: string, token?: string) =>
    (await fetch(url + path, { headers: token ? { authorization: `Bearer ${token}` } : {} })).status
  const responses = { 401: 0, 429: 0 } as Record<number, number>
  for (let n = 0; n < 40; n++) responses[await ask(n % 2 ? '/metrics' : '/api/deliveries', `guess ${n}`)]!++
  expect(responses[429]).toBeGreaterThan(20)
  for (const path of ['/api/deliveries', '/metrics']) {
    expect([await ask(path, ADMIN_TOKEN), await ask(path, VIEW_TOKEN), await ask(path)]).toEqual([
      200, 200, 401,
    ])
  }
})

const NOW = Date.parse('2026-03-01T12:00:00Z')
const MINUTE = 60_000
const WELL: Health = {
  ...{ ...NO_PROBLEMS, now: NOW, isRead: true, tokenExpiresAt: NOW + 30 * 1440 * MINUTE },
  ...{ queued: 3, queuedSince: NOW - MINUTE / 2, oldestMessage: NOW - MINUTE },
}
const STALLED = {
  ...aDelivery({ id: 'd-1', runId: 'r_1', repository: 'acme/shop' }),
  ...{ reason: 'GitHub responded with 500', stalledSince: NOW - 7 * MINUTE },
} as unknown as Health['stalled'][number]
const WITHOUT_RUNNER = { ...STALLED, shownReason: 'gpu', shownAt: NOW - 7 * MINUTE }
const BEHIND = { queued: 10_000, queuedSince: NOW - 90 * MINUTE, oldestMessage: NOW - 25 * MINUTE }
const DOWN = {
  ...{ type: 'unreachable', side: 'github', key: '', advice: 'Check the network.' },
  text: 'GitHub unreachable since 2026-03-01 12:00:00 UTC: refused.',
} as Health['problems'][number]
const SUSPENDED: typeof DOWN = {
  ...{ type: 'credential_rejected', side: 'github', key: 'globex', advice: '' },
  text: 'The App is suspended (globex).',
}
const LIMIT = { scope: 'owner:acme', pausedUntil: NOW + MINUTE, cause: 'limit', reason: 'A limit' } as const
const REFUSED = { count: 3, statuses: ['2 × 401', '1 × 413'], reason: 'The secret is wrong.', since: 0 }
const OTHERS = ['a', 'b', 'c', 'd'].map(name => ({ ...WITHOUT_RUNNER, repository: `acme/${name}` }))
const STALLED_QUEUE = { ...BEHIND, oldestMessage: null, stalled: [STALLED] }

test.each<[string, Partial<Health>, ...patterns: RegExp[]]>([
  ['nothing', {}],
  ['a problem', { problems: [DOWN] }, /GitHub unreachable since .*12:00:00 UTC.* Check the network/],
  [
    'a database without writes',
    { database: 'RELAY_DATABASE: the disk is full.', waiting: [WITHOUT_RUNNER] },
    /RELAY_DATABASE.* the disk is full\..* Webhooks are refused/,
  ],
  [
    'a newer relay that has upgraded the database',
    { outdated: 'It is outdated.' },
    /<strong>It is outdated\.<\/strong> <a/,
  ],
  ["GitHub's limit", { limits: [LIMIT] }, /A limit \(acme\)\..* goes on by itself at .*12:01:00 UTC/],
  ["Port's limit", { portPausedUntil: NOW + MINUTE }, /Port is rate limiting the relay.*12:01:00/],
  [
    'a backlog',
    BEHIND,
    /Messages to Port are delayed.* \(25 min\)/,
    /Dispatches are delayed.* 10,000\+ deliveries.*<\/strong> RELAY_DISPATCH_RATE limits the rate/,
  ],
  ['an outage without its stalled queues', { ...STALLED_QUEUE, problems: [DOWN] }, /GitHub unreachable/],
  [
    'a stalled queue, also while another owner has suspended the App',
    { ...STALLED_QUEUE, limits: [LIMIT], problems: [SUSPENDED] },
    /suspended \(globex\)/,
    /acme\/shop since .* \(7 min\)/,
    /A limit/,
  ],
  [
    "GitHub's rejected credential, an outage of Port, and a full disk",
    { ...BEHIND, problems: [SUSPENDED, { ...DOWN, side: 'port' }], database: 'The disk is full.' },
    /The disk is full\..* refused/,
    /suspended/,
    /GitHub unreachable.* oldest message/,
  ],
  [
    'a stalled queue',
    STALLED_QUEUE,
    /acme\/shop since .*11:53:00 UTC.* \(7 min\), because the delivery d-1 \(run r_1\) waits: .* 500\.<\/strong> .* needed, cancel the delivery\..* <a href=".*d-1">Delivery/,
  ],
  [
    'workflow runs that wait for a runner, of at most three repositories',
    { waiting: [WITHOUT_RUNNER, WITHOUT_RUNNER, ...OTHERS] },
    /2 workflow runs of acme\/shop have .* with the labels gpu since .*11:53:00 UTC.* \(deploy, delivery d-1\)\./,
    /acme\/a has/,
    /acme\/b has/,
  ],
  ['a wrong clock', { clock: 'A clock is wrong.' }, /A clock is wrong\./],
  [
    'labels of a runner that look like a time',
    { waiting: [{ ...WITHOUT_RUNNER, shownReason: '2026-99-99 99:99:99 UTC' }] },
    /the labels 2026-99-99 99:99:99 UTC since/,
  ],
  ['refusals', { refused: REFUSED }, /3 webhooks were refused in the last hour.*\(2 × 401, 1 × 413\)/],
  [
    'refused webhooks of a relay that has just started',
    { refused: { ...REFUSED, since: NOW - 5 * MINUTE } },
    /3 webhooks were refused since the relay started at .*11:55:00 UTC/,
  ],
  [
    'an expiring token',
    { tokenExpiresAt: NOW + 9 * 1440 * MINUTE },
    /GITHUB_TOKEN expires on .*2026-03-10.* restart the relay/,
  ],
])('the banner shows %s', async (_what, health, ...expected) => {
  const items = String(await banner({ ...WELL, ...health }, '/')).match(/<li class=.*?<\/li>/gs) ?? []
  expect(items).toEqual(expected.map(pattern => expect.stringMatching(pattern)))
})

test('the status page shows outages in red, delays in amber, and temporary waits in blue', async () => {
  const waits = { oldestReason: 'Port rejects the request (403). Give it', frozen: 2, rateLimitRemaining: 40 }
  const health = { ...WELL, ...BEHIND, ...waits, problems: [DOWN], limits: [LIMIT] }
  const sides = (['github', 'port'] as const).map(side => ({ side, lastSuccess: null }))
  const table = String(await statusTable({ ...health, sides }))
  expect(table).toMatch(
    /Messages to Port <span class="state waiting">late.* rejects the request \(403\)\. Give it\./,
  )
  expect(table).toMatch(/GitHub <span class="state failed">problem/)
  expect(table).toMatch(/Queue <span class="state waiting">late.*10,000\+ queued, and 2 frozen\. /)
  expect(table).toMatch(
    /GitHub(&#39;|')s rate limit <span class="state dispatched">active.* 40 requests left in the hourly limit/,
  )
})

test('counts events per hour and keeps the counts for two days', async () => {
  const real = await openStore({ kind: 'sqlite', path: `${temporaryFolder()}/relay.db` })
  let now = NOW
  const tally = createTally({ ...real, clock: () => now }, { error: fields => expect.fail(String(fields)) })
  const { store } = tally
  const delivery = aDelivery()
  await store.accept(delivery)
  await store.accept({ ...delivery, id: 'the same again' })
  now += 60 * MINUTE
  const change = { state: 'failed', outcome: 'not_started', reason: 'no' } as const
  tally.transition({ messages: [], history: null, change })
  tally.transition({ messages: [], history: null, change: { state: 'queued' } })
  await tally.flush()
  const none = { accepted: 0, ...NO_OUTCOME }
  const hours = [
    { ...none, hour: NOW, accepted: 1 },
    { ...none, hour: NOW + 60 * MINUTE, not_started: 1 },
  ]
  expect(await store.hours(0)).toEqual(hours)
  await store.accept(aDelivery())
  expect((await store.hours(0))[1], 'not persisted yet').toMatchObject({ accepted: 1, not_started: 1 })
  await tally.flush()
  expect((await store.hours(0))[1], 'persisted').toMatchObject({ accepted: 1, not_started: 1 })
  now += 49 * 60 * MINUTE
  await store.accept(aDelivery())
  await tally.stop()
  expect((await store.hours(0)).map(({ hour }) => (hour - NOW) / MINUTE)).toEqual([3000])
  await real.close()
})

interface Refused {
  since: string
  refused: (Record<'first_at' | 'last_at' | 'reason' | 'sender', string> &
    Record<'count' | 'status', number> & { repository: string | null })[]
}

async function open(more: Record<string, string> = {}) {
  const relay = await openRelayHere(relayEnv({ RELAY_ADMIN_TOKEN: ADMIN_TOKEN, ...more }))
  return {
    ...relay,
    async refused(limit?: number): Promise<Refused> {
      const response = await asAdmin(`${relay.url}/api/refused${limit ? `?limit=${limit}` : ''}`)
      return (await response.json()) as Refused
    },
  }
}

test('the API and the banner show why webhooks were refused, without their bodies', async () => {
  const relay = await open()
  await send(relay.url, { secret: 'wrong', path: '/webhook/acme/shop', body: { inputs: { who: 'Jane' } } })
  await send(relay.url, { timestamp: '1' })
  await send(relay.url, { path: '/webhook/acme/other' })
  await send(relay.url, { path: '/webhook/cancel' })
  await send(relay.url, {})
  // The banner ignores a scanner's request, which has no signature.
  await fetch(`${relay.url}/webhook`, { method: 'POST' })
  const cookie = await cookieOf({ adminToken: ADMIN_TOKEN, viewToken: null }, 'admin')
  expect(await (await fetch(relay.url, { headers: { cookie } })).text()).toMatch(
    /4 webhooks were refused since .*<\/strong>.*\(2 × 401, 1 × 403, 1 × 422\)\. Most often: /,
  )
  const {
    since,
    refused: [unsigned, ...refused],
  } = await relay.refused()
  expect(unsigned).toMatchObject({ status: 401, reason: expect.stringContaining('is missing') })
  expect(Date.parse(since)).toBeLessThanOrEqual(Date.now())
  expect(refused.map(({ status, repository, reason }) => [status, repository, reason.slice(0, 40)])).toEqual([
    [422, null, 'The body contains no run to cancel: send'],
    [403, 'acme/other', "acme/other isn't in RELAY_ALLOWED_REPOSI"],
    [401, null, 'The webhook is older than RELAY_TOLERANC'],
    [401, 'acme/shop', "The signature doesn't match: PORT_CLIENT"],
  ])
  for (const each of refused) {
    expect(each).toMatchObject({ sender: '127.0.0.1', count: 1 })
    expect(each.first_at).toBe(each.last_at)
  }
  expect(JSON.stringify(refused)).not.toContain('Jane')
  expect((await relay.refused(1)).refused).toHaveLength(1)
})

test(`at most ${LIMITS.refused} refusals per reason are kept, so that a bot doesn't displace refusals for other reasons`, async () => {
  const relay = await open()
  await send(relay.url, { secret: 'wrong', path: '/webhook/acme/shop' })
  const amount = LIMITS.refused + 20
  for (let i = 0; i < amount; i++) await fetch(`${relay.url}/webhook/acme/r${i}`, { method: 'POST' })
  for (let i = 0; i < amount; i++) await fetch(`${relay.url}/webhook/acme/shop/${i}`, { method: 'POST' })
  await fetch(`${relay.url}/webhook/%3Cscript%3E/${'x'.repeat(5000)}`, { method: 'POST' })
  const { refused } = await relay.refused(LIMITS.refusedAtOnce)
  const of = (start: string) => refused.filter(({ reason }) => reason.startsWith(start)).length
  expect(refused[0]).toMatchObject({ repository: null, count: 1 })
  expect([
    of("The signature doesn't match"),
    of('The header x-port-timestamp'),
    of('There is nothing'),
  ]).toEqual([1, LIMITS.refused, LIMITS.refused])
})
