import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { dispatch } from '../../relay/deliveries/dispatch.ts'
import { createBudget } from '../../relay/github/budget.ts'
import { createGitHub } from '../../relay/github/client.ts'
import { createPauses } from '../../relay/github/pauses.ts'
import { createRunLister } from '../../relay/github/run-lister.ts'
import { type Dispatching, openDispatching } from '../support/dispatching.ts'
import { startGitHubApi } from '../support/github-api.ts'

const RUN_TIMEOUT = 86_400_000
const posts = ({ github }: Dispatching) => github.requests.filter(({ method }) => method === 'POST')
const waits = ({ port }: Dispatching, run: string) =>
  port.run(run).logs.filter(({ message }) => message.startsWith('Waiting'))

async function open(options: Parameters<typeof openDispatching>[0] = {}): Promise<Dispatching> {
  const relay = await openDispatching(options)
  for (const name of ['acme/shop', 'acme/web', 'acme/api']) relay.github.addRepository(name)
  return relay
}

describe('how long GitHub asks to wait is read as it writes it, and never believed without bounds:', () => {
  const inTenMinutes = () => new Date(Date.now() + 600_000).toUTCString()
  test.each<[string, () => Record<string, string>, number, number]>([
    ['a date', () => ({ 'retry-after': inTenMinutes() }), 598_000, 601_000],
    ['a fraction of a millisecond', () => ({ 'retry-after': '1.00049' }), 1_000, 1_001],
    ['0', () => ({ 'retry-after': '0' }), 60_000, 60_000],
    ['115 days', () => ({ 'retry-after': '10000000' }), 3_600_000, 3_600_000],
    ['what is no time', () => ({ 'retry-after': '-5' }), 60_000, 60_000],
    [
      'a reset that is over',
      () => ({
        'x-ratelimit-remaining': '0',
        'x-ratelimit-reset': String(Math.floor(Date.now() / 1000) - 9),
      }),
      60_000,
      60_000,
    ],
    [
      'a reset in a year',
      () => ({ 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(Date.now() / 1000 + 3e7) }),
      3_600_000,
      3_600_000,
    ],
  ])('%s', async (_, headers, least, most) => {
    const relay = await open()
    relay.github.fail({ status: 429, headers: headers() })
    const id = await relay.accept('r_1')
    const before = relay.now()
    await relay.step()
    const after = relay.now()
    const { state, dueAt, attempts } = await relay.delivery(id)
    expect({ state, tried: attempts.length }).toEqual({ state: 'queued', tried: 1 })
    expect(dueAt! - after).toBeLessThanOrEqual(most)
    expect(dueAt! - before).toBeGreaterThanOrEqual(least)
    expect(Number.isInteger(dueAt)).toBe(true)
  })

  test('no delivery waits beyond RELAY_RUN_TIMEOUT, and then Port is told why', async () => {
    const relay = await open({ parts: { runTimeout: 600_000, startTimeout: 60_000 } })
    relay.github.failures.tooMany(3_000)
    const id = await relay.accept('r_1')
    await relay.step()
    const { dueAt, queuedAt } = await relay.delivery(id)
    expect(dueAt).toBe(queuedAt + 600_000)
    relay.advance(600_000)
    await relay.step()
    expect(await relay.delivery(id)).toMatchObject({
      state: 'failed',
      reason: expect.stringMatching(/^Gave up after 10 min: GitHub limits/),
    })
    expect(relay.github.requests).toHaveLength(1)
  })
})

