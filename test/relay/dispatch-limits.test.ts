import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { createRateLimitPauses, createRequestBudget } from '../../relay/github/rate-limit-pause.ts'
import { createRunCache } from '../../relay/github/run-cache.ts'
import { createDispatchRate, DISPATCH_LEASE_MS } from '../../relay/workers/dispatch.ts'
import { startGitHubApi } from '../../simulator/github/github.ts'
import { NEVER, type System, type SystemOptions, startSystem } from '../support/system.ts'
import { withoutJitter } from '../support/without-jitter.ts'

withoutJitter()

const claim = async (relay: System) =>
  (await relay.store.claimQueued(relay.now(), DISPATCH_LEASE_MS, 1, 'owner:'))[0]!
const lastReason = async ({ store }: System, id: string) => (await store.history(id)).at(-1)?.details.reason

async function open(options: SystemOptions = {}): Promise<System> {
  const timeouts = { startTimeout: 600_000, runTimeout: 86_400_000 }
  const relay = await startSystem({ autoRun: true, ...timeouts, ...options })
  for (const name of ['acme/shop', 'acme/web', 'acme/api']) relay.github.addRepository(name)
  return relay
}

test('the dispatch rate allows a burst of 20, then the configured number per minute, and counts every attempt', () => {
  let now = 5
  const rate = createDispatchRate(60, undefined, () => now)
  const take = (amount: number) => Array.from({ length: amount }, rate.take)
  const after = (ms: number) => {
    now += ms
    return rate.available(100)
  }
  expect([after(0), rate.available(7)]).toEqual([20, 7])
  take(20)
  expect([after(0), after(999), after(1), after(3_500)]).toEqual([0, 0, 1, 4])
  // A dispatch that exceeds the rate, because its delivery was claimed twice, counts toward the next second.
  take(5)
  expect([after(0), after(500), after(1_000), after(600_000)]).toEqual([0, 0, 1, 20])
  const unlimited = createDispatchRate(0)
  for (let n = 0; n < 50; n++) unlimited.take()
  expect(unlimited.available(100)).toBe(100)
})

const reset = (at: number) => ({ 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(at) })
test.each<[string, (now: number) => Record<string, string>, number, number]>([
  [
    'Retry-After as a date',
    now => ({ 'retry-after': new Date(now + 600_000).toUTCString() }),
    598_000,
    601_000,
  ],
  ['Retry-After of 0', () => ({ 'retry-after': '0' }), 60_000, 60_000],
  ['Retry-After of 115 days', () => ({ 'retry-after': '10000000' }), 3_600_000, 3_600_000],
  ['a reset in the past', now => reset(Math.floor(now / 1000) - 9), 60_000, 60_000],
])(
  "the relay waits for GitHub's retry time, at most an hour, or for a minute if the retry time is invalid: %s",
  async (_, headers, least, most) => {
    const relay = await open()
    relay.github.fail({ status: 429, headers: headers(relay.now()) })
    const id = await relay.accept('r_1')
    const before = relay.now()
    await relay.step()
    const after = relay.now()
    const { state, dueAt, attempts } = await relay.delivery(id)
    expect([state, attempts]).toEqual(['queued', 1])
    expect(dueAt! - after).toBeLessThanOrEqual(most)
    expect(dueAt! - before).toBeGreaterThanOrEqual(least)
    expect(Number.isInteger(dueAt)).toBe(true)
  },
)

describe('only 204 means that GitHub accepted the dispatch:', () => {
  test.each([200, 302])('a %i is a lost response, so the delivery stays queued', async status => {
    const relay = await open()
    relay.github.fail({ status, headers: { 'content-type': 'text/html' }, body: '<html>Please log in' })
    const id = await relay.accept('r_1')
    await relay.step()
    const lost = { state: 'queued', awaitingResponseSince: expect.any(Number) }
    expect(await relay.delivery(id)).toMatchObject(lost)
    const reason = `something between the relay and GitHub responded with ${status}`
    expect(await relay.store.history(id)).toMatchObject([{ type: 'responseLost', details: { reason } }])
  })

  test.each([302, 307])('does not send the token to another host after a %i redirect', async status => {
    const [relay, elsewhere] = await Promise.all([open(), startGitHubApi()])
    onTestFinished(() => elsewhere.close())
    relay.github.fail({ status, headers: { location: `${elsewhere.url}/login?secret=1` }, body: '' })
    const id = await relay.accept('r_1')
    await relay.step()
    expect(elsewhere.requests).toEqual([])
    expect(await relay.delivery(id)).toMatchObject({ state: 'queued', awaitingResponseSince: null })
    const reason = `responded with ${status} and redirects to ${elsewhere.url}: set GITHUB_API_URL`
    expect(await lastReason(relay, id)).toContain(reason)
  })
})

test('during a rate-limit pause, the relay sends no request with the credential, not even for run lists, jobs, or repositories', async () => {
  const relay = await open()
  const { hub, now } = relay
  for (let i = 0; i < 20; i++) relay.github.addRepository(`acme/r${i}`)
  const budget = createRequestBudget(36, 60_000, now)
  const budgetById = createRequestBudget(10, 60_000, now)
  const quick = { all: budget, ofRun: () => budget }
  const cache = createRunCache({
    ...{ github: hub, limitOf: () => '', perMinute: () => 36, total: createRequestBudget(300, 60_000, now) },
    ...{ budgetById, quick, clock: now },
  })
  relay.github.failures.secondaryLimit(60, { times: 1000 })
  for (let second = 0; second < 50; second += 10) {
    for (let i = 0; i < 20; i++) {
      const want = { event: 'repository_dispatch', since: now(), runIds: [] } as const
      expect((await cache.poll(`acme/r${i}`, want, 5_000)).access).toBe('unavailable')
    }
    relay.advance(10_000)
  }
  await expect(hub.repository('acme/shop')).rejects.toThrow('Nothing is sent to GitHub until')
  await expect(hub.jobs('acme/shop', 1, 1)).rejects.toThrow('Nothing is sent to GitHub until')
  await relay.accept('r_1')
  await relay.step()
  expect(relay.github.requests).toHaveLength(1)
  relay.advance(10_000)
  relay.github.clearFailures()
  await relay.step()
  expect(relay.github.dispatches).toHaveLength(1)
})

