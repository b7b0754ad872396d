import { describe, expect, test } from 'vitest'
import type { GitHubRun } from '../../tools/simulator/github/github.ts'
import type { ReceivedRequest } from '../../tools/simulator/http-server.ts'
import type { PortRun } from '../../tools/simulator/port/port.ts'
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

describe.each([
  ['one organization', 'default'],
  ['two organizations', 'other'],
])('in a repository of %s', (_, organisation) => {
  test.each(['polling', 'webhooks'])(
    'each delivery gets its own run, though the title of the later one quotes the earlier one, by %s',
    async by => {
      const stage = await openStage({ startTimeout: 600_000, runTimeout: 24 * HOUR })
      const plan: { at: number; work: () => Promise<unknown> }[] = []
      const pairs: { name: string; ids: [string, string]; runs: GitHubRun[] }[] = []
      for (const gap of [0, 5_000, 40_000]) {
        for (let n = 0; n < 8; n++) {
          const [later, apart, lastEnds] = [n & 1, n & 2 ? 30_000 : 1_000, n & 4]
          const name = `${gap / 1000}s-${n}`
          const repository = `acme/${name}`
          stage.github.addRepository(repository)
          const ids: [string, string] = [`r_A1b2C3d4E5f6-${name}`, `r_B1b2C3d4E5f6-${name}`]
          const pair = { name, ids, runs: [] as GitHubRun[] }
          const titles = [`deploy ${ids[0]}`, `roll back ${ids[0]} by ${ids[1]}`]
          const show = (run: GitHubRun) => (by === 'webhooks' ? stage.webhook(run) : null)
          plan.push({ at: 0, work: () => stage.dispatch(ids[0], repository) })
          plan.push({ at: gap, work: () => stage.dispatch(ids[1], repository, organisation) })
          for (const i of [0, 1]) {
            const work = async () => {
              pair.runs[i] = stage.run(titles[i]!, { repository, status: 'in_progress' })
              await show(pair.runs[i])
            }
            plan.push({ at: gap + 2_000 + (i === later ? apart : 0), work })
            const end = async () => {
              stage.end(pair.runs[i]!, i === 0 ? 'success' : 'failure')
              await show(pair.runs[i]!)
            }
            plan.push({ at: gap + 90_000 + (i === lastEnds / 4 ? 20_000 : 0), work: end })
          }
          pairs.push(pair)
        }
      }
      const begun = stage.now()
      for (const { at, work } of plan.sort((a, b) => a.at - b.at)) {
        await stage.pass(begun + at - stage.now())
        await work()
      }
      await stage.pass(10 * 60_000)
      const shown = pairs.map(({ name, ids }) => [name, ...ids.map(id => pick(stage.port.run(id)))])
      const right = pairs.map(({ name, runs }) => [
        name,
        ...runs.map(({ id }, i) => `${i === 0 ? 'SUCCESS' : 'FAILURE'} of ${id}`),
      ])
      expect(shown.filter((each, i) => String(each) !== String(right[i]))).toEqual([])
    },
    120_000,
  )
})
const pick = ({ status, externalRunId }: PortRun) => `${status} of ${externalRunId}`

test("a title with the id of another organization's run alone decides nothing, until that organization's run is known", async () => {
  const stage = await openStage({ startTimeout: 600_000, runTimeout: 24 * HOUR })
  const id = await stage.dispatch(RUN)
  const other = await stage.dispatch('r_B1b2C3d4E5f6G7h8', 'acme/shop', 'other')
  const forged = stage.run(`roll back ${RUN}`, { status: 'in_progress' })
  await stage.webhook(forged)
  await stage.pass(20_000)
  const run = stage.run(`deploy ${RUN}`, { status: 'in_progress' })
  await stage.webhook(run)
  await stage.pass(20_000)
  expect([await stage.runs(id), await stage.runs(other)]).toEqual([[], []])
  expect(await stage.bind(other, forged.id)).toBe(true)
  await stage.webhook(run)
  expect(await stage.runs(id)).toEqual([[run.id, 'title']])
})

test("a delivery of another organization that claims the same Port run gets none of that run's workflow runs", async () => {
  const stage = await openStage({ startTimeout: 600_000, runTimeout: 24 * HOUR })
  const id = await stage.dispatch(RUN)
  const claimed = await stage.dispatch(RUN, 'acme/shop', 'other')
  const run = stage.run(`deploy ${RUN}`, { status: 'in_progress' })
  await stage.webhook(run)
  await stage.pass(60_000)
  expect([await stage.runs(id), await stage.runs(claimed)]).toEqual([[], []])
  expect(await stage.bind(id, run.id)).toBe(true)
})

test.each([
  ['with more ids than can be looked up', Array.from({ length: 25 }, (_, n) => `r_${n}`).join(' ')],
  ['that is too long to be kept', 'x'.repeat(300)],
])('a title %s decides nothing', async (_, text) => {
  const stage = await openStage({ startTimeout: 600_000, runTimeout: 24 * HOUR })
  const id = await stage.dispatch(RUN)
  const title = `roll back ${RUN} ${text} by r_B1b2C3d4E5f6G7h8`
  await stage.webhook(stage.run(title, { status: 'in_progress' }))
  await stage.pass(20_000)
  expect(await stage.runs(id)).toEqual([])
})