describe('an answer that is not the last word is not taken for it:', () => {
  const html = { 'content-type': 'text/html' }
  const limit = '<html>Whoa there! You have exceeded a secondary rate limit.</html>'
  test.each([
    ["GitHub's page about a limit", { status: 403, headers: html, body: limit }, /^GitHub limits how fast/],
    [
      'too much content in too short a time',
      { status: 403, body: { message: 'was submitted too quickly' } },
      /^GitHub limits how fast .+too quickly/,
    ],
    ["a proxy's 404", { status: 404, headers: html, body: '<html>' }, /^something between .+ answered 404$/],
    ["a proxy's 403", { status: 403, headers: html, body: '<html>' }, /^something between .+ answered 403$/],
  ])('%s: the delivery waits', async (_, trouble, outcome) => {
    const relay = await open()
    relay.github.fail(trouble)
    const id = await relay.accept('r_1')
    await relay.step()
    expect(await relay.delivery(id)).toMatchObject({
      state: 'queued',
      sentAt: null,
      attempts: [{ outcome: expect.stringMatching(outcome) }],
    })
    relay.advance(61_000)
    await relay.step()
    expect((await relay.delivery(id)).state).toBe('dispatched')
  })

  test('408: whether it arrived is looked for', async () => {
    const relay = await open()
    relay.github.fail({ status: 408, body: {} })
    const id = await relay.accept('r_1')
    await relay.step()
    expect(await relay.delivery(id)).toMatchObject({ state: 'queued', sentAt: expect.any(Number) })
    relay.advance(2_100)
    await relay.step()
    expect(relay.github.requests.map(({ method }) => method)).toEqual(['POST', 'GET'])
  })
})

describe('only 204 says that GitHub took it:', () => {
  test.each([200, 201, 202, 302])('%i: whether it arrived is looked for', async status => {
    const relay = await open()
    relay.github.fail({ status, headers: { 'content-type': 'text/html' }, body: '<html>Please log in' })
    const id = await relay.accept('r_1')
    await relay.step()
    expect(await relay.delivery(id)).toMatchObject({
      state: 'queued',
      sentAt: expect.any(Number),
      attempts: [
        {
          outcome: `something between the relay and GitHub answered ${status}; looking whether a run appears`,
        },
      ],
    })
  })

  test.each([301, 302, 307, 308])('%i to where a repository is now: it is sent there, once', async status => {
    const relay = await open()
    relay.github.fail({
      match: ({ path }) => path.startsWith('/repos/acme/old/'),
      status,
      headers: { location: `${relay.github.url}/repos/acme/web/dispatches` },
      body: { message: 'Moved Permanently' },
    })
    const id = await relay.accept('r_1', 'acme/old')
    await relay.step()
    expect((await relay.delivery(id)).state).toBe('dispatched')
    expect(relay.github.requests.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'POST /repos/acme/old/dispatches',
      'GET /repos/acme/web',
      'POST /repos/acme/web/dispatches',
    ])
    expect(relay.github.dispatches).toMatchObject([
      { repository: 'acme/web', clientPayload: { run_id: 'r_1' } },
    ])
  })

  test('a repository that is not allowed by its name of now gets no dispatch', async () => {
    const relay = await open()
    relay.github.fail({
      match: ({ path }) => path.startsWith('/repos/acme/old/'),
      status: 307,
      headers: { location: `${relay.github.url}/repos/acme/api/dispatches` },
      body: { message: 'Moved Permanently' },
    })
    const id = await relay.accept('r_1', 'acme/old')
    await relay.step()
    expect(await relay.delivery(id)).toMatchObject({
      state: 'failed',
      reason:
        'acme/old is acme/api on GitHub now, which RELAY_ALLOWED_REPOSITORIES does not allow: add acme/api to it, or correct the target.',
    })
    expect(relay.github.dispatches).toEqual([])
  })

  test.each([302, 307])('%i to another host: the token does not go there, and Port is told', async status => {
    const [relay, elsewhere] = await Promise.all([open(), startGitHubApi()])
    onTestFinished(() => elsewhere.close())
    relay.github.fail({ status, headers: { location: `${elsewhere.url}/login?secret=1` }, body: '' })
    const id = await relay.accept('r_1')
    await relay.step()
    expect(elsewhere.requests).toEqual([])
    const reason = `something between the relay and GitHub answered ${status}, which points to ${elsewhere.url}: GITHUB_API_URL has to be the address of GitHub's API itself`
    expect(await relay.delivery(id)).toMatchObject({
      state: 'queued',
      sentAt: null,
      attempts: [{ outcome: reason }],
    })
    await relay.tell()
    expect(waits(relay, 'r_1')[0]?.message).toContain(reason)
  })
})

