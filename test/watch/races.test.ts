import { describe, expect, test } from 'vitest'
import { type ReceivedRequest, until } from '../../tools/simulator/http-server.ts'
import { openStage, START_TIMEOUT, type Stage } from '../support/stage.ts'

const RUN = 'r_A1b2C3d4E5f6G7h8'
const TITLE = `deploy ${RUN}`
const isList = ({ path }: ReceivedRequest) => /\/actions\/runs\?/.test(path)

/** Takes a look at what is due, and does `meanwhile` while GitHub answers with its list. */
async function lookWhile(stage: Stage, meanwhile: () => Promise<unknown>): Promise<void> {
  stage.advance(20_000)
  stage.github.clearRequests()
  stage.github.fail({ match: isList, delayMs: 100, takesEffect: true, times: 1 })
  const [claimed] = await stage.store.claimWatched(stage.now(), 60_000, 1)
  const look = stage.engine().watch(claimed!)
  await until(() => stage.github.requests.some(isList), 'the list is being read')
  await meanwhile()
  await look
}

describe('a report that arrives while the relay looks at the delivery', () => {
  test('keeps the run bound that the look has not seen', async () => {
    const stage = await openStage()
    const id = await stage.dispatch(RUN)
    await lookWhile(stage, async () => {
      const run = stage.run('deploy', { status: 'in_progress' })
      expect(await stage.bind(id, run.id)).toBe(true)
    })
    expect(await stage.runs(id)).toEqual([[stage.github.runs[0]!.id, 'report']])
  })

  test('stays the evidence where the look finds the run by its title', async () => {
    const stage = await openStage()
    const id = await stage.dispatch(RUN)
    const run = stage.run(TITLE, { status: 'in_progress' })
    await lookWhile(stage, () => stage.bind(id, run.id))
    expect(await stage.runs(id)).toEqual([[run.id, 'report']])
  })

  test('stays the only run where the look takes another for the only candidate', async () => {
    const stage = await openStage()
    const id = await stage.dispatch(RUN)
    stage.run('deploy', { status: 'in_progress' })
    await lookWhile(stage, () => stage.bind(id, 4242))
    expect(await stage.runs(id)).toEqual([[4242, 'report']])
  })

  test('of a re-run goes on where the look has seen the end of the attempt before', async () => {
    const stage = await openStage()
    const id = await stage.dispatch(RUN)
    const run = stage.run(TITLE, { status: 'in_progress' })
    await stage.bind(id, run.id)
    await stage.pass(10_000)
    stage.end(run, 'failure')
    stage.advance(20_000)
    const [first] = await stage.store.claimWatched(stage.now(), 60_000, 1)
    await stage.engine().watch(first!)
    await lookWhile(stage, () => stage.bind(id, run.id, 2))
    expect(await stage.delivery(id)).toMatchObject({
      state: 'running',
      runs: [{ attempt: 2, conclusion: null }],
    })
  })
})

test('a webhook that arrives while the relay looks at the delivery has it looked at again at once', async () => {
  const stage = await openStage()
  const id = await stage.dispatch(RUN)
  await lookWhile(stage, () => stage.webhook(stage.run('deploy', { status: 'in_progress' })))
  expect(await stage.delivery(id)).toMatchObject({ dueAt: stage.now() })
})

test('an answer that arrives after Port has named a run elsewhere binds the run that it names', async () => {
  const stage = await openStage()
  const id = await stage.dispatch(RUN)
  const run = stage.run('other', { event: 'workflow_dispatch', status: 'in_progress' })
  const late = { type: 'dispatchAccepted', attempt: 1, run: { id: run.id, url: '' } } as const
  await stage.engine().apply(await stage.delivery(id), late)
  expect(await stage.delivery(id)).toMatchObject({ state: 'running' })
})

test.each([-5_000, 5_000])(
  "the run of a lost answer is found by a relay that has just started, with a clock %i ms off GitHub's",
  async clockOffset => {
    const stage = await openStage({ clockOffset })
    stage.github.failures.cut({ create: true })
    const id = await stage.dispatch(RUN)
    const run = stage.run('deploy', { status: 'in_progress' })
    stage.advance(20_000)
    stage.restart()
    await stage.pass(30_000)
    expect(stage.github.dispatches).toHaveLength(1)
    expect(await stage.runs(id)).toEqual([[run.id, 'only_candidate']])
  },
)

