import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { followJob, waitForStop } from '../../action/progress/follow.ts'
import { isAlive, NOTHING_SENT, progressFolder, stopProgress } from '../../action/progress/process.ts'
import { createFetch } from '../../action/runner/runner.ts'
import { createMasks } from '../../action/secrets/redact.ts'
import { PortError } from '../../port/client/client.ts'
import { until } from '../../tools/simulator/http-server.ts'
import { follow, followFast, jobFor, openFolder } from './open-progress-reporter.ts'
import { openRunner } from './open-runner.ts'
import { REPOSITORY, startSystem } from './play.ts'

// Tests the progress reporter with a simulated clock. progress.test.ts runs the bundle.

afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

test('a value is masked before a label or entity that contains the value is sent, even if Port rejects the log', async () => {
  const { logFile, folder } = openFolder()
  const job = jobFor(await startSystem(), logFile, { github: null })
  const masks = createMasks([])
  const [labels, entities]: [string[], string[]] = [[], []]
  const stopping = new AbortController()
  let sleeps = 0
  writeFileSync(logFile, 'one\n')
  await followJob(job, {
    run: {
      update: async ({ statusLabel }) => {
        labels.push(masks.redact(statusLabel!))
        writeFileSync(logFile, '::add-mask::t0ken\n', { flag: 'a' })
        writeFileSync(job.files.entities, '{"blueprint":"b","identifier":"t0ken"}\n{}\n')
      },
      log: () => Promise.reject(new PortError('refused', 'No.', { status: 422 })),
      upsertEntity: async (_, { identifier }) => void entities.push(masks.redact(String(identifier))),
      deleteEntity: async () => {},
      isDeferred: false,
    },
    ...{ folder, masks, stopping, fetch: createFetch(), clock: () => 0 },
    sleep: async () => {
      await new Promise(done => setTimeout(done, 5))
      if (++sleeps === 3) {
        writeFileSync(logFile, '::add-mask::s3cr3t\n', { flag: 'a' })
        writeFileSync(job.files.run, 'status-label=at s3cr3t\n')
      }
      if (sleeps === 10) stopping.abort()
    },
  })
  expect([labels, entities]).toEqual([['at ***'], ['***']])
})

test('if Port rejects an item, the progress reporter continues with the others, and the post step handles the rejected one', async () => {
  const system = await startSystem()
  const { logFile, folder } = openFolder()
  system.github.createRun({ id: 16_000_000_042, repository: REPOSITORY })
  const show = (name: string) => {
    const steps = [{ name, number: 1, status: 'in_progress' as const, started_at: '2026-11-24T12:00:00Z' }]
    system.github.setJobs(16_000_000_042, 1, [{ id: 7, name: 'deploy', status: 'in_progress', steps }])
  }
  show('Build')
  writeFileSync(logFile, 'one\n')
  const labels: string[] = []
  const lines: string[] = []
  const stopping = new AbortController()
  const refuseFirst = async (shown: string[], more: string[]) => {
    shown.push(...more)
    if (shown.length === 1) throw new PortError('refused', 'No.', { status: 422 })
  }
  await follow(
    jobFor(system, logFile),
    {
      update: ({ statusLabel }) => refuseFirst(labels, [statusLabel!]),
      log: shown =>
        refuseFirst(
          lines,
          shown.map(line => line.message),
        ),
    },
    {
      clock: () => 0,
      sleep: async () => {
        await new Promise(done => setTimeout(done, 5))
        const asked = system.github.requests.length
        if (asked >= 2) show('Test')
        if (asked >= 5) stopping.abort()
      },
      stopping,
    },
  )
  expect(labels).toEqual(['Build (1/1)', 'Test (1/1)'])
  expect(lines).toEqual(['one'])
  expect(folder.sent()).toEqual(NOTHING_SENT)
})