describe('while GitHub has asked to wait', () => {
  test('nothing of the credential is asked, whatever it is: lists of runs, jobs, repositories', async () => {
    const relay = await open()
    const { github: hub, clock } = relay.parts
    for (let i = 0; i < 20; i++) relay.github.addRepository(`acme/r${i}`)
    const lister = createRunLister({
      github: hub,
      budget: createBudget(36, 60_000, clock),
      budgetById: createBudget(10, 60_000, clock),
      clock,
      perMinute: 34,
    })
    relay.github.failures.secondaryLimit(60, { times: 1000 })
    for (let second = 0; second < 50; second += 10) {
      for (let i = 0; i < 20; i++) {
        const look = await lister.look(`acme/r${i}`, { since: clock(), runId: null }, 5_000)
        expect(look.access).toBe('unavailable')
      }
      relay.advance(10_000)
    }
    await expect(hub.repository('acme/shop')).rejects.toThrow('GitHub has asked to wait until')
    await expect(hub.jobs('acme/shop', 1, 1)).rejects.toThrow('GitHub has asked to wait until')
    await relay.accept('r_1')
    await relay.step()
    expect(relay.github.requests).toHaveLength(1)
    relay.advance(10_000)
    relay.github.clearFailures()
    await relay.step()
    expect(relay.github.dispatches).toHaveLength(1)
  })

  test('the run of a dispatch without an answer is not looked for, and nothing is sent again', async () => {
    const relay = await open()
    relay.github.failures.cut({ create: true })
    const id = await relay.accept('r_1')
    await relay.step()
    relay.github.failures.tooMany(120)
    await relay.accept('r_2', 'acme/web')
    await relay.step()
    for (let waited = 0; waited < 110_000; waited += 10_000) {
      relay.advance(10_000)
      await relay.step()
    }
    expect(posts(relay)).toHaveLength(2)
    expect(relay.github.requests).toHaveLength(2)
    relay.advance(21_000)
    relay.github.clearRequests()
    while ((await relay.step()) > 0);
    const ofShop = relay.github.requests.filter(({ path }) => path.startsWith('/repos/acme/shop/'))
    expect(ofShop.map(({ method }) => method)).toEqual(['GET', 'POST'])
    expect((await relay.delivery(id)).state).toBe('dispatched')
  })

  test('a relay that starts then knows it, and asks nothing, not even for a repository that is new', async () => {
    const relay = await open()
    relay.github.failures.tooMany(600)
    await relay.accept('r_1')
    await relay.step()
    const auth = { token: relay.github.token }
    const pauses = createPauses(auth, relay.now)
    const config = { apiUrl: relay.github.url, auth, webhookSecret: null, oidcIssuer: '' }
    Object.assign(relay.parts, { pauses, github: createGitHub(config, relay.now, pauses) })
    const id = await relay.accept('r_2', 'acme/web')
    const claimed = await relay.store.claimQueued(relay.now(), 1, 10, pauses.shared)
    expect(claimed[0]!.pausedUntil - relay.now()).toBeGreaterThan(590_000)
    relay.advance(1)
    await relay.step()
    expect(relay.github.requests).toHaveLength(1)
    expect((await relay.delivery(id)).dueAt).toBe(claimed[0]!.pausedUntil)
  })

  test('of all that wait, however many, each is told once: behind the first of its repository, and come later', async () => {
    const relay = await open()
    const runs = Array.from({ length: 260 }, (_, n) => `r_${n}`)
    for (const run of runs) await relay.accept(run)
    relay.github.failures.tooMany(600)
    await relay.step()
    expect(await relay.tellQueue()).toBe(259)
    for (const run of ['r_late', 'r_later']) await relay.accept(run)
    await relay.accept('r_elsewhere', 'acme/web')
    expect(await relay.tellQueue()).toBe(3)
    expect(await relay.step()).toBe(1)
    while ((await relay.tell()) > 0);
    for (const run of [...runs, 'r_late', 'r_later', 'r_elsewhere'])
      expect(waits(relay, run), run).toHaveLength(1)
    relay.advance(601_000)
    relay.github.failures.tooMany(600)
    await relay.step()
    await relay.tellQueue()
    while ((await relay.tell()) > 0);
    for (const run of runs) expect(waits(relay, run), run).toHaveLength(1)
  })
})

