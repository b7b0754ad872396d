import { expect, test } from 'vitest'
import { cleanLog } from '../../relay/github/clean-log.ts'
import { readTail } from '../../relay/github/read-tail.ts'
import { createRequestBudget } from '../../relay/github/request-budget.ts'
import { createRunCache } from '../../relay/github/run-cache.ts'
import type { WorkflowRun } from '../../relay/github/workflow-run.ts'

const made = (id: number, more: Partial<WorkflowRun> = {}): WorkflowRun => ({
  id,
  attempt: 1,
  workflowId: 1,
  event: 'repository_dispatch',
  title: 'deploy',
  status: 'in_progress',
  conclusion: null,
  url: '',
  createdAt: id * 1_000,
  updatedAt: id * 1_000,
  ...more,
})

/** A cache over a list of runs in memory, which counts what it is asked. */
function open(runs: WorkflowRun[], limit = 36) {
  let at = 1_000_000
  const asked: string[] = []
  const cache = createRunCache({
    github: {
      async runsPage(_, page) {
        asked.push(`page ${page}`)
        const sorted = [...runs].sort((a, b) => b.id - a.id)
        return { data: sorted.slice((page - 1) * 100, page * 100), etag: null }
      },
      async run(_, id) {
        asked.push(`run ${id}`)
        return { data: runs.find(run => run.id === id) ?? null, etag: null }
      },
    },
    budget: createRequestBudget(limit, 60_000, () => at),
    budgetById: createRequestBudget(10, 60_000, () => at),
    perMinute: 34,
    clock: () => at,
  })
  return {
    asked,
    look: (want: { since?: number; runId?: number | null } = {}) =>
      cache.look(
        'acme/shop',
        {
          event: 'repository_dispatch',
          since: want.since ?? (want.runId ? null : 0),
          runIds: want.runId ? [want.runId] : [],
        },
        5_000,
      ),
    pass: (ms: number) => {
      at += ms
    },
  }
}

test('a clock that was a day ahead and is set right keeps no list from being read, and no budget used up', async () => {
  const { asked, look, pass } = open([made(1)], 2)
  pass(86_400_000)
  await look()
  pass(10_000)
  await look()
  pass(-86_410_000)
  for (let minute = 0; minute < 10; minute++) {
    await look()
    pass(60_000)
  }
  expect(asked).toHaveLength(12)
})

test('one reading serves everybody who asks at once, and those who ask soon after', async () => {
  const { asked, look, pass } = open([made(1)])
  await Promise.all(Array.from({ length: 50 }, () => look()))
  pass(4_000)
  await look()
  expect(asked).toEqual(['page 1'])
  pass(2_000)
  await look()
  expect(asked).toEqual(['page 1', 'page 1'])
})

test('pages are turned back to the time that is asked for, and no further', async () => {
  const runs = Array.from({ length: 350 }, (_, i) => made(i + 1))
  const { asked, look } = open(runs)
  const found = await look({ since: 180_000 })
  expect(asked).toEqual(['page 1', 'page 2'])
  expect(found).toMatchObject({ covers: 151_000, access: 'read' })
})

test('a list too long to turn whole says how far back it goes', async () => {
  const { asked, look } = open(Array.from({ length: 700 }, (_, i) => made(i + 1)))
  expect(await look({ since: 50_000 })).toMatchObject({ covers: 201_000 })
  expect(asked).toHaveLength(5)
})

test('a run older than the pages is fetched by its id', async () => {
  const { asked, look, pass } = open(Array.from({ length: 150 }, (_, i) => made(i + 1)))
  expect((await look({ runId: 7 })).runs.has(7)).toBe(true)
  expect(asked).toEqual(['page 1', 'run 7'])
  pass(4_000)
  await look({ runId: 7 })
  expect(asked.filter(each => each === 'run 7')).toHaveLength(1)
})

test('nothing is asked beyond the budget, and the look says when to come again', async () => {
  const { asked, look, pass } = open([made(1)], 2)
  for (let i = 0; i < 5; i++) {
    await look()
    pass(6_000)
  }
  expect(asked).toHaveLength(2)
  expect((await look()).nextAt).toBeGreaterThan(1_030_000)
})

test('a budget allows its number in any window, not only in those that begin with the clock', () => {
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

test('a log is made for reading', () => {
  const time = '2026-01-20T10:00:00.1234567Z'
  const raw = [
    `\uFEFF${time} ##[group]Run ./deploy.sh`,
    `${time} \u001b[36;1m./deploy.sh --token ***\u001b[0m`,
    `${time} ##[endgroup]`,
    `${time} ::add-mask::hunter2`,
    `${time} ##[add-mask]hunter2`,
    `${time} 10 %\r100 %`,
    `${time} \u001b]0;title\u0007done\u0000`,
    `${time} ${'x'.repeat(1_500)}`,
    `${time} ##[error]Process completed with exit code 1.`,
    '',
  ]
  expect(cleanLog(raw.join('\r\n'), null)).toEqual([
    'Run ./deploy.sh',
    './deploy.sh --token [masked]',
    '100 %',
    'done',
    `${'x'.repeat(1_000)}… (cut)`,
    'Error: Process completed with exit code 1.',
  ])
})

test('a line of sequences that never end holds nothing up, and of one that was written over the last shows', () => {
  const endless = '\x1b]8;;'.repeat(100_000)
  expect(cleanLog(`${endless}\nnext`, null).at(-1)).toBe('next')
  const bar = `${'\x1b[32m10 %\x1b[0m\r'.repeat(5_000)}\x1b[32m100 %\x1b[0m\r\x1b[K`
  expect(cleanLog(bar, null)).toEqual(['100 %'])
})

test('many such lines hold nothing up: only those that are kept are read', () => {
  const line = `2026-10-01T12:00:00.0Z ${'\x1b]'.repeat(8_000)}`
  const log = [...Array.from({ length: 2_000 }, () => line), ...Array.from({ length: 100 }, (_, i) => `${i}`)]
  const before = performance.now()
  expect(cleanLog(log.join('\n'), null)).toEqual(log.slice(-100))
  expect(performance.now() - before).toBeLessThan(2_000)
})

test('the end of a long stream is kept, from the start of a line', async () => {
  async function* stream() {
    for (let i = 0; i < 1_000; i++) yield Buffer.from(`line ${i} ${'ü'.repeat(20)}\n`)
  }
  const tail = await readTail(stream(), 1_000)
  expect(tail.endsWith('line 999 üüüüüüüüüüüüüüüüüüüü\n')).toBe(true)
  expect(tail).toMatch(/^line \d+ ü/)
  expect(tail.length).toBeLessThan(1_000)
  expect(await readTail(stream(), 1e6)).toMatch(/^line 0 /)
})
