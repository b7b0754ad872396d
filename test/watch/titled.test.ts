import { describe, expect, test } from 'vitest'
import type { GitHubRun } from '../../simulator/github/github.ts'
import { type ReceivedRequest, until } from '../../simulator/http-server.ts'
import { RUN, type System, startSystem, startWithRun } from '../support/system.ts'

const ALWAYS = { times: Number.POSITIVE_INFINITY }
const HOUR = 3_600_000
const RUNNING = { status: 'in_progress' } as const
const LONG = { startTimeout: 600_000, runTimeout: 24 * HOUR }
const isList = ({ path }: ReceivedRequest) => /\/actions\/runs\?/.test(path)

test('after a restart, a bound run behind 600 newer runs is polled with at most one request by ID per poll', async () => {
  const { system, id, run } = await startWithRun(LONG, RUNNING)
  await system.pass(30_000)
  expect(await system.runs(id)).toEqual([[run.id, 'title']])
  await system.pass(60_000)
  for (let n = 0; n < 600; n++) system.run('deploy', { status: 'completed', conclusion: 'success' })
  system.restart()
  system.github.clearRequests()
  const { claimPolls } = system.store
  let polls = 0
  system.store.claimPolls = async (...given) => {
    const claimed = await claimPolls(...given)
    polls += claimed.length
    return claimed
  }
  await system.pass(5 * 60_000)
  expect(polls).toBeGreaterThan(10)
  const byId = system.github.requests.filter(({ path }) => /\/actions\/runs\/\d+$/.test(path))
  expect(byId.length).toBeLessThanOrEqual(polls)
  expect(system.github.requests.filter(isList).length).toBeLessThanOrEqual(polls)
  expect(system.port.run(RUN).status).toBe('IN_PROGRESS')
  system.end(run, 'success')
  await system.pass(60_000)
  expect(system.port.run(RUN)).toMatchObject({ status: 'SUCCESS', externalRunId: String(run.id) })
})

test.each(['that is bound', 'that Port names'])(
  'if list requests get 502, the relay reads a run %s by its ID',
  async how => {
    const { system, run } = await startWithRun(LONG, RUNNING)
    if (how === 'that is bound') await system.pass(30_000)
    else system.port.run(RUN).externalRunId = String(run.id)
    system.github.fail({ ...ALWAYS, match: isList, status: 502, body: { message: 'Bad Gateway' } })
    system.restart()
    await system.pass(HOUR)
    system.end(run, 'success')
    await system.pass(180_000)
    expect(system.port.run(RUN).status).toBe('SUCCESS')
  },
)

test('persists the result from a GitHub webhook, so a restarted relay needs no request to GitHub', async () => {
  const { system, id, run } = await startWithRun({ actions: 'none', runTimeout: 24 * HOUR }, RUNNING)
  await system.webhook(run)
  expect(await system.runs(id)).toEqual([[run.id, 'title']])
  await system.pass(60_000)
  system.end(run, 'success')
  await system.webhook(run)
  const runs = [{ status: 'completed', conclusion: 'success' }]
  expect(await system.delivery(id)).toMatchObject({ dueAt: system.now(), runs })
  system.restart()
  await system.pass(2_000)
  expect(system.port.run(RUN).status).toBe('SUCCESS')
})

test('a GitHub webhook that arrives out of order does not revert a newer status', async () => {
  const { system, id, run } = await startWithRun({ actions: 'none' }, RUNNING)
  const before = { ...run }
  system.end(run, 'failure')
  await system.webhook(run)
  await system.webhook(before)
  expect((await system.delivery(id)).runs).toMatchObject([{ status: 'completed', conclusion: 'failure' }])
})