test('the run of a dispatch before a redelivery, which appears after it failed, does not end the delivery', async () => {
  const stage = await openStage()
  const id = await stage.dispatch(RUN)
  await stage.pass(START_TIMEOUT + 30_000)
  expect(await stage.delivery(id)).toMatchObject({ state: 'failed' })
  const late = stage.run(TITLE)
  stage.end(late, 'failure')
  await stage.pass(120_000)
  await stage.redeliver(id)
  const run = stage.run(TITLE, { status: 'in_progress' })
  await stage.webhook(late)
  await stage.pass(30_000)
  expect(await stage.runs(id)).toEqual([[run.id, 'title']])
  stage.end(run, 'success')
  await stage.pass(30_000)
  expect(await stage.delivery(id)).toMatchObject({ state: 'finished' })
})

test('a dispatch that GitHub accepted is not sent again, though a title has given its run to another delivery', async () => {
  const stage = await openStage()
  const [first, second] = [await stage.dispatch(RUN), await stage.accept('r_B1b2C3d4E5f6G7h8')]
  const { dispatch } = stage.hub
  stage.hub.dispatch = async (...given) => {
    const outcome = await dispatch(...given)
    const run = stage.run(`Rollback of ${RUN}`, { status: 'in_progress' })
    await stage.webhook(run)
    return { ...outcome, run: { id: run.id, url: '' } } as typeof outcome
  }
  await stage.step()
  expect(await stage.runs(first)).toEqual([[expect.any(Number), 'title']])
  expect(await stage.delivery(second)).toMatchObject({ state: 'dispatched', unansweredSince: null })
  await stage.pass(60_000)
  expect(stage.github.dispatches).toHaveLength(2)
})

test("a run titled with a delivery of long ago is not that delivery's: the dispatch is not sent twice", async () => {
  const stage = await openStage({ runTimeout: 3_600_000 })
  const old = await stage.dispatch(RUN)
  stage.end(stage.run(TITLE), 'success')
  await stage.pass(60_000)
  expect((await stage.delivery(old)).state).toBe('finished')
  stage.advance(30 * 86_400_000)
  stage.github.failures.cut({ create: true })
  const second = 'r_B1b2C3d4E5f6G7h8'
  await stage.dispatch(second)
  const run = stage.run(`Roll back ${RUN}`, { status: 'in_progress' })
  await stage.pass(START_TIMEOUT + 60_000)
  expect(stage.github.dispatches).toHaveLength(2)
  expect(stage.port.run(second).summary ?? '').not.toMatch(/No workflow/)
  expect(run.status).toBe('in_progress')
})

test('an open delivery does not take the run of a later one that its id stands in the title of', async () => {
  const stage = await openStage({ runTimeout: 3_600_000 })
  const first = await stage.dispatch(RUN)
  const run = stage.run(TITLE, { status: 'waiting' })
  await stage.pass(START_TIMEOUT + 90_000)
  expect(await stage.runs(first)).toEqual([[run.id, 'title']])
  const second = await stage.dispatch('r_B1b2C3d4E5f6G7h8')
  const other = stage.run(`Roll back ${RUN}`, { status: 'in_progress' })
  await stage.webhook(other)
  await stage.pass(20_000)
  expect(await stage.runs(first)).toEqual([[run.id, 'title']])
  expect(await stage.bind(second, other.id)).toBe(true)
  stage.end(other, 'failure')
  stage.end(run, 'success')
  await stage.pass(60_000)
  expect(stage.port.run(RUN).status).toBe('SUCCESS')
})

test("GitHub's limit is recorded though the database fails for a moment before", async () => {
  const stage = await openStage()
  const { returnPermits } = stage.store
  stage.store.returnPermits = async () => {
    stage.store.returnPermits = returnPermits
    throw new Error('PostgreSQL: terminating connection due to administrator command')
  }
  stage.github.failures.tooMany(60)
  const id = await stage.dispatch(RUN)
  expect(await stage.delivery(id)).toMatchObject({ state: 'queued', unansweredSince: null })
  expect(await stage.history(id)).toContain('dispatchDeferred')
})
