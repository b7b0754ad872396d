import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterEach, expect, test, vi } from 'vitest'
import { readLogRest, takeLogRest } from '../../action/finish/remaining-log.ts'
import { askAgainAfter, describeRunning, followJob } from '../../action/progress/follow-job.ts'
import { NOTHING_SENT, progressFolder } from '../../action/progress/progress-folder.ts'
import { stopProgress } from '../../action/progress/stop-progress.ts'
import { watchEnd } from '../../action/progress/watch-end.ts'
import { createFetch } from '../../action/runner/fetch.ts'
import type { ListedStep } from '../../action/runner/list-steps.ts'
import { readLogFile } from '../../action/runner/log-file.ts'
import { isAlive } from '../../action/runner/processes.ts'
import { createRedact } from '../../action/secrets/redact.ts'
import { PortError } from '../../port/client/port-client.ts'
import { followFast, jobFor, openFolder } from './open-companion.ts'
import { openStage, REPOSITORY } from './play.ts'

// The companion in this process, so that its coverage is measured; progress.test.ts runs the bundle.

afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

async function follow(given: string): Promise<void> {
  vi.spyOn(process, 'stdin', 'get').mockReturnValue(Readable.from([given]) as unknown as typeof process.stdin)
  vi.resetModules()
  await import('../../action/progress.ts')
}

test('it tells step and lines, hides secrets, goes on after trouble of GitHub, and ends when post says so', async () => {
  const stage = await openStage()
  const { logFile, folder } = openFolder()
  stage.github.createRun({ id: 16_000_000_042, repository: REPOSITORY })
  const steps = [
    { name: 'Build', number: 1, status: 'in_progress' as const, started_at: '2026-11-24T12:00:00Z' },
  ]
  stage.github.setJobs(16_000_000_042, 1, [{ id: 7, name: 'deploy', status: 'in_progress', steps }])
  stage.github.fail({ cut: 'before' })
  stage.port.fail({ match: ({ method }) => method === 'PATCH', status: 503 })
  writeFileSync(logFile, '\nthe top secret\n')
  folder.open(process.pid)
  const following = follow(JSON.stringify(jobFor(stage, logFile)))
  await vi.waitFor(() => expect(stage.run.statusLabel).toBe('Build (1/1)'), { timeout: 20_000, interval: 50 })
  expect(stage.run.logs.map(log => log.message)).toEqual(['the ***'])
  folder.stop()
  await following
  expect(folder.pid()).toBe(0)
  expect(folder.sent().offset).toBe(16)
})

test('it leaves to post how many lines Port may not have, once it has ended', async () => {
  const stage = await openStage()
  const { logFile, folder } = openFolder()
  const isLog = ({ method, path }: { method: string; path: string }) =>
    method === 'POST' && path.endsWith('/logs')
  stage.port.fail({ match: isLog, status: 502 })
  writeFileSync(logFile, 'one\n\ntwo\n')
  folder.open(process.pid)
  const following = follow(JSON.stringify(jobFor(stage, logFile, { github: null })))
  await vi.waitFor(() => expect(stage.port.requests.filter(isLog)).toHaveLength(1), 20_000)
  folder.stop()
  await following
  const time = { clock: Date.now, sleep: async () => {} }
  expect(await takeLogRest(logFile, time)).toEqual({ lines: [], lost: 2, problem: null })
})

test('what Port refuses it leaves to post, and goes on with the rest', async () => {
  const stage = await openStage()
  const { logFile, folder } = openFolder()
  stage.github.createRun({ id: 16_000_000_042, repository: REPOSITORY })
  const show = (name: string) => {
    const steps = [{ name, number: 1, status: 'in_progress' as const, started_at: '2026-11-24T12:00:00Z' }]
    stage.github.setJobs(16_000_000_042, 1, [{ id: 7, name: 'deploy', status: 'in_progress', steps }])
  }
  show('Build')
  writeFileSync(logFile, 'one\n')
  const labels: string[] = []
  const lines: string[] = []
  let asked = 0
  const ended = new AbortController()
  const refuseFirst = async (told: string[], more: string[]) => {
    told.push(...more)
    if (told.length === 1) throw new PortError('refused', 'No.', { status: 422 })
  }
  await followJob(
    jobFor(stage, logFile),
    {
      update: ({ statusLabel }) => refuseFirst(labels, [statusLabel!]),
      log: told =>
        refuseFirst(
          lines,
          told.map(line => line.message),
        ),
    },
    folder,
    {
      fetch: (...request) => {
        asked++
        if (asked === 3) show('Test')
        if (asked === 6) ended.abort()
        return createFetch()(...request)
      },
      clock: () => 0,
      sleep: () => new Promise(done => setTimeout(done, 5)),
      ended,
    },
  )
  expect(labels).toEqual(['Build (1/1)', 'Test (1/1)'])
  expect(lines).toEqual(['one'])
  expect(folder.sent()).toEqual(NOTHING_SENT)
})

test('told nothing, it ends at once; so does one whose runner or folder is gone, and one that Port refuses', async () => {
  await follow('')
  const stage = await openStage()
  const { logFile, folder } = openFolder()
  const { ended, close } = watchEnd(folder, 2 ** 22 + 7)
  expect(ended.signal.aborted).toBe(true)
  close()
  const unwatched = watchEnd({ path: '/nowhere', stopped: () => true }, 0)
  expect(unwatched.ended.signal.aborted).toBe(true)
  unwatched.close()
  writeFileSync(logFile, 'line\n')
  await follow(JSON.stringify(jobFor(stage, logFile, { runId: 'r_nobody', github: null, worker: 0 })))
  expect(folder.sent()).toEqual(NOTHING_SENT)
})

