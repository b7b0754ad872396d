import { expect, test } from 'vitest'
import { openStage, type Stage } from '../support/stage.ts'

const RUN = 'r_A1b2C3d4E5f6G7h8'
const PRODUCTION = { environment: 'production', reviewers: ['ada', 'release-team'] }

async function waiting(stage: Stage, pending: Parameters<Stage['github']['awaitReview']>[1]) {
  const id = await stage.dispatch(RUN)
  const run = stage.run(`deploy ${RUN}`, { status: 'in_progress' })
  await stage.pass(10_000)
  stage.github.awaitReview(run.id, pending)
  return { id, run }
}
const lines = (stage: Stage) => stage.port.run(RUN).logs.flatMap(log => log.message.split('\n'))
const label = (stage: Stage) => stage.port.run(RUN).statusLabel

test('Port shows whom a run waits for, then who approved and what they wrote, once', async () => {
  const stage = await openStage()
  const { run } = await waiting(stage, [PRODUCTION])
  await stage.pass(30_000)
  expect(label(stage)).toBe('Waiting for approval: production')
  expect(lines(stage)).toContainEqual(
    expect.stringMatching(
      /^The workflow run waits for production: one of ada, release-team has to approve\. http/,
    ),
  )
  stage.github.review(run.id, { environment: 'production', state: 'approved', user: 'ada', comment: 'Go!' })
  await stage.pass(60_000)
  expect(lines(stage).filter(line => line.includes('approved'))).toEqual([
    'production was approved by ada: Go!',
  ])
  expect(label(stage)).toBe('Running')
  stage.end(run, 'success')
  await stage.pass(30_000)
  expect(stage.port.run(RUN)).toMatchObject({ status: 'SUCCESS' })
})

test('a rejection is shown before the end of the run', async () => {
  const stage = await openStage()
  const { run } = await waiting(stage, [PRODUCTION])
  await stage.pass(30_000)
  stage.github.review(run.id, {
    environment: 'production',
    state: 'rejected',
    user: 'ada',
    comment: 'Not today',
  })
  stage.end(run, 'failure')
  await stage.pass(60_000)
  const all = lines(stage)
  const rejected = all.indexOf('production was rejected by ada: Not today')
  expect(rejected).toBeGreaterThan(-1)
  expect(stage.port.run(RUN)).toMatchObject({ status: 'FAILURE' })
  expect(all.slice(rejected + 1).length).toBeGreaterThan(0)
})

test('a timer and several environments are named', async () => {
  const stage = await openStage()
  await waiting(stage, [{ environment: 'staging', waitTimer: 30, reviewers: [] }])
  await stage.pass(30_000)
  expect(label(stage)).toBe('Waiting for a timer: staging')
  expect(lines(stage)).toContainEqual(expect.stringMatching(/waits for staging, for 30 min\./))
  const other = await openStage()
  await waiting(other, [PRODUCTION, { environment: 'eu', reviewers: ['bob'] }])
  await other.pass(30_000)
  expect(label(other)).toBe('Waiting for approval: production, eu')
})

test("GitHub's webhooks show both at once, and the next look repeats nothing", async () => {
  const stage = await openStage()
  const { id, run } = await waiting(stage, [])
  const review = (action: string, more: object = {}) =>
    stage.githubEvent('deployment_review', {
      ...{ action, repository: { full_name: 'acme/shop' }, workflow_run: { id: run.id } },
      environment: 'production',
      reviewers: [{ type: 'User', reviewer: { login: 'ada' } }],
      ...more,
    })
  await review('requested')
  await stage.send()
  expect(label(stage)).toBe('Waiting for approval: production')
  await review('approved', { approver: { login: 'ada' }, comment: 'Go!' })
  await stage.send()
  expect(lines(stage)).toContain('production was approved by ada: Go!')
  stage.github.review(run.id, { environment: 'production', state: 'approved', user: 'ada', comment: 'Go!' })
  await stage.pass(60_000)
  expect(lines(stage).filter(line => line.includes('approved'))).toHaveLength(1)
  expect((await stage.delivery(id)).waitingFor).toBeNull()
})

test('neither the history nor the log names people', async () => {
  const stage = await openStage()
  const { id, run } = await waiting(stage, [PRODUCTION])
  await stage.pass(30_000)
  stage.github.review(run.id, { environment: 'production', state: 'approved', user: 'ada', comment: 'Go!' })
  await stage.pass(60_000)
  const kept = JSON.stringify([await stage.store.history(id), stage.logged])
  expect(kept).toContain('production')
  expect(kept).not.toMatch(/ada|release-team|Go!/)
})

test('without the permission to read it, the run is followed as before', async () => {
  const stage = await openStage()
  const { id, run } = await waiting(stage, [PRODUCTION])
  const isReview = ({ path }: { path: string }) => /pending_deployments|approvals/.test(path)
  stage.github.fail({
    match: isReview,
    status: 403,
    body: { message: 'no' },
    times: Number.POSITIVE_INFINITY,
  })
  await stage.pass(30_000)
  expect(label(stage)).not.toMatch(/approval/)
  stage.end(run, 'success')
  await stage.pass(30_000)
  expect((await stage.delivery(id)).state).toBe('finished')
})

test('what GitHub shows late, or a look that lost to another change, keeps no approval from Port', async () => {
  const stage = await openStage({ runTimeout: 3_600_000 })
  const { id, run } = await waiting(stage, [])
  stage.github.setRun(run.id, { status: 'waiting' })
  await stage.pass(30_000)
  expect(label(stage)).not.toContain('approval')
  stage.github.awaitReview(run.id, [PRODUCTION])
  const { approvals } = stage.hub
  stage.hub.approvals = async (...given) => {
    stage.hub.approvals = approvals
    await stage.engine().apply(await stage.delivery(id), {
      type: 'runsSeen',
      runs: (await stage.delivery(id)).runs,
      lookAt: stage.now() + 1_000,
    })
    return approvals(...given)
  }
  await stage.pass(120_000)
  expect(label(stage)).toBe('Waiting for approval: production')
})

test('runs that wait for approval are asked about every five minutes, and keep no failed run from its details', async () => {
  const stage = await openStage({ runTimeout: 3_600_000 })
  const ids = Array.from({ length: 8 }, (_, n) => `r_A1b2C3d4E5f6G7h${n}`)
  for (const runId of ids) {
    await stage.dispatch(runId)
    const run = stage.run(`deploy ${runId}`, { status: 'in_progress' })
    stage.github.awaitReview(run.id, [PRODUCTION])
  }
  await stage.dispatch('r_Z1b2C3d4E5f6G7h8')
  const failing = stage.run('deploy r_Z1b2C3d4E5f6G7h8', { status: 'in_progress' })
  await stage.pass(600_000)
  for (const runId of ids) expect(stage.port.run(runId).statusLabel).toBe('Waiting for approval: production')
  stage.github.clearRequests()
  await stage.pass(600_000)
  const asked = stage.github.requests.filter(({ path }) => /pending_deployments|approvals/.test(path)).length
  // Two requests for each, twice or three times.
  expect(asked).toBeGreaterThanOrEqual(16)
  expect(asked).toBeLessThanOrEqual(48)
  stage.github.setJobs(failing.id, 1, [{ name: 'build', status: 'completed', conclusion: 'failure' }])
  stage.end(failing, 'failure')
  await stage.pass(20_000)
  expect(stage.port.run('r_Z1b2C3d4E5f6G7h8')).toMatchObject({ status: 'FAILURE' })
  expect(stage.port.run('r_Z1b2C3d4E5f6G7h8').summary).toContain('build')
})
