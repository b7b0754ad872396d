import { expect, test } from 'vitest'
import { createRequestBudget } from '../../relay/github/rate-limit-pause.ts'
import { createRunCache } from '../../relay/github/run-cache.ts'
import type { WorkflowRun } from '../../relay/github/runs.ts'

const made = (id: number): WorkflowRun => ({
  ...{ id, attempt: 1, workflowId: 1, workflow: 'deploy.yml', ref: 'main', title: 'deploy', url: '' },
  ...{ event: 'repository_dispatch', status: 'in_progress', conclusion: null },
  ...{ createdAt: id * 1_000, updatedAt: id * 1_000 },
})

/** Creates a cache for a list of runs in memory. `asked`: the requests of the cache. */
function open(runs: WorkflowRun[], limit: number | ((limit: string) => number) = 36) {
  let at = 1_000_000
  const asked: string[] = []
  let isUnchanged = false
  const unchanged = () => isUnchanged && asked.length > 0
  const cache = createRunCache({
    github: {
      async runsPage(_, page) {
        asked.push(`page ${page}`)
        const sorted = [...runs].sort((a, b) => b.id - a.id)
        const data = sorted.slice((page - 1) * 100, page * 100)
        return { data: unchanged() ? null : data, etag: 'known' }
      },
      run: () => expect.fail('No test reads a run by its id'),
    },
    limitOf: repository => repository.replace(/\/.*/, ''),
    perMinute: typeof limit === 'number' ? () => limit : limit,
    total: createRequestBudget(300, 60_000, () => at),
    budgetById: createRequestBudget(10, 60_000, () => at),
    quick: {
      all: createRequestBudget(3, 60_000, () => at),
      ofRun: () => createRequestBudget(2, 60_000, () => at),
    },
    clock: () => at,
  })
  return {
    asked,
    poll: (since = 0, repository = 'acme/shop') =>
      cache.poll(repository, { event: 'repository_dispatch', since, runIds: [] }, 5_000),
    pass: (ms: number) => {
      at += ms
    },
    /** From now on, GitHub responds with 304. */
    keep: () => {
      isUnchanged = true
    },
  }
}

test('after the correction of a clock that was a day ahead, list requests continue within the request budget', async () => {
  const { asked, poll: look, pass } = open([made(1)], 2)
  pass(86_400_000)
  await look()
  pass(-86_400_000)
  for (let minute = 0; minute < 10; minute++) {
    await look()
    pass(60_000)
  }
  expect(asked).toHaveLength(11)
})

test('one request serves all readers that come within 5 s of its start', async () => {
  const { asked, poll: look, pass } = open([made(1)])
  const readers = Array.from({ length: 50 }, () => look())
  pass(1_000)
  expect((await Promise.all(readers))[0]?.readAt).toBe(1_000_000)
  pass(3_000)
  await look()
  expect(asked).toEqual(['page 1'])
  pass(2_000)
  await look()
  expect(asked).toEqual(['page 1', 'page 1'])
})

test('if a list is too long to be read completely, the result has the time since which the list is complete', async () => {
  const { asked, poll: look } = open(Array.from({ length: 700 }, (_, i) => made(i + 1)))
  expect(await look(50_000)).toMatchObject({ covers: 201_000 })
  expect(asked).toHaveLength(5)
})

test('requests stay within the request budget, and the result contains the time of the next poll', async () => {
  const { asked, poll: look, pass } = open([made(1)], 2)
  for (let i = 0; i < 5; i++) {
    await look(0, `acme/shop-${i}`)
    pass(6_000)
  }
  expect(asked).toHaveLength(2)
  expect((await look()).nextAt).toBeGreaterThan(1_030_000)
})

test('the request budget applies to every 60-second window, not only to clock minutes', () => {
  let at = 0
  const budget = createRequestBudget(3, 60_000, () => at)
  const take = (time: number) => {
    at = time
    return budget.take()
  }
  expect([0, 50_000, 59_000, 59_999].map(take)).toEqual([true, true, true, false])
  expect(budget.freeAt()).toBe(60_000)
  expect([60_000, 60_001, 110_000].map(take)).toEqual([true, false, true])
})

/** Polls each repository every 30 s for an hour. Returns the requests in the last minute and the longest age of a list. */
async function pollAll(repositories: string[], { poll, pass, asked }: ReturnType<typeof open>) {
  let [requests, oldest] = [0, 0]
  for (let second = 0; second < 3_600; second += 30) {
    if (second === 3_540) requests = asked.length
    for (const repository of repositories) {
      const { readAt } = await poll(0, repository)
      if (second > 1_800) oldest = Math.max(oldest, 1_000_000 + second * 1_000 - (readAt ?? 0))
    }
    pass(30_000)
  }
  return { perMinute: asked.length - requests, minutes: oldest / 60_000 }
}

const repositories = (owner: string, amount: number) =>
  Array.from({ length: amount }, (_, i) => `${owner}/${i}`)

test('the age of lists in 500 repositories is the number of repositories divided by the requests a minute', async () => {
  const token = await pollAll(repositories('acme', 500), open([made(1)], 36))
  const app = await pollAll(repositories('acme', 500), open([made(1)], 104))
  expect(token.perMinute).toBeLessThanOrEqual(36)
  expect(app.perMinute).toBeLessThanOrEqual(104)
  expect(token.minutes).toBeCloseTo(500 / (36 * 0.95), -1)
  expect(app.minutes).toBeLessThan(500 / (104 * 0.95) + 1)
})

test('each installation has a budget of its own, and all lists together stay below 300 requests a minute', async () => {
  const owners = ['a', 'b', 'c', 'd'].flatMap(owner => repositories(owner, 150))
  const small = await pollAll(owners, open([made(1)], 36))
  expect(small.perMinute).toBeGreaterThan(120)
  expect(small.perMinute).toBeLessThanOrEqual(4 * 36)
  const large = await pollAll(owners, open([made(1)], 200))
  expect(large.perMinute).toBeLessThanOrEqual(300)
})

test("a 304 doesn't count toward the request budget of the installation", async () => {
  const readsOf = async (isUnchanged: boolean) => {
    const { poll: look, asked, keep } = open([made(1)], 4)
    await look()
    if (isUnchanged) keep()
    for (const repository of repositories('acme', 10)) await look(0, repository)
    return asked.length
  }
  expect([await readsOf(false), await readsOf(true)]).toEqual([4, 11])
})
