import { Readable } from 'node:stream'
import { afterEach, expect, test, vi } from 'vitest'
import { jobFor, openFolder } from './open-companion.ts'
import { openRunner } from './open-runner.ts'
import { openStage, REPOSITORY } from './play.ts'

// Machines whose clock is set back while a job runs.

afterEach(() => {
  vi.restoreAllMocks()
})

test('the companion that waits for Port waits no longer for that', async () => {
  const stage = await openStage()
  const { logFile, folder } = openFolder()
  stage.github.createRun({ id: 16_000_000_042, repository: REPOSITORY })
  const steps = [
    { name: 'Build', number: 1, status: 'in_progress' as const, started_at: '2026-11-24T12:00:00Z' },
  ]
  stage.github.setJobs(16_000_000_042, 1, [{ id: 7, name: 'deploy', status: 'in_progress', steps }])
  const isLabel = ({ method }: { method: string }) => method === 'PATCH'
  stage.port.fail({ match: isLabel, status: 429, headers: { 'retry-after': '3' } })
  folder.open(process.pid)
  const given = Readable.from([JSON.stringify(jobFor(stage, logFile))])
  vi.spyOn(process, 'stdin', 'get').mockReturnValue(given as unknown as typeof process.stdin)
  const { now } = Date
  let back = 0
  vi.spyOn(Date, 'now').mockImplementation(() => now() - back)
  vi.resetModules()
  const following = import('../../action/progress.ts')
  await vi.waitFor(() => expect(stage.port.requests.filter(isLabel)).toHaveLength(1), 20_000)
  const asked = stage.github.requests.length
  // It has Port's answer by the time it asks GitHub again.
  await vi.waitFor(() => expect(stage.github.requests.length).toBeGreaterThan(asked), 20_000)
  back = 3_600_000
  await vi.waitFor(() => expect(stage.run.statusLabel).toBe('Build (1/1)'), 20_000)
  folder.stop()
  await following
})

test('a job that ends before it began took no time', async () => {
  const stage = await openStage()
  const job = openRunner(stage, { 'github-token': '' })
  await job.run('main')
  const state = JSON.parse(job.state().STATE_report!)
  state.startedAt += 3_600_000
  await job.run('post', { STATE_report: JSON.stringify(state) })
  expect(stage.run.logs.at(-1)!.message).toBe('✓ Job deploy: success after 0 s')
})
