import { expect, test } from 'vitest'
import { NO_RUNNER_MS } from '../../relay/delivery/delivery.ts'
import { toShown } from '../../relay/delivery/shown-wait.ts'
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

test('Port shows the reviewers of the waiting run once, then the approver and the comment once; history and log contain no user names', async () => {
  const { system, id, run } = await waiting([PRODUCTION], { runTimeout: 3_600_000 })
  await system.pass(30_000)
  expect(label(system)).toBe('Waiting for approval: production')
  const wait = /^The workflow run is waiting for production \(approval by one of: ada, release-team\)\. http/
  expect(lines(system)).toContainEqual(expect.stringMatching(wait))
  system.github.clearRequests()
  await system.pass(900_000)
  // Approvals are read every five minutes, with two requests each.
  expect(system.github.requests.filter(isReview).length).toBeLessThanOrEqual(8)
  system.github.review(run.id, APPROVED)
  system.github.setRun(run.id, { status: 'in_progress' })
  await system.pass(60_000)
  const approvals = lines(system).filter(line => line.includes('approved'))
  expect(approvals).toEqual(['production was approved by ada: Go!'])
  expect(label(system)).toBe('Running')
  const kept = JSON.stringify([await system.store.history(id), system.logged])
  expect(kept).toContain('production')
  expect(kept).not.toMatch(/ada|release-team|Go!/)
})

test('after a wait for a runner with at most 300 characters of labels, Port shows the wait for an approval', async () => {
  const { system, run } = await startWithRun({}, { status: 'queued' })
  const labels = Array.from({ length: 99 }, (_, n) => `label-${n}`)
  system.github.setJobs(run.id, 1, [{ name: 'train', status: 'queued', runner_name: null, labels }])
  await system.pass(60_000)
  expect(label(system)).toMatch(/^Waiting for a runner: label-0, .{280,290}…/)
  system.github.awaitReview(run.id, [PRODUCTION])
  await system.pass(60_000)
  expect(label(system)).toBe('Waiting for approval: production')
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

const OTHER = 'on: { repository_dispatch: { types: [other] } }\n'
const MINUTE = 60_000
const WARNING =
  /^No workflow in acme\/shop listens to repository_dispatch type deploy .* The relay waits for a workflow run until RELAY_START_TIMEOUT \(10 min\) has passed\.$/

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
  const [id, other] = [await system.dispatch(RUN), 'r_B1b2C3d4E5f6G7h8']
  await system.dispatch(other)
  await system.pass(29_000)
  expect([reads(system), warnings(system)]).toEqual([0, []])
  await system.pass(5_000)
  for (const each of [RUN, other])
    expect(warnings(system, each)).toMatchObject([{ message: expect.stringMatching(WARNING) }])
  expect(await system.delivery(id)).toMatchObject({ state: 'dispatched' })
  expect(await system.history(id)).toEqual(['dispatchAccepted', 'listenerMissing'])
  await system.pass(10 * MINUTE)
  expect((await system.delivery(id)).state).toBe('failed')
  expect(system.port.run(RUN).status).toBe('FAILURE')
  // One request for each list, and one for each file: a file is read again only if it changed.
  expect([reads(system), warnings(system).length]).toEqual([13, 2])
})

test('if the only workflow that listens is disabled, Port and the dashboard name it', async () => {
  const system = await start(OTHER)
  system.workflows([{ name: 'a', state: 'disabled_manually' }])
  const id = await system.dispatch(RUN)
  await system.pass(35_000)
  const reason =
    'Workflow a.yml in acme/shop listens to repository_dispatch type deploy, but is disabled: enable it on GitHub (Actions, the workflow, Enable workflow).'
  expect((await system.delivery(id)).reason).toBe(reason)
  await system.pass(10 * MINUTE)
  expect(system.port.run(RUN)).toMatchObject({ status: 'FAILURE', summary: reason })
})

