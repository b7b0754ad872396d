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

test('the delivery finishes with its run even if the relay lacks permission to read approvals', async () => {
  const { system, id, run } = await waiting([PRODUCTION])
  const body = { message: 'no' }
  system.github.fail({ match: isReview, status: 403, body, times: Number.POSITIVE_INFINITY })
  await system.pass(30_000)
  expect(label(system)).not.toMatch(/approval/)
  system.end(run, 'success')
  await system.pass(30_000)
  expect((await system.delivery(id)).state).toBe('finished')
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

const OTHER = 'on: { repository_dispatch: { types: [other] } }\n'
const MINUTE = 60_000
const WARNING =
  /^No workflow in acme\/shop listens to repository_dispatch type deploy .* The relay waits for a run until RELAY_START_TIMEOUT \(10 min\) has passed\.$/

/** Starts a system whose repository has these workflow files. */
async function start(...files: string[]): Promise<System> {
  const system = await startSystem({ startTimeout: 10 * MINUTE, runTimeout: 60 * MINUTE })
  system.workflows([])
  system.github.addRepository('acme/shop', {
    permissions: { contents: 'write', metadata: 'read', actions: 'read' },
    workflows: files.map((content, n) => ({
      ...{ path: `.github/workflows/${n}.yml`, name: `workflow ${n}`, eventTypes: [], content },
    })),
  })
  return system
}
const isContent = ({ path }: { path: string }) => path.includes('/contents/')
const reads = (system: System) => system.github.requests.filter(isContent).length
const warnings = (system: System, id = RUN) =>
  system.port.run(id).logs.filter(({ message }) => message.startsWith('No workflow in acme/shop listens'))

test('Port shows within a minute that no workflow listens, and the delivery fails after the start timeout', async () => {
  const system = await start('on: push\n', ...Array.from({ length: 10 }, (_, n) => `${OTHER}# ${n}\n`))
  const id = await system.dispatch(RUN)
  await system.pass(29_000)
  expect([reads(system), warnings(system)]).toEqual([0, []])
  await system.pass(5_000)
  expect(warnings(system)).toMatchObject([{ message: expect.stringMatching(WARNING) }])
  const { state, reason } = await system.delivery(id)
  expect([state, reason]).toEqual(['dispatched', expect.stringMatching(/^No workflow in acme\/shop listens/)])
  expect(await system.history(id)).toEqual(['dispatchAccepted', 'listenerMissing'])
  expect(reads(system)).toBe(12)
  expect(system.port.run(RUN).status).toBe('IN_PROGRESS')
  await system.pass(10 * MINUTE)
  expect((await system.delivery(id)).state).toBe('failed')
  expect(system.port.run(RUN).status).toBe('FAILURE')
  expect([reads(system), warnings(system).length]).toEqual([12, 2])
})

test('workflow files are listed at most every five minutes and read again only if they changed', async () => {
  const system = await start(OTHER, 'on: push\n')
  const ids = Array.from({ length: 4 }, (_, n) => `r_A1b2C3d4E5f6G7${n}`)
  for (const id of ids.slice(0, 3)) await system.dispatch(id)
  await system.pass(MINUTE)
  expect(reads(system)).toBe(3)
  await system.pass(5 * MINUTE)
  await system.dispatch(ids[3] as string)
  await system.pass(MINUTE)
  expect(reads(system)).toBe(4)
  for (const id of ids) expect(warnings(system, id)).toHaveLength(1)
})

test.each([
  ['the event type in a list', 'on: { repository_dispatch: { types: [other, deploy] } }'],
  ['only the event type', '"on":\n  repository_dispatch:\n    types: deploy'],
  ['all types', 'on:\n  repository_dispatch:\n  push:'],
  ['all types, as an event in a list', 'on: [push, repository_dispatch]'],
  ['all types, as the only event', 'on: repository_dispatch'],
  [
    'the event type, in a file with other keys',
    'name: x\non:\n# today\n  repository_dispatch: { types: [deploy] }\njobs: [}',
  ],
  ['events that the relay cannot parse', 'on: [repository_dispatch'],
  ['events that take minutes to parse', `on:\n${'  ? '.repeat(900)}`],
  ['events that are too long to read', `on:\n  push:\n${'# \n'.repeat(3_000)}`],
  ['events in a file that is too large to read', `on: push\n${'#'.repeat(250_000)}`],
])('no warning is shown if a workflow listens to %s', async (_, content) => {
  const system = await start(OTHER, content)
  await system.dispatch(RUN)
  await system.pass(5 * MINUTE)
  expect(warnings(system)).toEqual([])
  expect(reads(system)).toBeGreaterThan(0)
})

test.each([
  ['the relay lacks permission to read the files', 3, { status: 403 }],
  ['GitHub responds with 500', 3, { status: 500 }],
  ['there are more than 20 files', 21, null],
])('no warning is shown, and no file is read again for five minutes, if %s', async (_, amount, fault) => {
  const system = await start(...Array.from({ length: amount }, (_, n) => `${OTHER}# ${n}\n`))
  if (fault) system.github.fail({ match: isContent, times: Number.POSITIVE_INFINITY, ...fault })
  await system.dispatch(RUN)
  await system.pass(5 * MINUTE)
  expect([warnings(system), system.port.run(RUN).status]).toEqual([[], 'IN_PROGRESS'])
  expect(reads(system)).toBeLessThanOrEqual(1)
})
