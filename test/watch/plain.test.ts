import { expect, test } from 'vitest'
import { openStage, RUN_TIMEOUT, START_TIMEOUT, type Stage } from './stage.ts'

const IDS = ['r_A1b2C3d4E5f6G7h8', 'r_B1b2C3d4E5f6G7h8', 'r_C1b2C3d4E5f6G7h8'] as const
const statuses = (stage: Stage, ids: readonly string[] = IDS) => ids.map(id => stage.port.run(id).status)

test('without a run-name, the oldest run belongs to the oldest delivery', async () => {
  const stage = await openStage()
  const ids: string[] = []
  const runs = []
  for (const id of IDS) {
    ids.push(await stage.dispatch(id))
    await stage.pass(1_000)
    runs.push(stage.run('deploy'))
    await stage.pass(20_000)
  }
  const [first, second, third] = runs
  stage.end(third!, 'success')
  stage.end(second!, 'failure')
  stage.end(first!, 'success')
  await stage.pass(30_000)
  expect(statuses(stage)).toEqual(['SUCCESS', 'FAILURE', 'SUCCESS'])
  // A title is not the action's word: none is bound.
  for (const id of ids) expect((await stage.delivery(id)).githubRunId).toBeNull()
})

test('all end well, however their ends are seen: none is told that nothing listens', async () => {
  const stage = await openStage()
  await stage.dispatch(IDS[0])
  const first = stage.run('deploy')
  await stage.pass(20_000)
  await stage.dispatch(IDS[1])
  await stage.pass(1_000)
  const second = stage.run('deploy')
  await stage.pass(20_000)
  stage.end(second, 'success')
  await stage.pass(5_000)
  stage.end(first, 'success')
  await stage.pass(RUN_TIMEOUT)
  expect(statuses(stage, IDS.slice(0, 2))).toEqual(['SUCCESS', 'SUCCESS'])
})

test('where one delivery found nobody, the run of the next one is not taken for its', async () => {
  const stage = await openStage()
  await stage.dispatch(IDS[0])
  await stage.pass(20_000)
  await stage.dispatch(IDS[1])
  await stage.pass(1_000)
  const run = stage.run('deploy')
  await stage.pass(5_000)
  stage.end(run, 'success')
  await stage.pass(START_TIMEOUT)
  await stage.dispatch(IDS[2])
  stage.end(stage.run('deploy'), 'success')
  await stage.pass(START_TIMEOUT)
  expect(statuses(stage)).toEqual(['FAILURE', 'SUCCESS', 'SUCCESS'])
  expect(stage.port.run(IDS[0]).summary).toMatch(/^A workflow run began in acme\/shop after/)
})

test('of two workflows that listen, the one that fails decides', async () => {
  const stage = await openStage()
  await stage.dispatch(IDS[0])
  const [deploy, lint] = [stage.run('deploy', { workflowId: 1 }), stage.run('deploy', { workflowId: 2 })]
  await stage.pass(10_000)
  stage.end(deploy, 'success')
  stage.end(lint, 'failure')
  await stage.pass(30_000)
  expect(stage.port.run(IDS[0])).toMatchObject({ status: 'FAILURE', statusLabel: 'Failed' })
})

test('a run that was made long after the start time-out is not waited for', async () => {
  const stage = await openStage()
  const id = await stage.dispatch(IDS[0])
  await stage.pass(20_000)
  let nightly = stage.run('nightly 0', { status: 'in_progress' })
  for (let i = 1; i < 5; i++) {
    await stage.pass(30_000)
    const next = stage.run(`nightly ${i}`, { status: 'in_progress' })
    stage.end(nightly, 'success')
    nightly = next
  }
  expect(await stage.delivery(id)).toMatchObject({
    state: 'failed',
    reason: expect.stringMatching(/^2 workflow runs began in acme\/shop after/),
  })
})

test('a title that only begins like the id of a run in Port names nothing known', async () => {
  for (const title of ['run_deployment_of_prod', 'run_deployment']) {
    const stage = await openStage()
    await stage.dispatch(IDS[0])
    stage.run(title, { status: 'in_progress' })
    await stage.pass(START_TIMEOUT + 30_000)
    expect(stage.port.run(IDS[0]).status).toBe('IN_PROGRESS')
  }
})

test("a title with another run's id says that the run is another's", async () => {
  const stage = await openStage()
  await stage.dispatch(IDS[0])
  stage.run(`deploy ${IDS[1]}`, { status: 'in_progress' })
  await stage.pass(START_TIMEOUT + 30_000)
  expect(stage.port.run(IDS[0]).summary).toMatch(/^No workflow in acme\/shop listens/)
})
