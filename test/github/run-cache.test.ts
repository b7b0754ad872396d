import { expect, test } from 'vitest'
import { createRequestBudget } from '../../relay/github/rate-limit-pause.ts'
import { createRunCache } from '../../relay/github/run-cache.ts'
import type { WorkflowRun } from '../../relay/github/runs.ts'

const made = (id: number): WorkflowRun => ({
  ...{ id, attempt: 1, workflowId: 1, workflow: 'deploy.yml', ref: 'main', title: 'deploy', url: '' },
  ...{ event: 'repository_dispatch', status: 'in_progress', conclusion: null },
  ...{ createdAt: id * 1_000, updatedAt: id * 1_000 },
})

/** Creates a cache over an in-memory list of runs. `asked` lists the requests of the cache. */
function open(runs: WorkflowRun[], limit = 36) {
  let at = 1_000_000
  const asked: string[] = []
  const cache = createRunCache({
    github: {
      async runsPage(_, page) {
        asked.push(`page ${page}`)
        const sorted = [...runs].sort((a, b) => b.id - a.id)
        return { data: sorted.slice((page - 1) * 100, page * 100), etag: 'known' }
      },
      run: () => expect.fail('No test reads a run by its id'),
    },
    perMinute: limit,
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
  }
}

test('after a clock that was a day ahead is corrected, list requests continue within the request budget', async () => {
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

test('one request serves all simultaneous readers, and readers that follow within 5 s of its start', async () => {
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

test('if a list is too long to read completely, the result contains the start of the period that was read', async () => {
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