test.each([
  ['the event type in a list', 'on: { repository_dispatch: { types: [other, deploy] } }'],
  ['only the event type', '"on":\n  repository_dispatch:\n    types: deploy'],
  ['all types', 'on:\n  repository_dispatch:\n  push:'],
  ['all types, as an event in a list', 'on: [push, repository_dispatch]'],
  ['all types, as the only event', 'on: repository_dispatch'],
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
  ['GitHub responds with 403', 3, { status: 403 }],
  ['there are more than 20 files', 21, null],
])('no warning is shown, and no file is read again for five minutes, if %s', async (_, amount, fault) => {
  const system = await start(...Array.from({ length: amount }, (_, n) => `${OTHER}# ${n}\n`))
  if (fault) system.github.fail({ match: isContent, times: Number.POSITIVE_INFINITY, ...fault })
  await system.dispatch(RUN)
  await system.pass(5 * MINUTE)
  expect([warnings(system), system.port.run(RUN).status]).toEqual([[], 'IN_PROGRESS'])
  expect(reads(system)).toBeLessThanOrEqual(1)
})

test('Port shows why GitHub refuses to show whether a workflow run has started, until GitHub no longer refuses', async () => {
  const system = await startSystem({ startTimeout: 1_800_000, runTimeout: 3_600_000 })
  const refusal = { status: 404, body: { message: 'Not Found' }, times: 99 }
  const heal = system.github.fail({ ...refusal, match: ({ path }) => path.includes('/actions/runs') })
  const id = await system.dispatch(RUN)
  system.run(`deploy ${RUN}`, { status: 'in_progress' })
  const shown = async () => toShown(await system.delivery(id), null, new Map(), system.now()).waits
  await system.pass(180_000)
  const hidden = "GitHub doesn't show the workflow run"
  expect([label(system), await shown()]).toEqual([hidden, expect.stringMatching(/: the .* Actions: read/)])
  expect((await system.history(id)).filter(type => type === 'waitingNotified')).toHaveLength(1)
  heal()
  await system.pass(310_000)
  expect([label(system), await shown()]).toEqual(['Running', null])
})

test('Port shows if a workflow run waits for a runner or in a concurrency group, or is hidden, until the run continues', async () => {
  const { system, id, run } = await startWithRun({ runTimeout: 3_600_000 }, { status: 'queued' })
  const shown = async () => toShown(await system.delivery(id), null, new Map(), system.now()).waits
  const gpu = { name: 'train', status: 'queued' as const, runner_name: null, labels: ['self-hosted', 'gpu'] }
  system.github.setJobs(run.id, 1, [gpu])
  await system.pass(25_000)
  expect(label(system)).not.toContain('runner')
  await system.pass(30_000)
  expect([label(system), await shown()]).toEqual(Array(2).fill('Waiting for a runner: self-hosted, gpu'))
  const unserved = async () =>
    (await system.store.withoutRunner(system.now() + NO_RUNNER_MS)).map(each => each.id)
  expect(await unserved()).toEqual([id])
  const match = ({ path }: { path: string }) => path.includes('/actions/runs')
  const heal = system.github.fail({ match, status: 404, body: { message: 'Not Found' }, times: 99 })
  await system.pass(180_000)
  const hidden = "GitHub doesn't show the workflow run"
  const clause = `${hidden}: the relay's token or App lacks Actions: read on acme/shop (404: Not Found)`
  expect([label(system), await shown(), await unserved()]).toEqual([hidden, clause, []])
  heal()
  system.github.setRun(run.id, { status: 'pending' })
  system.github.setConcurrencyGroup('deploy/production', [77, run.id])
  system.github.setJobs(run.id, 1, [{ ...gpu, status: 'pending' }])
  await system.pass(400_000)
  const behind = `Waiting in its concurrency group behind ${system.github.serverUrl}/acme/shop/actions/runs/77`
  expect([label(system), await shown()]).toEqual(['Waiting in its concurrency group', behind])
  expect(await unserved()).toEqual([])
  system.github.setRun(run.id, { status: 'in_progress' })
  await system.pass(30_000)
  expect(label(system)).toBe('Running')
  expect(lines(system).filter(line => line.includes('Waiting'))).toEqual([
    expect.stringMatching(/^Waiting for a runner with the labels self-hosted, gpu: GitHub has queued .*\./),
    expect.stringContaining(`${behind}: another workflow run of the group is in progress`),
  ])
  expect(await shown()).toBeNull()
  const isRead = ({ path }: { path: string }) => /\/(jobs|concurrency_groups)\b/.test(path)
  expect(system.github.requests.filter(isRead)).toHaveLength(3)
})
