import { describe, expect, test } from 'vitest'
import { openStage, START_TIMEOUT, type Stage } from '../support/stage.ts'

const RUN = 'r_A1b2C3d4E5f6G7h8'
const TITLE = `deploy ${RUN}`

const open = () => openStage({ actions: 'write' })
const cancel = async (stage: Stage, id: string, by: 'port' | 'api' = 'api') =>
  (await stage.engine().apply(await stage.delivery(id), { type: 'cancelRequested', by })).outcome
const asked = (stage: Stage) =>
  stage.github.requests.filter(({ path }) => /cancel$/.test(path)).map(({ path }) => path.split('/').at(-1))

/** A delivery whose titled run is in progress. */
async function running(stage: Stage) {
  const id = await stage.dispatch(RUN)
  const run = stage.run(TITLE, { status: 'in_progress' })
  await stage.pass(10_000)
  expect(await stage.delivery(id)).toMatchObject({ state: 'running' })
  return { id, run }
}

describe('a cancelled delivery', () => {
  test('that is queued is never dispatched, and its run in Port ends', async () => {
    const stage = await open()
    const id = await stage.accept(RUN)
    expect(await cancel(stage, id)).toBe('applied')
    await stage.pass(5_000)
    expect(stage.github.dispatches).toEqual([])
    expect(await stage.delivery(id)).toMatchObject({ state: 'cancelled', dueAt: null })
    expect(stage.port.run(RUN)).toMatchObject({ status: 'FAILURE', statusLabel: 'Cancelled' })
  })

  test('that is queued and ended in Port by a person keeps that end', async () => {
    const stage = await open()
    const id = await stage.accept(RUN)
    stage.port.endRun(RUN, 'SUCCESS')
    await cancel(stage, id, 'port')
    await stage.pass(5_000)
    expect(await stage.delivery(id)).toMatchObject({ state: 'cancelled' })
    expect(stage.port.run(RUN)).toMatchObject({ status: 'SUCCESS' })
  })

  test.each(['port', 'api'] as const)('that is running is cancelled on GitHub once, by %s', async by => {
    const stage = await open()
    const { id } = await running(stage)
    await cancel(stage, id, by)
    expect(await cancel(stage, id, by)).toBe('ignored')
    await stage.pass(60_000)
    expect(asked(stage)).toEqual(['cancel'])
    expect(await stage.delivery(id)).toMatchObject({ state: 'cancelled' })
    expect(stage.port.run(RUN)).toMatchObject({ status: 'FAILURE', statusLabel: 'Cancelled' })
    const types = await stage.history(id)
    expect(types).toEqual(
      expect.arrayContaining(['dispatchAccepted', 'runBound', 'cancelRequested', 'cancelSent', 'runEnded']),
    )
  })

  test('whose run does not end is cancelled by force after two minutes, once', async () => {
    const stage = await open()
    const { id, run } = await running(stage)
    stage.github.setUnstoppable(run.id)
    await cancel(stage, id)
    await stage.pass(110_000)
    expect(asked(stage)).toEqual(['cancel'])
    await stage.pass(60_000)
    expect(asked(stage)).toEqual(['cancel', 'force-cancel'])
    expect(await stage.delivery(id)).toMatchObject({ state: 'cancelled' })
  })

  test('that is dispatched and has no run yet is cancelled when its run is known', async () => {
    const stage = await open()
    const id = await stage.dispatch(RUN)
    await cancel(stage, id)
    await stage.pass(10_000)
    expect(asked(stage)).toEqual([])
    stage.run(TITLE, { status: 'queued' })
    await stage.pass(30_000)
    expect(asked(stage)).toEqual(['cancel'])
    expect(await stage.delivery(id)).toMatchObject({ state: 'cancelled' })
  })

  test('that is dispatched and starts nothing ends as cancelled', async () => {
    const stage = await open()
    const id = await stage.dispatch(RUN)
    await cancel(stage, id)
    await stage.pass(START_TIMEOUT + 60_000)
    expect(await stage.delivery(id)).toMatchObject({ state: 'cancelled' })
    expect(stage.port.run(RUN)).toMatchObject({ statusLabel: 'Cancelled' })
  })

  test('whose run ends with success before it is cancelled has succeeded', async () => {
    const stage = await open()
    const { id, run } = await running(stage)
    stage.end(run, 'success')
    await cancel(stage, id)
    await stage.pass(30_000)
    expect(stage.github.cancellations).toEqual([])
    expect(await stage.delivery(id)).toMatchObject({ state: 'finished' })
    expect(stage.port.run(RUN)).toMatchObject({ status: 'SUCCESS' })
  })

  test('that has ended stays as it is', async () => {
    const stage = await open()
    const { id, run } = await running(stage)
    stage.end(run, 'success')
    await stage.pass(30_000)
    expect(await cancel(stage, id)).toBe('ignored')
    expect(await stage.delivery(id)).toMatchObject({ state: 'finished', cancelRequestedAt: null })
  })

  test('while its dispatch is under way is cancelled once its run is known', async () => {
    const stage = await open()
    const id = await stage.accept(RUN)
    const end = stage.github.onDispatch(() => cancel(stage, id))
    stage.github.fail({ match: ({ path }) => path.endsWith('/dispatches'), delayMs: 50, times: 1 })
    await stage.step()
    end()
    stage.run(TITLE, { status: 'in_progress' })
    await stage.pass(40_000)
    expect(stage.github.dispatches).toHaveLength(1)
    expect(asked(stage)).toEqual(['cancel'])
    expect(await stage.delivery(id)).toMatchObject({ state: 'cancelled' })
  })

  test('whose dispatch was not answered is not dispatched again', async () => {
    const stage = await open()
    const id = await stage.accept(RUN)
    stage.github.failures.serverError({ create: false, times: 1 })
    await stage.step()
    await cancel(stage, id)
    await stage.pass(60_000)
    expect(stage.github.requests.filter(({ path }) => path.endsWith('/dispatches'))).toHaveLength(1)
    expect(await stage.delivery(id)).toMatchObject({ state: 'cancelled' })
  })

  test('whose dispatch was not answered is cancelled once its run is known, though its run in Port has ended', async () => {
    const stage = await open()
    const id = await stage.accept(RUN)
    stage.github.failures.serverError({ create: false, times: 1 })
    await stage.step()
    stage.port.endRun(RUN, 'FAILURE')
    await cancel(stage, id, 'port')
    await stage.pass(10_000)
    stage.run(TITLE, { status: 'in_progress' })
    await stage.pass(60_000)
    expect(asked(stage)).toEqual(['cancel'])
    expect(await stage.delivery(id)).toMatchObject({ state: 'cancelled' })
  })

  test('is cancelled by a second relay where the first is gone', async () => {
    const stage = await open()
    const { id } = await running(stage)
    await cancel(stage, id)
    stage.restart()
    await stage.pass(60_000)
    expect(asked(stage)).toEqual(['cancel'])
    expect(await stage.delivery(id)).toMatchObject({ state: 'cancelled' })
  })

  describe('by two relays on one database', () => {
    /** Each with a memory of its own. */
    function two(stage: Stage) {
      const first = stage.engine()
      stage.restart()
      return [first, stage.engine()]
    }

    test.each(['queued', 'running'])('that both receive at once (%s) takes effect once', async state => {
      const stage = await open()
      const id = state === 'queued' ? await stage.accept(RUN) : (await running(stage)).id
      const relays = two(stage)
      const seen = await stage.delivery(id)
      const applied = await Promise.all(
        relays.map(relay => relay.apply(seen, { type: 'cancelRequested', by: 'port' })),
      )
      expect(applied.map(({ outcome }) => outcome).toSorted()).toEqual(['applied', 'ignored'])
      // Both look for work at the same moment.
      await Promise.all(
        relays.map(async relay => {
          for (const claimed of await stage.store.claimWatched(stage.now(), 60_000, 10))
            await relay.watch(claimed)
        }),
      )
      await stage.pass(60_000)
      expect(asked(stage)).toEqual(state === 'queued' ? [] : ['cancel'])
      expect(stage.github.dispatches).toHaveLength(state === 'queued' ? 0 : 1)
      expect(await stage.delivery(id)).toMatchObject({ state: 'cancelled' })
      expect(stage.port.run(RUN)).toMatchObject({ status: 'FAILURE', statusLabel: 'Cancelled' })
      const types = await stage.history(id)
      expect(types.filter(type => type === 'cancelRequested' || type === 'cancelled')).toHaveLength(1)
    })

    test('that one receives while the other dispatches takes effect on the run that is started', async () => {
      const stage = await open()
      const id = await stage.accept(RUN)
      const [, other] = two(stage)
      const cancelThere = async () => {
        await other!.apply(await stage.delivery(id), { type: 'cancelRequested', by: 'port' })
      }
      const end = stage.github.onDispatch(cancelThere)
      stage.github.fail({ match: ({ path }) => path.endsWith('/dispatches'), delayMs: 50, times: 1 })
      await stage.step()
      end()
      stage.run(TITLE, { status: 'in_progress' })
      await stage.pass(40_000)
      expect(stage.github.dispatches).toHaveLength(1)
      expect(asked(stage)).toEqual(['cancel'])
      expect(await stage.delivery(id)).toMatchObject({ state: 'cancelled' })
    })
  })

  test('is followed to its end where the relay lacks the permission, and Port says which', async () => {
    const stage = await openStage({ actions: 'read' })
    const { id, run } = await running(stage)
    await cancel(stage, id)
    await stage.pass(20_000)
    expect(stage.port.run(RUN).logs.map(log => log.message)).toContainEqual(
      expect.stringMatching(/^The workflow run cannot be cancelled: .*Actions: write/),
    )
    stage.end(run, 'success')
    await stage.pass(30_000)
    expect(await stage.delivery(id)).toMatchObject({ state: 'finished' })
  })

  test('is cancelled by a second request, once the relay has the permission', async () => {
    const stage = await openStage({ actions: 'read' })
    const { id } = await running(stage)
    await cancel(stage, id)
    await stage.pass(200_000)
    expect(asked(stage)).toEqual(['cancel'])
    stage.github.addRepository('acme/shop', { permissions: { actions: 'write', metadata: 'read' } })
    expect(await cancel(stage, id)).toBe('applied')
    await stage.pass(30_000)
    expect(asked(stage)).toEqual(['cancel', 'cancel'])
    expect(await stage.delivery(id)).toMatchObject({ state: 'cancelled' })
  })

  test('may be redelivered', async () => {
    const stage = await open()
    const { id } = await running(stage)
    await cancel(stage, id)
    await stage.pass(60_000)
    await stage.redeliver(id)
    expect(await stage.delivery(id)).toMatchObject({ state: 'dispatched', cancelRequestedAt: null })
    expect(stage.github.dispatches).toHaveLength(2)
  })
})

