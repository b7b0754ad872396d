import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import type { FollowedJob } from '../../action/progress/follow-job.ts'
import { progressFolder } from '../../action/progress/progress-folder.ts'
import { watchEnd } from '../../action/progress/watch-end.ts'
import { findWorker, isAlive } from '../../action/runner/processes.ts'
import { openRunner } from './open-runner.ts'
import { openStage } from './play.ts'

// How main starts the companion, by the sources in this process.

const { execPath, argv } = process
const [, script] = argv
afterEach(() => {
  process.execPath = execPath
  argv[1] = script!
  vi.doUnmock('node:fs')
  vi.resetModules()
  vi.useRealTimers()
})

/** What the companion was given, by a script in its place that writes it down. */
async function givenToCompanion(job: ReturnType<typeof openRunner>, more: Record<string, string> = {}) {
  const main = join(job.folder, 'dist/main')
  const companion = join(job.folder, 'dist/progress')
  for (const folder of [main, companion]) mkdirSync(folder, { recursive: true })
  const file = join(job.folder, 'given.json')
  writeFileSync(
    join(companion, 'index.js'),
    `const { readFileSync, writeFileSync } = require('node:fs')
     const { env } = process
     writeFileSync(${JSON.stringify(file)}, JSON.stringify({ job: JSON.parse(readFileSync(0, 'utf8')), env, cwd: process.cwd() }))`,
  )
  argv[1] = join(main, 'index.js')
  await job.run('main', more)
  await vi.waitFor(() => expect(existsSync(file) && readFileSync(file, 'utf8')).toMatch(/}$/), {
    timeout: 10_000,
  })
  return JSON.parse(readFileSync(file, 'utf8')) as {
    job: FollowedJob
    env: Record<string, string>
    cwd: string
  }
}

test('the companion gets its keys by standard input alone, and nothing of the action in its environment', async () => {
  const stage = await openStage()
  const job = openRunner(stage, { progress: 'true', 'check-run-id': '7' }, { RUNNER_TRACKING_ID: 'github_1' })
  const { job: given, env, cwd } = await givenToCompanion(job)
  expect(given).toMatchObject({
    runId: stage.run.id,
    credentials: { portApiUrl: stage.port.url, portClientSecret: stage.port.clientSecret },
    relay: null,
    github: { token: stage.github.token, checkRunId: '7' },
    worker: process.ppid,
  })
  expect(given.secrets).toContain(stage.port.clientSecret)
  expect(env.RUNNER_TRACKING_ID).toBe('github_1')
  expect(Object.keys(env).filter(name => /^(INPUT|STATE|ACTIONS|GITHUB)_/.test(name))).toEqual([])
  expect(JSON.stringify(env)).not.toContain(stage.port.clientSecret)
  expect(cwd).toBe('/')
  expect(progressFolder(given.logFile).pid()).toBeGreaterThan(0)
})

test.each([
  ['a label of its own', { 'status-label': 'Rolling out' }],
  ['no token', { 'github-token': '' }],
])('with %s the companion does not ask GitHub', async (_, inputs) => {
  const stage = await openStage()
  const { job } = await givenToCompanion(openRunner(stage, { progress: 'true', ...inputs }))
  expect(job.github).toBeNull()
})

test('a companion that cannot be started costs the progress, and nothing else', async () => {
  const stage = await openStage()
  const job = openRunner(stage, { progress: 'true', 'github-token': '' })
  process.execPath = '/nowhere/node'
  expect(await job.run('main')).toEqual([])
  process.execPath = execPath
  expect(progressFolder(JSON.parse(job.state().STATE_report!).logFile).pid()).toBe(0)
  await job.run('post', job.state())
  expect(stage.run.status).toBe('SUCCESS')
})

test('where the companion cannot have its folder, that costs the progress, and is a remark', async () => {
  const stage = await openStage()
  const job = openRunner(stage, { progress: 'true', 'github-token': '' })
  writeFileSync(join(job.folder, 'port-log-d_1.txt.progress'), 'in the way')
  expect(await job.run('main')).toEqual([
    expect.stringMatching(/^Port sees steps and lines only at the end: EEXIST/),
  ])
  expect(process.exitCode).not.toBe(1)
  expect(job.state().STATE_report).toContain(stage.run.id)
})

test('the companion hides the tokens of the job', async () => {
  const stage = await openStage()
  const job = openRunner(stage, { progress: 'true' }, { ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'request-token' })
  const { job: given } = await givenToCompanion(job)
  expect(given.secrets).toEqual(expect.arrayContaining([stage.github.token, 'request-token']))
})

test('a companion that ends before it has read its job costs the progress, and nothing else', async () => {
  const stage = await openStage()
  const job = openRunner(stage, { progress: 'true', 'github-token': '', 'secret-key': 'x'.repeat(1_000_000) })
  const companion = join(job.folder, 'progress')
  mkdirSync(companion)
  writeFileSync(join(companion, 'index.js'), 'process.exit()')
  argv[1] = join(job.folder, 'main/index.js')
  mkdirSync(join(job.folder, 'main'))
  expect(await job.run('main')).toEqual([])
  const { logFile } = JSON.parse(job.state().STATE_report!)
  await vi.waitFor(() => expect(isAlive(progressFolder(logFile).pid())).toBe(false), { timeout: 10_000 })
  await job.run('post', job.state())
  expect(stage.run.status).toBe('SUCCESS')
})

test('in a container of a job the parent of main is not the worker of the runner', () => {
  expect(findWorker('/__w/_temp')).toBe(0)
  expect(findWorker('/home/runner/work/_temp')).toBe(process.ppid)
})

test('the companion lives no longer than five days, and without a file system that can be watched it looks itself', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout'] })
  let stopped = false
  const folder = { path: '/nowhere', stopped: () => stopped }
  const first = watchEnd(folder, process.pid)
  vi.advanceTimersByTime(5 * 24 * 3_600_000 - 1)
  expect(first.ended.signal.aborted).toBe(false)
  vi.advanceTimersByTime(1)
  expect(first.ended.signal.aborted).toBe(true)
  first.close()

  vi.useFakeTimers({ toFake: ['setInterval'] })
  const second = watchEnd(folder, 0)
  stopped = true
  expect(second.ended.signal.aborted).toBe(false)
  vi.advanceTimersByTime(500)
  expect(second.ended.signal.aborted).toBe(true)
  second.close()
})

test('where there is no /proc, a process that takes signals is alive', async () => {
  vi.doMock('node:fs', async original => ({
    ...(await original<typeof import('node:fs')>()),
    readFileSync: () => {
      throw new Error('ENOENT')
    },
  }))
  vi.resetModules()
  const { isAlive } = await import('../../action/runner/processes.ts')
  expect(isAlive(process.pid)).toBe(true)
  expect(isAlive(2 ** 22 + 7)).toBe(false)
})
