import { expect, test } from 'vitest'
import type { ReceivedRequest } from '../support/http-server.ts'
import { openStage, type Stage } from '../support/stage.ts'

const RUN = 'r_A1b2C3d4E5f6G7h8'
const ALWAYS = { times: Number.POSITIVE_INFINITY }
const HOUR = 3_600_000
const isList = ({ path }: ReceivedRequest) => /\/actions\/runs\?/.test(path)
const isById = ({ path }: ReceivedRequest) => /\/actions\/runs\/\d+$/.test(path)

/** A titled run in progress, behind 600 newer ones, that a relay which has just started knows from its store. */
async function openBehind600(): Promise<{ stage: Stage; id: string; run: ReturnType<Stage['run']> }> {
  const stage = await openStage({ startTimeout: 600_000, runTimeout: 24 * HOUR })
  const id = await stage.dispatch(RUN)
  const run = stage.run(`deploy ${RUN}`, { status: 'in_progress' })
  await stage.pass(30_000)
  expect(await stage.runs(id)).toEqual([[run.id, 'title']])
  for (let n = 0; n < 600; n++) {
    if (n % 100 === 0) await stage.pass(60_000)
    stage.run('deploy', { status: 'completed', conclusion: 'success' })
  }
  stage.restart()
  stage.github.clearRequests()
  return { stage, id, run }
}

/** Counts the looks at deliveries, which a change of the due time shows. */
async function passLooks(stage: Stage, ms: number): Promise<{ byId: number; lists: number; looks: number }> {
  stage.github.clearRequests()
  const { claimWatched } = stage.store
  let looks = 0
  stage.store.claimWatched = async (...given) => {
    const claimed = await claimWatched(...given)
    looks += claimed.length
    return claimed
  }
  await stage.pass(ms)
  stage.store.claimWatched = claimWatched
  const count = (is: (request: ReceivedRequest) => boolean) => stage.github.requests.filter(is).length
  return { byId: count(isById), lists: count(isList), looks }
}

test('a titled run is followed to its end over a restart and 600 newer runs, with at most one request by id a look', async () => {
  const { stage, run } = await openBehind600()
  const { byId, lists, looks } = await passLooks(stage, 5 * 60_000)
  expect(looks).toBeGreaterThan(10)
  expect(byId).toBeLessThanOrEqual(looks)
  expect(lists).toBeLessThanOrEqual(looks)
  expect(stage.port.run(RUN).status).toBe('IN_PROGRESS')
  stage.end(run, 'success')
  await stage.pass(60_000)
  expect(stage.port.run(RUN)).toMatchObject({ status: 'SUCCESS', externalRunId: String(run.id) })
}, 90_000)

test('a titled run that was deleted after a restart ends as deleted, not as "no workflow listens"', async () => {
  const { stage, run } = await openBehind600()
  stage.github.fail({ ...ALWAYS, match: ({ path }) => path.endsWith(`/runs/${run.id}`), status: 404 })
  await stage.pass(120_000)
  expect(stage.port.run(RUN)).toMatchObject({ status: 'FAILURE', statusLabel: 'Deleted' })
})

test.each([
  ['an hour', HOUR],
  ['all the time', Number.POSITIVE_INFINITY],
])('where the list answers 502 for %s, a run that is known is read by its id', async (_, ms) => {
  const stage = await openStage({ startTimeout: 600_000, runTimeout: 24 * HOUR })
  const id = await stage.dispatch(RUN)
  const run = stage.run(`deploy ${RUN}`, { status: 'in_progress' })
  await stage.pass(30_000)
  const over = stage.github.fail({ ...ALWAYS, match: isList, status: 502, body: { message: 'Bad Gateway' } })
  stage.restart()
  await stage.pass(HOUR)
  if (Number.isFinite(ms)) over()
  stage.end(run, 'success')
  await stage.pass(180_000)
  expect((await stage.delivery(id)).state).toBe('finished')
  expect(stage.port.run(RUN).status).toBe('SUCCESS')
})