test.each(['polling', 'webhooks'])(
  "by %s, each delivery is bound to its own run, even if a later run's title quotes an earlier Port run ID",
  async by => {
    const system = await startSystem(LONG)
    const show = (run: GitHubRun) => (by === 'webhooks' ? system.webhook(run) : null)
    const shown: string[] = []
    const expected: string[] = []
    // Which run starts first, and how long after the first delivery the second one follows.
    for (const [n, [first, gap]] of [
      [0, 0],
      [1, 0],
      [0, 40_000],
      [1, 40_000],
    ].entries()) {
      const repository = `acme/shop-${n}`
      system.github.addRepository(repository)
      const ids = [`r_A1b2C3d4E5f6-${n}`, `r_B1b2C3d4E5f6-${n}`]
      const titles = [`deploy ${ids[0]}`, `roll back ${ids[0]} by ${ids[1]}`]
      await system.dispatch(ids[0]!, repository)
      await system.pass(gap!)
      await system.dispatch(ids[1]!, repository)
      const runs: GitHubRun[] = []
      for (const i of [first!, 1 - first!]) {
        await system.pass(10_000)
        runs[i] = system.run(titles[i]!, { repository, status: 'in_progress' })
        await show(runs[i])
      }
      await system.pass(60_000)
      for (const [i, run] of runs.entries()) {
        system.end(run, i === 0 ? 'success' : 'failure')
        await show(run)
        expected.push(`${i === 0 ? 'SUCCESS' : 'FAILURE'} of ${run.id}`)
      }
      await system.pass(120_000)
      shown.push(...ids.map(id => system.port.run(id)).map(run => `${run.status} of ${run.externalRunId}`))
    }
    expect(shown).toEqual(expected)
  },
)

test.each([
  ['with more IDs than the relay looks up', Array.from({ length: 25 }, (_, n) => `r_${n}`).join(' ')],
  ['that is longer than the relay stores', 'x'.repeat(300)],
])('a run title %s binds nothing', async (_, text) => {
  const system = await startSystem(LONG)
  const id = await system.dispatch(RUN)
  const title = `roll back ${RUN} ${text} by r_B1b2C3d4E5f6G7h8`
  await system.webhook(system.run(title, RUNNING))
  await system.pass(20_000)
  expect(await system.runs(id)).toEqual([])
})

const TITLE = `deploy ${RUN}`
async function start() {
  const system = await startSystem()
  return { system, id: await system.dispatch(RUN) }
}

/** Polls due deliveries, and runs `meanwhile` before GitHub's response with the list of runs arrives. */
async function lookWhile(system: System, meanwhile: () => Promise<unknown>): Promise<void> {
  system.advance(20_000)
  system.github.clearRequests()
  system.github.fail({ match: isList, delayMs: 100, takesEffect: true, times: 1 })
  const [claimed] = await system.store.claimPolls(system.now(), 60_000, 1)
  const poll = system.engine().poll(claimed!)
  await until(() => system.github.requests.some(isList), 'the relay requests the list')
  await meanwhile()
  await poll
}

describe('a report that arrives while the relay polls the delivery', () => {
  test('binds its run even if the poll has not seen that run', async () => {
    const { system, id } = await start()
    await lookWhile(system, async () => {
      const run = system.run('deploy', { status: 'in_progress' })
      expect(await system.bind(id, run.id)).toBe(true)
    })
    expect(await system.runs(id)).toEqual([[system.github.runs[0]!.id, 'report']])
  })

  test('from a re-run keeps the delivery running even if the poll found that the previous attempt has finished', async () => {
    const { system, id } = await start()
    const run = system.run(TITLE, { status: 'in_progress' })
    await system.bind(id, run.id)
    await system.pass(10_000)
    system.end(run, 'failure')
    system.advance(20_000)
    const [first] = await system.store.claimPolls(system.now(), 60_000, 1)
    await system.engine().poll(first!)
    await lookWhile(system, () => system.bind(id, run.id, 2))
    const runs = [{ attempt: 2, conclusion: null }]
    expect(await system.delivery(id)).toMatchObject({ state: 'running', runs })
  })
})

test('a webhook that arrives during a poll triggers another poll immediately', async () => {
  const { system, id } = await start()
  await lookWhile(system, () => system.webhook(system.run('deploy', { status: 'in_progress' })))
  expect(await system.delivery(id)).toMatchObject({ dueAt: system.now() })
})

test.each([-5_000, 5_000])(
  "after a lost response, a restarted relay finds the run although GitHub's clock differs by %i ms",
  async clockOffset => {
    const system = await startSystem({ clockOffset })
    system.github.failures.cut({ create: true })
    const id = await system.dispatch(RUN)
    const run = system.run('deploy', { status: 'in_progress' })
    system.advance(20_000)
    system.restart()
    await system.pass(30_000)
    expect(system.github.dispatches).toHaveLength(1)
    expect(await system.runs(id)).toEqual([[run.id, 'candidate']])
  },
)