test('stopProgress() waits for the progress reporter, and kills a progress reporter that does not exit', async () => {
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
  expect(sent).toMatchObject({ log: { offset: 5, lost: 2 } })
  await until(() => !isAlive(child.pid!), 'the process has ended')
  expect(existsSync(folder.path)).toBe(false)
  expect(await stopProgress(logFile, { clock: () => 0, sleep: async () => {} })).toMatchObject({
    log: NOTHING_SENT,
  })
})

test('a burst of lines is sent in batches, each line once, and sending stops when the run finishes', async () => {
  const system = await startSystem()
  const { logFile, folder } = openFolder()
  const lines = Array.from({ length: 90 }, (_, index) => `${index} ${'x'.repeat(7_000)}`)
  writeFileSync(logFile, `${lines.join('\n')}\n`)
  const job = jobFor(system, logFile, { github: null })
  const batches: string[][] = []
  await followFast(
    job,
    sleeps => sleeps === 3,
    shown => batches.push(shown.map(line => line.message)),
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
      throw new PortError('finished', 'Over.')
    },
  )
  expect(sent).toBe(1)
  expect(folder.sent()).toEqual(NOTHING_SENT)
})

// Tests the progress reporter in this process with failing services and an unusual log.

function stopWhen(condition: () => boolean): AbortController {
  const stopping = new AbortController()
  const timer = setInterval(() => {
    if (condition()) stopping.abort()
  }, 2)
  onTestFinished(() => clearInterval(timer))
  return stopping
}

test('sends at most thirty log requests per minute to Port, even if a step writes faster', async () => {
  const system = await startSystem()
  const { logFile } = openFolder()
  writeFileSync(logFile, `${'x'.repeat(7_000)}\n`.repeat(28 * 40))
  const stopping = new AbortController()
  let now = 0
  const sent: number[] = []
  const run = { update: async () => {}, log: async () => void sent.push(now) }
  await follow(jobFor(system, logFile, { github: null }), run, {
    clock: () => now,
    sleep: async ms => {
      now += ms
      if (now > 90_000) stopping.abort()
    },
    stopping,
  })
  expect(sent.filter(at => at < 60_000)).toHaveLength(30)
  expect(sent.filter(at => at >= 60_000)).toHaveLength(10)
})

test('lines of a rewritten file are sent, whether the file is now longer, shorter, or equally long', async () => {
  const system = await startSystem()
  const { logFile, folder } = openFolder()
  const texts = ['a first line\n', 'written anew, and longer\n', 'shorter\n', 'as long\n', '']
  const shown: string[] = []
  await followFast(
    jobFor(system, logFile, { github: null }),
    sleeps => {
      const next = texts[sleeps - 1]
      if (next !== undefined) writeFileSync(logFile, next)
      return sleeps === 8
    },
    lines => shown.push(...lines.map(line => line.message)),
  )
  expect(shown).toEqual(['a first line', 'written anew, and longer', 'shorter', 'as long'])
  expect(folder.sent().offset).toBe(0)
})

test('lines that Port has or may have received are not sent again', async () => {
  const system = await startSystem()
  const { logFile, folder } = openFolder()
  writeFileSync(logFile, 'one\n\ntwo\nthree\n')
  const shown: string[][] = []
  /** The number of lines that post regards as possibly sent while each request is in progress. */
  const lost: number[] = []
  await followFast(
    jobFor(system, logFile, { github: null }),
    sleeps => sleeps === 4,
    lines => {
      shown.push(lines.map(line => line.message))
      lost.push(folder.sent().lost)
      if (shown.length > 1) return
      const counts = { linesSent: 2, linesLost: 1 }
      throw Object.assign(new PortError('unreachable', 'Lost.', { retryAt: 0 }), counts)
    },
  )
  expect(shown).toEqual([['one', 'two', 'three'], ['three']])
  expect(lost).toEqual([3, 2])
  expect(folder.sent()).toMatchObject({ offset: 15, lost: 0 })
})