test('where the list answers 502 from the beginning, the run that Port names is read by its id', async () => {
  const stage = await openStage({ startTimeout: 600_000, runTimeout: 24 * HOUR })
  await stage.dispatch(RUN)
  stage.github.fail({ ...ALWAYS, match: isList, status: 502, body: { message: 'Bad Gateway' } })
  const run = stage.run(`deploy ${RUN}`, { status: 'in_progress' })
  stage.port.run(RUN).externalRunId = String(run.id)
  await stage.pass(10 * 60_000)
  stage.end(run, 'failure')
  await stage.pass(180_000)
  expect(stage.port.run(RUN)).toMatchObject({ status: 'FAILURE', statusLabel: 'Failed' })
})

test.each([-90_000, 90_000])(
  "GitHub's clock is %i ms from the relay's: the run is found, titled or not",
  async clockOffset => {
    for (const title of [`deploy ${RUN}`, 'deploy']) {
      const stage = await openStage({ clockOffset })
      await stage.dispatch(RUN)
      const run = stage.run(title)
      await stage.pass(20_000)
      stage.end(run, 'success')
      await stage.pass(60_000)
      expect(stage.port.run(RUN), title).toMatchObject({ status: 'SUCCESS', externalRunId: String(run.id) })
    }
  },
)

test.each([-90_000, 90_000])(
  "GitHub's clock is %i ms from the relay's: a 502 that took effect is not dispatched twice",
  async clockOffset => {
    for (const title of [`deploy ${RUN}`, 'deploy']) {
      const stage = await openStage({ clockOffset, startTimeout: 600_000 })
      stage.github.failures.serverError({ create: false, status: 502 })
      const id = await stage.accept(RUN)
      await stage.step()
      const run = stage.run(title)
      await stage.pass(120_000)
      expect(stage.github.requests.filter(({ method }) => method === 'POST')).toHaveLength(1)
      expect((await stage.runs(id)).map(([runId]) => runId)).toEqual([run.id])
    }
  },
)

test('what a webhook of GitHub says is persisted: whichever relay looks next acts on it, without asking GitHub', async () => {
  const stage = await openStage({ actions: 'none', runTimeout: 24 * HOUR })
  const id = await stage.dispatch(RUN)
  const run = stage.run(`deploy ${RUN}`, { status: 'in_progress' })
  await stage.webhook(run)
  expect(await stage.runs(id)).toEqual([[run.id, 'title']])
  await stage.pass(60_000)
  stage.end(run, 'success')
  await stage.webhook(run)
  expect(await stage.delivery(id)).toMatchObject({
    dueAt: stage.now(),
    runs: [{ status: 'completed', conclusion: 'success' }],
  })
  stage.restart()
  await stage.pass(2_000)
  expect(stage.port.run(RUN).status).toBe('SUCCESS')
})

test('a webhook that overtakes another changes nothing back', async () => {
  const stage = await openStage({ actions: 'none' })
  const id = await stage.dispatch(RUN)
  const run = stage.run(`deploy ${RUN}`, { status: 'in_progress' })
  const before = { ...run }
  stage.end(run, 'failure')
  await stage.webhook(run)
  await stage.webhook(before)
  expect((await stage.delivery(id)).runs).toMatchObject([{ status: 'completed', conclusion: 'failure' }])
})

test('a webhook about a run of another event binds nothing, though its title names the delivery', async () => {
  const stage = await openStage()
  const id = await stage.dispatch(RUN)
  await stage.webhook(stage.run(`deploy ${RUN}`, { event: 'workflow_dispatch', status: 'in_progress' }))
  expect(await stage.runs(id)).toEqual([])
})

test('the watch loads no invocation, however large it is', async () => {
  const stage = await openStage()
  await stage.dispatch(RUN)
  const [claimed] = await stage.store.claimWatched(stage.now() + 5_000, 1, 10)
  expect(claimed).toBeDefined()
  expect(claimed).not.toHaveProperty('invocation')
})
