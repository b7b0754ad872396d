import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { followJob } from '../../action/progress/follow-job.ts'
import { progressFolder } from '../../action/progress/progress-folder.ts'
import { createReporter } from '../../action/report/reporter.ts'
import { createFetch } from '../../action/runner/fetch.ts'
import { PortError } from '../../port/client/port-client.ts'
import { followFast, jobFor, openFolder } from './open-companion.ts'
import { openStage } from './play.ts'

// What the companion does with services that are in trouble, and with a log that misbehaves, in this process.

test('no more than thirty requests with lines go to Port in a minute, however fast a step writes', async () => {
  const stage = await openStage()
  const { logFile } = openFolder()
  writeFileSync(logFile, `${'x'.repeat(7_000)}\n`.repeat(28 * 40))
  const ended = new AbortController()
  let now = 0
  const sent: number[] = []
  const run = { update: async () => {}, log: async () => void sent.push(now) }
  await followJob(jobFor(stage, logFile, { github: null }), run, progressFolder(logFile), {
    fetch: createFetch(),
    clock: () => now,
    sleep: async ms => {
      now += ms
      if (now > 90_000) ended.abort()
    },
    ended,
  })
  expect(sent.filter(at => at < 60_000)).toHaveLength(30)
  expect(sent.filter(at => at >= 60_000)).toHaveLength(10)
})

test('lines of a file that was written anew are told too, and empty ones are not', async () => {
  const stage = await openStage()
  const { logFile, folder } = openFolder()
  writeFileSync(logFile, 'a first, long line of the log\n')
  const told: string[] = []
  const anew = [
    '',
    'written anew, ',
    'written anew, and longer than before\n',
    'once more, and again it is longer than it was\n',
    'of one length\n',
    'of two lengths\nin two lines\n',
    '\n\n',
    '',
    'last\n',
    'also last\n',
  ]
  await followFast(
    jobFor(stage, logFile, { github: null }),
    sleeps => {
      const next = anew[sleeps - 2]
      if (next !== undefined) writeFileSync(logFile, next)
      return sleeps === 13
    },
    lines => told.push(...lines.map(line => line.message)),
  )
  expect(told).toEqual([
    'a first, long line of the log',
    'written anew, and longer than before',
    'once more, and again it is longer than it was',
    'of one length',
    'of two lengths',
    'in two lines',
    'last',
    'also last',
  ])
  expect(folder.sent().offset).toBe(10)
})

test('of lines that Port has in part, or may have, none is sent again', async () => {
  const stage = await openStage()
  const { logFile, folder } = openFolder()
  writeFileSync(logFile, 'one\n\ntwo\nthree\n')
  const told: string[][] = []
  /** While the request is under way: whatever becomes of it, post knows. */
  const lost: number[] = []
  await followFast(
    jobFor(stage, logFile, { github: null }),
    sleeps => sleeps === 4,
    lines => {
      told.push(lines.map(line => line.message))
      lost.push(folder.sent().lost)
      if (told.length > 1) return
      const counts = { linesSent: 2, linesLost: 1 }
      throw Object.assign(new PortError('unreachable', 'Lost.', { retryAt: 0 }), counts)
    },
  )
  expect(told).toEqual([['one', 'two', 'three'], ['three']])
  expect(lost).toEqual([3, 2])
  expect(folder.sent()).toMatchObject({ offset: 15, lost: 0 })
})

test('lines that may be lost stay counted while no token is to be had', async () => {
  const stage = await openStage()
  const { logFile, folder } = openFolder()
  writeFileSync(logFile, 'one\ntwo\n')
  stage.port.fail({ match: ({ path }) => path.endsWith('/logs'), status: 502 })
  let now = 0
  let asked = 0
  const ended = new AbortController()
  const tools = {
    fetch: createFetch(),
    clock: () => now,
    sleep: async (ms: number) => {
      now += ms
      if (++asked === 2) {
        writeFileSync(logFile, 'one\ntwo\nthree\n')
        // By then the token has ended.
        now += 86_400_000
        stage.port.fail({ match: ({ path }) => path.endsWith('/access_token'), status: 503 })
      }
      if (asked === 3) ended.abort()
    },
    core: { setSecret: () => {} },
  }
  const job = jobFor(stage, logFile, { github: null })
  const run = createReporter(job.runId, job.credentials, tools, { budgetMs: 0, redact: text => text })
  await followJob(job, run, folder, { ...tools, ended })
  expect(folder.sent()).toMatchObject({ offset: 8, lost: 2 })
})

test('a log written anew while a request with its lines fails is told from its start', async () => {
  const stage = await openStage()
  const { logFile } = openFolder()
  const long = 'x'.repeat(100)
  writeFileSync(logFile, `one\n${long}\nthree\n`)
  const told: string[] = []
  await followFast(
    jobFor(stage, logFile, { github: null }),
    sleeps => sleeps === 4,
    lines => {
      told.push(...lines.map(line => line.message))
      if (told.length > 3) return
      writeFileSync(logFile, `anew\n${long}, and longer than before\n`)
      throw Object.assign(new PortError('unreachable', 'Lost.', { retryAt: 0 }), { linesSent: 2 })
    },
  )
  expect(told).toEqual(['one', long, 'three', 'anew', `${long}, and longer than before`])
})

test('a log that is no file now costs its lines, and nothing else; a pause of years is one of an hour', async () => {
  const stage = await openStage()
  const { logFile } = openFolder()
  const waits: number[] = []
  const ended = new AbortController()
  let now = 0
  const errors = [new PortError('later', 'Wait.', { retryAt: 1e15 })]
  const sent: number[] = []
  const log = async () => {
    sent.push(now)
    const error = errors.shift()
    if (error) throw error
  }
  rmSync(logFile)
  mkdirSync(logFile)
  await followJob(
    jobFor(stage, logFile, { github: null }),
    { update: async () => {}, log },
    progressFolder(logFile),
    {
      fetch: createFetch(),
      clock: () => now,
      sleep: async ms => {
        waits.push(ms)
        now += ms
        if (waits.length === 2) {
          rmSync(logFile, { recursive: true })
          writeFileSync(logFile, 'a line\n')
        }
        if (waits.length === 5) ended.abort()
      },
      ended,
    },
  )
  expect(waits).toEqual([2_000, 2_000, 3_600_000, 2_000, 2_000])
  expect(sent).toEqual([4_000, 3_604_000])
})

test("where GitHub's limit of requests is reached, it is asked again when that ends, in an hour at most", async () => {
  const stage = await openStage()
  const { logFile } = openFolder()
  const answers = [
    { status: 403, headers: { 'retry-after': '300' } },
    { status: 403, headers: { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '99999999999' } },
    { status: 403, headers: {} },
  ] as { status: number; headers: Record<string, string> }[]
  const waits: number[] = []
  let now = 0
  const ended = new AbortController()
  const following = followJob(
    jobFor(stage, logFile),
    { update: async () => {}, log: async () => {} },
    progressFolder(logFile),
    {
      fetch: async () => {
        const { status, headers } = answers.shift()!
        return { status, headers: { get: name => headers[name] ?? null }, text: async () => '{}' }
      },
      clock: () => now,
      sleep: async ms => {
        // The log is looked after every two seconds.
        if (ms === 2_000) return new Promise<void>(done => setTimeout(done, 5))
        waits.push(ms)
        now += ms
        if (answers.length === 1) setTimeout(() => ended.abort(), 50)
      },
      ended,
    },
  )
  await following
  expect(waits).toEqual([1_500, 300_000, 3_600_000])
  expect(answers).toEqual([])
})