test('after a pause one dispatch goes first, and the others wait for its answer', async () => {
  const relay = await open()
  relay.github.fail({ status: 429, headers: { 'retry-after': '60' }, times: 2 })
  for (const [n, name] of ['acme/shop', 'acme/web', 'acme/api'].entries()) await relay.accept(`r_${n}`, name)
  await relay.step()
  expect(posts(relay)).toHaveLength(1)
  relay.advance(61_000)
  const { pauses } = relay.parts
  expect([pauses.mayTry('acme/shop'), pauses.mayTry('acme/web')]).toEqual([true, false])
  relay.advance(15_000)
  expect(await relay.step()).toBe(3)
  expect(posts(relay)).toHaveLength(2)
  relay.advance(121_000)
  while ((await relay.step()) > 0);
  expect(relay.github.dispatches).toHaveLength(3)
})

test('each limit on dispatches is waited out for longer, and one dispatch goes first, whatever is read in between', async () => {
  const relay = await open()
  const { github: hub, pauses } = relay.parts
  relay.github.fail({
    match: ({ method }) => method === 'POST',
    times: 3,
    status: 403,
    body: { message: 'You have exceeded a secondary rate limit.' },
  })
  await relay.accept('r_1')
  const minutes: number[] = []
  for (let round = 0; round < 3; round++) {
    await relay.step()
    const wait = pauses.until('acme/shop') - relay.now()
    minutes.push(Math.round(wait / 60_000))
    relay.advance(wait + 1_100)
    await hub.runsPage('acme/shop', 1, null)
    relay.github.fail({ match: ({ path }) => path.includes('/jobs'), cut: 'before' })
    await expect(hub.jobs('acme/shop', 1, 1)).rejects.toThrow()
  }
  expect(minutes).toEqual([1, 2, 4])
  expect([pauses.mayTry('acme/shop'), pauses.mayTry('acme/web')]).toEqual([true, false])
  relay.advance(15_000)
  await relay.step()
  expect(relay.github.dispatches).toHaveLength(1)
  expect([pauses.mayTry('acme/shop'), pauses.mayTry('acme/web')]).toEqual([true, true])
})

test('a pause that a wrong clock wrote is not waited for, here or out of the database', async () => {
  const relay = await open()
  const { pauses } = relay.parts
  const DAY = 86_400_000
  await relay.store.pause({ scope: pauses.scope('acme/shop'), until: relay.now() + DAY })
  pauses.learn(await relay.store.pauses(relay.now()))
  relay.advance(DAY)
  pauses.set('acme/shop', relay.now() + 60_000)
  relay.advance(-DAY)
  expect(pauses.active()).toEqual([])
  await relay.accept('r_1')
  await relay.step()
  expect(relay.github.dispatches).toHaveLength(1)
})

test('a GitHub App waits where its installation is limited, and works elsewhere', () => {
  const now = 1_000_000
  const written: unknown[] = []
  const pauses = createPauses(
    { appId: '1', privateKey: '' },
    () => now,
    pause => written.push(pause),
  )
  pauses.set('Acme/shop', now + 5_000)
  pauses.set('acme/web', now + 3_000)
  expect(pauses.until('ACME/any')).toBe(now + 5_000)
  expect(pauses.until('zeta/any')).toBe(0)
  expect(pauses.shared).toBeNull()
  const known = { scope: 'owner:acme', until: now + 5_000 }
  expect(written).toEqual([known, known])
})

test('a token is not told by the name of its pause', () => {
  const pauses = createPauses({ token: 'ghp_secret' }, Date.now)
  expect(pauses.scope('acme/shop')).toMatch(/^token:[\w-]{16}$/)
  expect(pauses.scope('acme/shop')).toBe(pauses.scope('zeta/any'))
  expect(pauses.shared).not.toBe(createPauses({ token: 'ghp_secreu' }, Date.now).shared)
})