test('stopping waits for it, and kills one that does not end', async () => {
  const { logFile, folder } = openFolder()
  const { spawn } = await import('node:child_process')
  const child = spawn('sleep', ['60'])
  folder.open(child.pid!)
  folder.setSent({ offset: 5, before: '', lost: 2 })
  let now = 0
  const sent = await stopProgress(logFile, {
    clock: () => (now += 7_000),
    sleep: ms => new Promise(done => setTimeout(done, ms)),
  })
  expect(sent).toMatchObject({ offset: 5, lost: 2 })
  expect(isAlive(child.pid!)).toBe(false)
  expect(existsSync(folder.path)).toBe(false)
  expect(await stopProgress(logFile, { clock: () => 0, sleep: async () => {} })).toEqual(NOTHING_SENT)
})

test('a burst of lines goes in batches, each line once; one that ends meanwhile sends no more', async () => {
  const stage = await openStage()
  const { logFile, folder } = openFolder()
  const lines = Array.from({ length: 90 }, (_, index) => `${index} ${'x'.repeat(7_000)}`)
  writeFileSync(logFile, `${lines.join('\n')}\n`)
  const job = jobFor(stage, logFile, { github: null })
  const batches: string[][] = []
  await followFast(
    job,
    sleeps => sleeps === 3,
    told => batches.push(told.map(line => line.message)),
  )
  expect(batches.length).toBeGreaterThan(2)
  expect(batches.flat()).toEqual(lines)

  folder.setSent(NOTHING_SENT)
  let sent = 0
  await followFast(
    job,
    sleeps => sleeps === 9,
    () => {
      sent++
      throw new PortError('ended', 'Over.')
    },
  )
  expect(sent).toBe(1)
  expect(folder.sent()).toEqual(NOTHING_SENT)
})

test('it ends between two batches when post says so', async () => {
  const stage = await openStage()
  const { logFile } = openFolder()
  writeFileSync(logFile, `${'x'.repeat(7_000)}\n`.repeat(90))
  const ended = new AbortController()
  let batches = 0
  const run = { update: async () => {}, log: async () => void (++batches === 2 && ended.abort()) }
  await followJob(jobFor(stage, logFile, { github: null }), run, progressFolder(logFile), {
    fetch: createFetch(),
    clock: Date.now,
    sleep: async () => {},
    ended,
  })
  expect(batches).toBe(2)
})

test('a job that GitHub does not list is asked for again and again, and a token that may not read is used once', async () => {
  const stage = await openStage()
  const { logFile } = openFolder()
  stage.github.createRun({ id: 16_000_000_042, repository: REPOSITORY })
  stage.github.setJobs(16_000_000_042, 1, [{ id: 8, name: 'other', status: 'in_progress' }])
  const { requests } = stage.github
  expect(await followFast(jobFor(stage, logFile), () => requests.length > 2)).toEqual([])

  stage.github.clearRequests()
  const token = stage.github.createToken({ kind: 'integration', permissions: { actions: 'none' } })
  let since = 0
  const refused = () => requests[0]?.status === 403 && ++since > 10
  await followFast(jobFor(stage, logFile, { github: { token, checkRunId: '8' } }), refused)
  expect(requests.map(({ status }) => status)).toEqual([403])
})

const step = (name: string, status: string): ListedStep => ({
  name,
  status,
  conclusion: null,
  startedAt: 0,
  completedAt: 0,
  authors: true,
  own: false,
})

test('the label is the step that runs, or the next where GitHub shows none, and a long name is cut', () => {
  const describe = (...steps: ReturnType<typeof step>[]) =>
    describeRunning(steps, createRedact(['top secret']))
  expect(describe(step('a', 'completed'), step('b', 'queued'))).toBe('b (2/2)')
  expect(describe(step('a', 'completed'))).toBeNull()
  expect(describe()).toBeNull()
  expect(describe(step('x'.repeat(90), 'in_progress'))).toBe(`${'x'.repeat(79)}… (1/1)`)
  expect(describe(step(`${'x'.repeat(74)} top secret`, 'in_progress'))).toBe(`${'x'.repeat(74)} *** (1/1)`)
})

test.each([
  [0, 1_500],
  [60_000, 6_000],
  [300_000, 10_000],
  [700_000, 20_000],
  [4_000_000, 60_000],
])('after %i ms GitHub is asked again in %i ms', (age, wait) => {
  expect(askAgainAfter(age)).toBe(wait)
})

test('a line longer than a piece of the file is told by its beginning, not kept back for ever', () => {
  const { logFile } = openFolder()
  writeFileSync(logFile, `${'y'.repeat(2_000_001)}\nnext\nlast`)
  expect(readLogFile(logFile, 0).map(({ text, end }) => [text.length, end])).toEqual([[1_000_000, 1_000_000]])
  // Its rest may be that of a secret.
  expect(readLogFile(logFile, 1_000_000)).toEqual([{ text: '', end: 2_000_000 }])
  expect(readLogFile(logFile, 2_000_000)).toEqual([
    { text: '', end: 2_000_002 },
    { text: 'next', end: 2_000_007 },
  ])
  expect(readLogRest(logFile, 2_000_000)).toEqual(['', 'next', 'last'])
})

test('every topic that a message links to is a section of docs/errors.md', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/errors.md'), 'utf8')
  const source = readFileSync(join(import.meta.dirname, '../../action/runner/help.ts'), 'utf8')
  const topics = [...source.matchAll(/^ {2}\| '([\w-]+)'/gm)].map(match => match[1])
  expect(topics).toHaveLength(14)
  for (const topic of topics) expect(page).toContain(`\n## ${topic}\n`)
})
