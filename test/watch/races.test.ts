import { describe, expect, test } from 'vitest'
import { type ReceivedRequest, until } from '../../tools/simulator/http-server.ts'
import { RUN, START_TIMEOUT, type System, startSystem } from '../support/system.ts'

const TITLE = `deploy ${RUN}`
async function start() {
  const system = await startSystem()
  return { system, id: await system.dispatch(RUN) }
}
const isList = ({ path }: ReceivedRequest) => /\/actions\/runs\?/.test(path)

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

  test('binds only its own run, even if the poll finds another run as the only candidate', async () => {
    const { system, id } = await start()
    system.run('deploy', { status: 'in_progress' })
    await lookWhile(system, () => system.bind(id, 4242))
    expect(await system.runs(id)).toEqual([[4242, 'report']])
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

test.each([
  [-5_000, 'deploy'],
  [5_000, 'Roll out shop'],
])(
  "after a lost response, a restarted relay finds the run although GitHub's clock differs by %i ms and its title is %s",
  async (clockOffset, title) => {
    const system = await startSystem({ clockOffset })
    system.github.failures.cut({ create: true })
    const id = await system.dispatch(RUN)
    const run = system.run(title, { status: 'in_progress' })
    system.advance(20_000)
    system.restart()
    await system.pass(30_000)
    expect(system.github.dispatches).toHaveLength(1)
    expect(await system.runs(id)).toEqual([[run.id, 'candidate']])
  },
)

test('after a redelivery, a late run of the earlier dispatch does not finish the delivery', async () => {
  const { system, id } = await start()
  await system.pass(START_TIMEOUT + 30_000)
  expect(await system.delivery(id)).toMatchObject({ state: 'failed' })
  const late = system.run(TITLE)
  system.end(late, 'failure')
  await system.pass(120_000)
  await system.redeliver(id)
  const run = system.run(TITLE, { status: 'in_progress' })
  await system.webhook(late)
  await system.pass(30_000)
  expect(await system.runs(id)).toEqual([[run.id, 'title']])
  system.end(run, 'success')
  await system.pass(30_000)
  expect(await system.delivery(id)).toMatchObject({ state: 'finished' })
})

test('an accepted dispatch is not retried even if its run was bound by title to another delivery', async () => {
  const system = await startSystem()
  const [first, second] = [await system.dispatch(RUN), await system.accept('r_B1b2C3d4E5f6G7h8')]
  const { dispatch } = system.hub
  system.hub.dispatch = async (...given) => {
    const outcome = await dispatch(...given)
    const run = system.run(`Rollback of ${RUN}`, { status: 'in_progress' })
    await system.webhook(run)
    return { ...outcome, run: { id: run.id, url: '' } } as typeof outcome
  }
  await system.step()
  expect(await system.runs(first)).toEqual([[expect.any(Number), 'title']])
  expect(await system.delivery(second)).toMatchObject({ state: 'dispatched', awaitingResponseSince: null })
  await system.pass(60_000)
  expect(system.github.dispatches).toHaveLength(2)
})

test("a run with an old delivery's ID in its title is not bound to that delivery, and no dispatch is retried", async () => {
  const system = await startSystem({ runTimeout: 3_600_000 })
  const old = await system.dispatch(RUN)
  system.end(system.run(TITLE), 'success')
  await system.pass(60_000)
  expect((await system.delivery(old)).state).toBe('finished')
  system.advance(30 * 86_400_000)
  system.github.failures.cut({ create: true })
  const second = 'r_B1b2C3d4E5f6G7h8'
  await system.dispatch(second)
  const run = system.run(`Roll back ${RUN}`, { status: 'in_progress' })
  await system.pass(START_TIMEOUT + 60_000)
  expect(system.github.dispatches).toHaveLength(2)
  expect(system.port.run(second).summary ?? '').not.toMatch(/No workflow/)
  expect(run.status).toBe('in_progress')
})