describe('a person who ends the run in Port, without the automation', () => {
  test('cancels a run whose action reports through the relay', async () => {
    const stage = await open()
    const { id, run } = await running(stage)
    await stage.bind(id, run.id)
    stage.port.endRun(RUN, 'FAILURE')
    await stage.pass(120_000)
    expect(asked(stage)).toEqual(['cancel'])
    expect(await stage.delivery(id)).toMatchObject({ state: 'cancelled' })
  })

  test('asks GitHub once where the relay lacks the permission, and the delivery ends', async () => {
    const stage = await openStage({ actions: 'read' })
    const { id, run } = await running(stage)
    await stage.bind(id, run.id)
    stage.port.endRun(RUN, 'FAILURE')
    await stage.pass(200_000)
    expect(asked(stage)).toEqual(['cancel'])
    expect(await stage.delivery(id)).toMatchObject({ state: 'finished' })
    expect((await stage.history(id)).slice(-3)).toEqual(['cancelRequested', 'cancelRejected', 'endedInPort'])
  })

  test('cancels nothing where the action may report directly: the end may be its own', async () => {
    const stage = await open()
    const { id, run } = await running(stage)
    stage.port.run(RUN).externalRunId = String(run.id)
    stage.port.endRun(RUN, 'SUCCESS')
    await stage.pass(120_000)
    expect(asked(stage)).toEqual([])
    expect(await stage.delivery(id)).toMatchObject({ state: 'finished' })
  })
})