test("when GitHub's rate limit is reached, the next request waits until the limit resets", async () => {
  const system = await startSystem()
  const { logFile } = openFolder()
  system.github.fail({ status: 403, headers: { 'retry-after': '300' } })
  system.github.fail({
    status: 403,
    headers: { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '99999999999' },
  })
  system.github.fail({ status: 403 })
  const waits: number[] = []
  let now = 0
  const run = { update: async () => {}, log: async () => {} }
  await follow(jobFor(system, logFile), run, {
    clock: () => now,
    sleep: async ms => {
      await new Promise(done => setTimeout(done, 5))
      // The log is polled every two seconds.
      if (ms === 2_000) return
      waits.push(ms)
      now += ms
    },
    stopping: stopWhen(() => system.github.requests.length === 3),
  })
  expect(waits).toEqual([1_500, 300_000, 3_600_000])
})

const { execPath } = process
afterEach(() => {
  process.execPath = execPath
})

/** Writes a script that replaces the progress reporter's bundle. */
function scriptOf(source: string): string {
  const path = join(openFolder().root, 'progress.cjs')
  writeFileSync(path, source)
  return path
}

test("the progress reporter gets its keys only through standard input, and inherits none of the action's environment", async () => {
  const system = await startSystem()
  const file = join(openFolder().root, 'given.json')
  const script = scriptOf(`
    const { readFileSync, writeFileSync } = require('node:fs')
    const given = { job: JSON.parse(readFileSync(0, 'utf8')), env: process.env, cwd: process.cwd() }
    writeFileSync(${JSON.stringify(file)}, JSON.stringify(given))`)
  const more = { RUNNER_TRACKING_ID: 'github_1', ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'request-token' }
  const runner = openRunner(system, { live: 'true', 'check-run-id': '7' }, more, script)
  await runner.run('main')
  await vi.waitFor(() => expect(existsSync(file) && readFileSync(file, 'utf8')).toMatch(/}$/), {
    timeout: 10_000,
  })
  const { job, env, cwd } = JSON.parse(readFileSync(file, 'utf8'))
  expect(job).toMatchObject({
    runId: system.run.id,
    credentials: { portApiUrl: system.port.url, portClientSecret: system.port.clientSecret },
    relay: null,
    github: { token: system.github.token, checkRunId: '7' },
    worker: process.ppid,
  })
  const hidden = [system.port.clientSecret, system.github.token, 'request-token']
  expect(job.secrets).toEqual(expect.arrayContaining(hidden))
  expect(env.RUNNER_TRACKING_ID).toBe('github_1')
  const ofAction = Object.keys(env).filter(name => /^(INPUT|STATE|ACTIONS|GITHUB)_/.test(name))
  expect(ofAction).toEqual([])
  for (const secret of hidden) expect(JSON.stringify(env)).not.toContain(secret)
  expect(cwd).toBe('/')
  expect(progressFolder(job.files.log).pid()).toBeGreaterThan(0)
})

test('if the progress reporter fails to start, only live updates are missing', async () => {
  const system = await startSystem()
  const job = openRunner(system, { live: 'true', 'github-token': '' })
  process.execPath = '/nowhere/node'
  expect(await job.run('main')).toEqual([])
  process.execPath = execPath
  expect(progressFolder(JSON.parse(job.state().STATE_report!).files.log).pid()).toBe(0)
  await job.run('post', job.state())
  expect(system.run.status).toBe('SUCCESS')
})

test('the progress reporter runs for at most five days; it polls if the file system does not support watching', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout'] })
  let stopped = false
  const folder = { path: '/nowhere', stopped: () => stopped }
  const first = waitForStop(folder, process.pid)
  vi.advanceTimersByTime(5 * 24 * 3_600_000 - 1)
  expect(first.stopping.signal.aborted).toBe(false)
  vi.advanceTimersByTime(1)
  expect(first.stopping.signal.aborted).toBe(true)
  first.close()

  vi.useFakeTimers({ toFake: ['setInterval'] })
  const second = waitForStop(folder, 0)
  stopped = true
  expect(second.stopping.signal.aborted).toBe(false)
  vi.advanceTimersByTime(500)
  expect(second.stopping.signal.aborted).toBe(true)
  second.close()
})
