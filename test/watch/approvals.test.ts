import { expect, test } from 'vitest'
import { RUN, type System, type SystemOptions, startSystem, startWithRun } from '../support/system.ts'

const APPROVED = { environment: 'production', state: 'approved', user: 'ada', comment: 'Go!' } as const
const PRODUCTION = { environment: 'production', reviewers: ['ada', 'release-team'] }

async function waiting(pending: Parameters<System['github']['awaitReview']>[1], options: SystemOptions = {}) {
  const started = await startWithRun(options, { status: 'in_progress' })
  await started.system.pass(10_000)
  started.system.github.awaitReview(started.run.id, pending)
  return started
}
const lines = (system: System) => system.port.run(RUN).logs.flatMap(log => log.message.split('\n'))
const isReview = ({ path }: { path: string }) => /pending_deployments|approvals/.test(path)
const label = (system: System) => system.port.run(RUN).statusLabel

test('Port shows the reviewers of the waiting run once, then the approver and the comment once', async () => {
  const { system, run } = await waiting([PRODUCTION])
  await system.pass(30_000)
  expect(label(system)).toBe('Waiting for approval: production')
  const wait = /^The workflow run is waiting for production \(approval by one of: ada, release-team\)\. http/
  expect(lines(system)).toContainEqual(expect.stringMatching(wait))
  system.github.review(run.id, APPROVED)
  await system.pass(60_000)
  const approvals = lines(system).filter(line => line.includes('approved'))
  expect(approvals).toEqual(['production was approved by ada: Go!'])
  expect(label(system)).toBe('Running')
  system.end(run, 'success')
  await system.pass(30_000)
  expect(system.port.run(RUN)).toMatchObject({ status: 'SUCCESS' })
})

test('Port shows a label if the run waits for a timer, and a label if it waits for several environments', async () => {
  const { system } = await waiting([{ environment: 'staging', waitTimer: 30, reviewers: [] }])
  await system.pass(30_000)
  expect(label(system)).toBe('Waiting for a timer: staging')
  expect(lines(system)).toContainEqual(expect.stringMatching(/is waiting for staging \(timer: 30 min\)\./))
  const { system: other } = await waiting([PRODUCTION, { environment: 'eu', reviewers: ['bob'] }])
  await other.pass(30_000)
  expect(label(other)).toBe('Waiting for approval: production, eu')
})

test('with GitHub webhooks, Port shows the wait and the approval immediately, and only once', async () => {
  const { system, id, run } = await waiting([])
  const review = (action: string, more: object = {}) =>
    system.githubEvent('deployment_review', {
      ...{ action, repository: { full_name: 'acme/shop' }, workflow_run: { id: run.id } },
      environment: 'production',
      reviewers: [{ type: 'User', reviewer: { login: 'ada' } }],
      ...more,
    })
  await review('requested')
  await system.send()
  expect(label(system)).toBe('Waiting for approval: production')
  await review('approved', { approver: { login: 'ada' }, comment: 'Go!' })
  await system.send()
  expect(lines(system)).toContain('production was approved by ada: Go!')
  system.github.review(run.id, APPROVED)
  await system.pass(60_000)
  expect(lines(system).filter(line => line.includes('approved'))).toHaveLength(1)
  expect((await system.delivery(id)).waitingFor).toBeNull()
})

test('the history and the log contain no user names', async () => {
  const { system, id, run } = await waiting([PRODUCTION])
  await system.pass(30_000)
  system.github.review(run.id, APPROVED)
  await system.pass(60_000)
  const kept = JSON.stringify([await system.store.history(id), system.logged])
  expect(kept).toContain('production')
  expect(kept).not.toMatch(/ada|release-team|Go!/)
})

test("Port shows that approval is pending even if GitHub's API returns the approval late and a poll result is discarded", async () => {
  const { system, id, run } = await waiting([], { runTimeout: 3_600_000 })
  system.github.setRun(run.id, { status: 'waiting' })
  await system.pass(30_000)
  expect(label(system)).not.toContain('approval')
  system.github.awaitReview(run.id, [PRODUCTION])
  const { approvals } = system.hub
  system.hub.approvals = async (...given) => {
    system.hub.approvals = approvals
    const delivery = await system.delivery(id)
    const pollAt = system.now() + 1_000
    await system.engine().apply(delivery, { type: 'runsSeen', runs: delivery.runs, pollAt })
    return approvals(...given)
  }
  await system.pass(120_000)
  expect(label(system)).toBe('Waiting for approval: production')
})

test('approvals are read every five minutes, and these requests do not delay the details of a failed run', async () => {
  const system = await startSystem({ runTimeout: 3_600_000 })
  const ids = Array.from({ length: 8 }, (_, n) => `r_A1b2C3d4E5f6G7h${n}`)
  for (const runId of ids) {
    await system.dispatch(runId)
    const run = system.run(`deploy ${runId}`, { status: 'in_progress' })
    system.github.awaitReview(run.id, [PRODUCTION])
  }
  await system.dispatch('r_Z1b2C3d4E5f6G7h8')
  const failing = system.run('deploy r_Z1b2C3d4E5f6G7h8', { status: 'in_progress' })
  await system.pass(600_000)
  for (const runId of ids) expect(system.port.run(runId).statusLabel).toBe('Waiting for approval: production')
  system.github.clearRequests()
  await system.pass(600_000)
  const asked = system.github.requests.filter(isReview).length
  // Each run is polled two or three times, with two requests each.
  expect(asked).toBeGreaterThanOrEqual(16)
  expect(asked).toBeLessThanOrEqual(48)
  system.github.setJobs(failing.id, 1, [{ name: 'build', status: 'completed', conclusion: 'failure' }])
  system.end(failing, 'failure')
  await system.pass(20_000)
  const summary = expect.stringContaining('build')
  expect(system.port.run('r_Z1b2C3d4E5f6G7h8')).toMatchObject({ status: 'FAILURE', summary })
})