describe('a node run', () => {
  const NODE_RUN = 'wfnr_A1b2C3d4E5f6G7h8'
  /** Port's answer for the node run, whose route no description of Port's API names. */
  const answerWith = (stage: Stage, body: object) =>
    stage.port.fail({
      match: ({ method, path }) => method === 'GET' && path === `/v1/workflows/nodes/runs/${NODE_RUN}`,
      ...{ status: 200, body: { ok: true, ...body }, times: Number.POSITIVE_INFINITY },
    })

  async function runningNode() {
    const stage = await open()
    const id = await stage.dispatch(NODE_RUN)
    const endAnswer = answerWith(stage, { nodeRun: { status: 'IN_PROGRESS' } })
    const run = stage.run(`deploy ${NODE_RUN}`, { status: 'in_progress' })
    await stage.pass(60_000)
    expect(asked(stage)).toEqual([])
    expect(await stage.delivery(id)).toMatchObject({ state: 'running' })
    endAnswer()
    return { stage, id, run }
  }

  test('whose Port workflow is being cancelled has its workflow run cancelled, and ends as CANCELLED', async () => {
    const { stage, id } = await runningNode()
    answerWith(stage, { nodeRun: { status: 'IN_PROGRESS', workflowRun: { status: 'CANCELLING' } } })
    await stage.pass(120_000)
    expect(asked(stage)).toEqual(['cancel'])
    expect(await stage.delivery(id)).toMatchObject({ state: 'cancelled' })
    expect(stage.port.nodeRun(NODE_RUN)).toMatchObject({ status: 'COMPLETED', result: 'CANCELLED' })
  })

  test('that has ended in Port cancels nothing where the action may have reported the end directly', async () => {
    const { stage, id } = await runningNode()
    answerWith(stage, { nodeRun: { status: 'COMPLETED' } })
    await stage.pass(120_000)
    expect(asked(stage)).toEqual([])
    expect(await stage.delivery(id)).toMatchObject({ state: 'finished' })
  })

  test('that has ended in Port has its workflow run cancelled where the action reports through the relay', async () => {
    const { stage, id, run } = await runningNode()
    await stage.bind(id, run.id)
    answerWith(stage, { nodeRun: { status: 'COMPLETED' } })
    await stage.pass(120_000)
    expect(asked(stage)).toEqual(['cancel'])
    expect(await stage.delivery(id)).toMatchObject({ state: 'cancelled' })
  })
})