test('Port shows the new end of a rate limit that goes on, without another line in its log', async () => {
  const relay = await open()
  const body = { message: 'You have exceeded a secondary rate limit.' }
  relay.github.fail({ match: ({ method }) => method === 'POST', times: 3, status: 403, body })
  const runs = ['r_1', 'r_2']
  for (const id of runs) await relay.accept(id)
  const end = relay.now() + 60_000
  const labelsAfter = async (seconds: number) => {
    for (let second = 0; second < seconds; second++) {
      await relay.pass(1_000)
      await relay.notifyWaiting()
      await relay.send()
    }
    return runs.map(id => relay.port.run(id).statusLabel)
  }
  const label = (until: number) =>
    Array(2).fill(`Waiting for GitHub's rate limit until ${new Date(until).toISOString().slice(11, 16)} UTC`)
  expect(await labelsAfter(40)).toEqual(label(end))
  expect(await labelsAfter(40)).toEqual(label(relay.pauses.find('acme/shop')!.pausedUntil))
  expect(relay.pauses.find('acme/shop')!.pausedUntil).toBeGreaterThanOrEqual(end + 120_000)
  for (const id of runs)
    expect(relay.port.run(id).logs.filter(({ message }) => message.includes('rate limit'))).toHaveLength(1)
})

test('each consecutive rate limit on dispatches doubles the wait, even if reads succeed in between', async () => {
  const relay = await open()
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
    const wait = relay.pauses.find('acme/shop')!.pausedUntil - relay.now()
    minutes.push(Math.round(wait / 60_000))
    relay.advance(wait + 1_100)
    await relay.hub.runsPage('acme/shop', 1, null, 'repository_dispatch')
  }
  expect(minutes).toEqual([1, 2, 4])
  await relay.step()
  expect(relay.github.dispatches).toHaveLength(1)
})

test('a GitHub App has one rate-limit pause per installation, and the key of a pause does not reveal a credential', () => {
  const now = 1_000_000
  const persisted: unknown[] = []
  const clock = () => now
  const pauses = createRateLimitPauses({ appId: '1', privateKey: '' }, clock, each => persisted.push(each))
  pauses.pause('Acme/shop', now + 5_000, 'a limit', 'limit')
  pauses.pause('acme/web', now + 3_000, 'a shorter one', 'limit')
  expect(pauses.find('ACME/any')?.pausedUntil).toBe(now + 5_000)
  expect(pauses.find('zeta/any')).toBeNull()
  expect(pauses.scope).toMatch(/^owner:[\w-]{16}:$/)
  expect(pauses.scope).not.toBe(createRateLimitPauses({ appId: '1', privateKey: 'x' }, clock).scope)
  const known = { scope: `${pauses.scope}acme`, pausedUntil: now + 5_000, cause: 'limit', reason: 'a limit' }
  expect(persisted).toEqual([known, known])
  const scope = createRateLimitPauses({ token: 'ghp_secret' }, clock).scope
  expect(scope).toMatch(/^token:[\w-]{16}$/)
  expect(scope).not.toBe(createRateLimitPauses({ token: 'ghp_secreu' }, clock).scope)
})

/** Starts a relay that has claimed a delivery and is about to dispatch it. */
async function openClaimed() {
  const relay = await open()
  const id = await relay.accept('r_1')
  return { relay, id, claimed: await claim(relay) }
}

describe('a dispatch attempt', () => {
  test('sends nothing if its lease would expire before the response could be recorded', async () => {
    const { relay, id, claimed } = await openClaimed()
    relay.advance(DISPATCH_LEASE_MS - 29_000)
    await relay.engine().dispatch(claimed, NEVER)
    expect(relay.github.requests).toEqual([])
    expect(await lastReason(relay, id)).toBe("the relay was delayed and didn't send the dispatch")
    relay.advance(2_000)
    await relay.step()
    expect(relay.github.dispatches).toHaveLength(1)
  })

  test('sends nothing if another relay has taken over the delivery, which then needs no search for a run', async () => {
    const { relay, id, claimed } = await openClaimed()
    relay.advance(DISPATCH_LEASE_MS + 1_000)
    await claim(relay)
    await relay.engine().dispatch(claimed, NEVER)
    expect(relay.github.requests).toEqual([])
    expect(await relay.delivery(id)).toMatchObject({ state: 'queued', awaitingResponseSince: null })
  })
})

test('a response from GitHub is recorded when the database is available again after five minutes', async () => {
  const { relay, id, claimed } = await openClaimed()
  const { apply } = relay.store
  const now = performance.now.bind(performance)
  let ahead = 0
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now() + ahead)
  onTestFinished(() => clock.mockRestore())
  const awayMs = [60_000, 240_000]
  relay.store.apply = async (...given) => {
    const away = given[0][0]?.transition.history ? awayMs.shift() : undefined
    if (away === undefined) return apply(...given)
    ahead += away
    throw new Error('PostgreSQL: connect ECONNREFUSED')
  }
  await relay.engine().dispatch(claimed, NEVER)
  expect((await relay.delivery(id)).state).toBe('dispatched')
  expect(relay.github.requests.filter(({ method }) => method === 'POST')).toHaveLength(1)
})