test('nothing is sent under a lease that ends before the answer could be written', async () => {
  const relay = await open({ parts: { runTimeout: RUN_TIMEOUT } })
  const id = await relay.accept('r_1')
  const [claimed] = await relay.store.claimQueued(relay.now(), 60_000, 1)
  // An answer may take 15 s, and another relay's clock, by which the lease ends, may be 20 s ahead.
  relay.advance(25_100)
  await dispatch(claimed!, relay.parts)
  expect(relay.github.requests).toEqual([])
  expect(await relay.delivery(id)).toMatchObject({
    state: 'queued',
    sentAt: null,
    attempts: [{ outcome: 'the relay was held up before it could send' }],
  })
  relay.advance(2_000)
  await relay.step()
  expect(relay.github.dispatches).toHaveLength(1)
})

test('a run that reports before the dispatch was sent is watched at once', async () => {
  const relay = await open()
  const id = await relay.accept('r_1')
  const [claimed] = await relay.store.claimQueued(relay.now(), 60_000, 1)
  await relay.store.bindRun(id, 42, 1, relay.now())
  await dispatch(claimed!, relay.parts)
  expect(relay.github.requests).toEqual([])
  expect((await relay.store.claimWatched(relay.now(), 1_000, 10)).map(each => each.id)).toEqual([id])
})

test('a dispatch under way whose delivery the relay itself claims anew, after it stood still, is written under the new lease', async () => {
  const relay = await open()
  const id = await relay.accept('r_1')
  const [claimed] = await relay.store.claimQueued(relay.now(), 60_000, 1)
  const answered = Promise.withResolvers<void>()
  relay.github.onDispatch(() => answered.resolve())
  relay.github.fail({ takesEffect: true, delayMs: 100 })
  const step = dispatch(claimed!, relay.parts)
  await answered.promise
  relay.advance(63_000)
  const [again] = await relay.store.claimQueued(relay.now(), 60_000, 1)
  // The worker hears of its own claim only after the first write has failed.
  const { record } = relay.store
  relay.store.record = async (...given) => {
    const held = await record(...given)
    if (!held) claimed!.lease = again!.lease
    return held
  }
  await step
  expect(await relay.delivery(id)).toMatchObject({ state: 'dispatched', lease: 3 })
  relay.advance(120_000)
  expect(await relay.step()).toBe(0)
  expect(posts(relay)).toHaveLength(1)
})

describe('what GitHub answered, while the store is away', () => {
  /** Each try to write finds it away for so long more, by the clock that patience is measured by; then it is back. */
  async function openAway(awayMs: number[]) {
    const relay = await open()
    const id = await relay.accept('r_1')
    const [claimed] = await relay.store.claimQueued(relay.now(), 60_000, 1)
    const { record } = relay.store
    const now = performance.now.bind(performance)
    let ahead = 0
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => now() + ahead)
    onTestFinished(() => clock.mockRestore())
    relay.store.record = async (...given) => {
      const away = awayMs.shift()
      if (away === undefined) return record(...given)
      ahead += away
      throw new Error('PostgreSQL: connect ECONNREFUSED')
    }
    return { relay, id, claimed: claimed! }
  }

  test('is kept for minutes, and written', async () => {
    const { relay, id, claimed } = await openAway([60_000, 240_000])
    await dispatch(claimed, relay.parts)
    expect((await relay.delivery(id)).state).toBe('dispatched')
    expect(posts(relay)).toHaveLength(1)
  })

  test('holds a stop up for 15 s more, no longer', async () => {
    const stopping = new AbortController()
    const { relay, claimed } = await openAway([60_000, 14_000, 2_000])
    stopping.abort()
    await expect(dispatch(claimed, relay.parts, stopping.signal)).rejects.toThrow('ECONNREFUSED')
  })
})

test('what another relay has taken over is not written', async () => {
  const relay = await open()
  const id = await relay.accept('r_1')
  const [claimed] = await relay.store.claimQueued(relay.now(), 60_000, 1)
  relay.advance(61_000)
  await relay.store.claimQueued(relay.now(), 60_000, 1)
  await dispatch(claimed!, relay.parts)
  expect(relay.github.requests).toEqual([])
  expect(await relay.delivery(id)).toMatchObject({ state: 'queued', lease: 2, sentAt: null })
})
