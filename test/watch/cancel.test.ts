import { describe, expect, test } from 'vitest'
import { until } from '../../tools/simulator/http-server.ts'
import { RUN, START_TIMEOUT, type System, startSystem, startWithRun } from '../support/system.ts'

const TITLE = `deploy ${RUN}`

const open = () => startSystem({ actions: 'write' })
const cancel = async (system: System, id: string, by: 'port' | 'api' = 'api') =>
  (await system.engine().apply(await system.delivery(id), { type: 'cancelRequested', by })).outcome
const asked = (system: System) =>
  system.github.requests.filter(({ path }) => /cancel$/.test(path)).map(({ path }) => path.split('/').at(-1))
/** Expects these cancellation requests to GitHub and this state of the delivery. */
async function expectRequests(system: System, id: string, requests: string[], state = 'cancelled') {
  expect(asked(system)).toEqual(requests)
  expect(await system.delivery(id)).toMatchObject({ state })
}

/** Creates a delivery and its run in progress, whose title contains the Port run ID. */
async function running(actions: 'read' | 'write' = 'write') {
  const { system, id, run } = await startWithRun({ actions }, { status: 'in_progress' })
  await system.pass(10_000)
  expect(await system.delivery(id)).toMatchObject({ state: 'running' })
  return { system, id, run }
}

describe('after a cancellation request, a delivery', () => {
  test('that is queued is never dispatched, and its Port run finishes', async () => {
    const system = await open()
    const id = await system.accept(RUN)
    expect(await cancel(system, id)).toBe('applied')
    await system.pass(5_000)
    expect(system.github.dispatches).toEqual([])
    expect(await system.delivery(id)).toMatchObject({ state: 'cancelled', dueAt: null })
    expect(system.port.run(RUN)).toMatchObject({ status: 'FAILURE', statusLabel: 'Canceled' })
  })

  test.each(['port', 'api'] as const)('that is running is canceled once on GitHub (through %s)', async by => {
    const { system, id } = await running()
    await cancel(system, id, by)
    expect(await cancel(system, id, by)).toBe('ignored')
    await system.pass(60_000)
    await expectRequests(system, id, ['cancel'])
    expect(system.port.run(RUN)).toMatchObject({ status: 'FAILURE', statusLabel: 'Canceled' })
    const types = ['dispatchAccepted', 'runBound', 'cancelRequested', 'cancelSent', 'runFinished']
    expect(await system.history(id)).toEqual(expect.arrayContaining(types))
  })

  test('whose run does not finish is force-canceled once after two minutes', async () => {
    const { system, id, run } = await running()
    system.github.setUnstoppable(run.id)
    await cancel(system, id)
    await system.pass(110_000)
    expect(asked(system)).toEqual(['cancel'])
    await system.pass(60_000)
    await expectRequests(system, id, ['cancel', 'force-cancel'])
  })

  test('that a user finished in Port is canceled, even while the relay searches for its run', async () => {
    const system = await open()
    system.github.failures.serverError({ create: false })
    const id = await system.dispatch(RUN)
    system.port.endRun(RUN, 'FAILURE')
    system.github.fail({ match: ({ path }) => path.includes('/runs?'), delayMs: 300 })
    system.advance(2_000)
    const searching = system.step()
    const isListed = () => system.github.requests.some(({ path }) => path.includes('/runs?'))
    await until(isListed, 'the relay reads the list of runs')
    await cancel(system, id, 'port')
    await searching
    system.run(TITLE, { status: 'in_progress' })
    await system.pass(60_000)
    await expectRequests(system, id, ['cancel'])
  })

  test.each([
    ['its untitled run', 'after the response', false],
    ['its untitled run', 'while the response is missing', true],
    ['whether it started a run', 'without Actions: read', false],
  ])('is unknown, not canceled, if the relay can not tell %s (%s)', async (_, how, lost) => {
    const blind = how === 'without Actions: read'
    const system = await startSystem({ actions: blind ? 'none' : 'write' })
    await system.dispatch('r_B1b2C3d4E5f6G7h8')
    if (lost) system.github.failures.cut({ create: true })
    const id = await system.dispatch(RUN)
    const runs = blind ? [] : [system.run('deploy'), system.run('deploy')]
    await cancel(system, id)
    expect(await system.delivery(id)).toMatchObject({ state: 'dispatched' })
    await system.pass(30_000)
    for (const run of runs) system.end(run, 'success')
    await system.pass(START_TIMEOUT + 120_000)
    const page = `${system.github.serverUrl}/acme/shop/actions`
    const summary = expect.stringContaining(`a workflow run may be going on, see ${page}.`)
    expect(asked(system)).toEqual([])
    expect(await system.delivery(id)).toMatchObject({ state: 'failed', outcome: 'unknown' })
    expect(system.port.run(RUN)).toMatchObject({
      status: 'FAILURE',
      statusLabel: 'Unknown',
      summary,
      link: [page],
    })
  })

  test('whose response was lost leaves the queue at once, and its run is canceled when it appears', async () => {
    const system = await open()
    const [id, next] = [await system.accept(RUN), await system.accept('r_B1b2C3d4E5f6G7h8')]
    system.github.failures.serverError({ create: false, times: 1 })
    await system.step()
    await cancel(system, id)
    await system.step()
    expect(await system.delivery(next)).toMatchObject({ state: 'dispatched' })
    await system.pass(15_000)
    system.run(TITLE, { status: 'in_progress' })
    await system.pass(30_000)
    await expectRequests(system, id, ['cancel'])
    expect(
      system.port
        .run(RUN)
        .logs.map(({ message }) => message)
        .join(),
    ).toContain('The relay searches for the run to cancel it')
  })

  test.each([
    [404, 'rejects the dispatch'],
    [429, 'limits the relay'],
  ])('that is being dispatched is canceled at once if GitHub (%i) %s', async status => {
    const system = await open()
    const id = await system.accept(RUN)
    system.github.fail({ match: ({ path }) => path.endsWith('/dispatches'), delayMs: 200, times: 1, status })
    const dispatching = system.step()
    await until(() => system.github.requests.length > 0, 'GitHub receives the dispatch')
    await cancel(system, id)
    await dispatching
    await expectRequests(system, id, [])
  })

  test('that is being dispatched is canceled once GitHub shows the run', async () => {
    const system = await open()
    const id = await system.accept(RUN)
    const end = system.github.onDispatch(() => cancel(system, id))
    system.github.fail({ match: ({ path }) => path.endsWith('/dispatches'), delayMs: 50, times: 1 })
    await system.step()
    end()
    system.run(TITLE, { status: 'in_progress' })
    await system.pass(40_000)
    expect(system.github.dispatches).toHaveLength(1)
    await expectRequests(system, id, ['cancel'])
  })

  test('is polled until its run finishes if the relay lacks Actions: write, and Port shows the missing permission', async () => {
    const { system, id, run } = await running('read')
    await cancel(system, id)
    await system.pass(20_000)
    expect(system.port.run(RUN).logs.map(log => log.message)).toContainEqual(
      expect.stringMatching(/^The workflow run can't be canceled: .*Actions: write/),
    )
    system.end(run, 'success')
    await system.pass(30_000)
    expect(await system.delivery(id)).toMatchObject({ state: 'finished' })
  })
})

test('with 60 repositories and without webhooks, a run is canceled and Port shows it within seconds, and no cancellation is forced', async () => {
  const system = await startSystem({ actions: 'write', startTimeout: 600_000, runTimeout: 86_400_000 })
  const permissions = { checks: 'read', contents: 'write', metadata: 'read', actions: 'write' } as const
  const start = async (n: number) => {
    const [repository, runId] = [`acme/shop-${n % 60}`, `r_${String(n).padStart(16, 'A')}`]
    const id = await system.dispatch(runId, repository)
    return { id, runId, run: system.run(`deploy ${runId}`, { repository, status: 'in_progress' }) }
  }
  const started = []
  for (let n = 0; n < 60; n++) {
    system.github.addRepository(`acme/shop-${n}`, { permissions })
    started.push(await start(n))
  }
  await system.pass(300_000)
  const reads = () =>
    system.github.requests.filter(({ path }) => path.startsWith('/repos/acme/shop-5/')).length
  // The lists were just read, so their next reads are far away.
  for (const before = reads(); reads() === before; ) await system.pass(1_000)
  const canceled = [...started.slice(0, 6), await start(60)]
  for (const { id } of canceled) await cancel(system, id)
  const seconds = canceled.map(() => ({ canceled: 0, shown: 0 }))
  for (let second = 0; second < 250; second++) {
    for (const [i, { run, runId }] of canceled.entries()) {
      if (system.github.cancellations.every(each => each.runId !== run.id)) seconds[i]!.canceled++
      if (system.port.run(runId).status === 'IN_PROGRESS') seconds[i]!.shown++
    }
    await system.pass(1_000)
  }
  expect(Math.max(...seconds.map(each => each.canceled))).toBeLessThanOrEqual(10)
  expect(Math.max(...seconds.map(each => each.shown))).toBeLessThanOrEqual(20)
  expect(asked(system)).toEqual(canceled.map(() => 'cancel'))
})

describe('if a user finishes the run in Port and no automation calls the relay,', () => {
  test('the relay cancels the workflow run if the action reports through the relay', async () => {
    const { system, id, run } = await running()
    await system.bind(id, run.id)
    system.port.endRun(RUN, 'FAILURE')
    await system.pass(120_000)
    await expectRequests(system, id, ['cancel'])
  })
})

describe('a node run', () => {
  const NODE_RUN = 'wfnr_A1b2C3d4E5f6G7h8'
  /** Makes Port respond with this body to requests for the node run. Port's API reference doesn't list this route. */
  const responseWith = (system: System, body: object) =>
    system.port.fail({
      match: ({ method, path }) => method === 'GET' && path === `/v1/workflows/nodes/runs/${NODE_RUN}`,
      ...{ status: 200, body: { ok: true, ...body }, times: Number.POSITIVE_INFINITY },
    })

  async function runningNode() {
    const system = await open()
    const id = await system.dispatch(NODE_RUN)
    const endResponse = responseWith(system, { nodeRun: { status: 'IN_PROGRESS' } })
    const run = system.run(`deploy ${NODE_RUN}`, { status: 'in_progress' })
    await system.pass(60_000)
    expect(asked(system)).toEqual([])
    expect(await system.delivery(id)).toMatchObject({ state: 'running' })
    endResponse()
    return { system, id, run }
  }

  test('cancels its workflow run and finishes as CANCELLED while its Port workflow is being canceled', async () => {
    const { system, id } = await runningNode()
    responseWith(system, { nodeRun: { status: 'IN_PROGRESS', workflowRun: { status: 'CANCELLING' } } })
    await system.pass(120_000)
    await expectRequests(system, id, ['cancel'])
    expect(system.port.nodeRun(NODE_RUN)).toMatchObject({ status: 'COMPLETED', result: 'CANCELLED' })
  })

  test.each([
    [
      'cancels nothing if the action reports directly, because it may have finished it',
      false,
      [],
      'finished',
    ],
    ['cancels its workflow run if the action reports through the relay', true, ['cancel'], 'cancelled'],
  ])('that finished in Port %s', async (_, reports, requests, state) => {
    const { system, id, run } = await runningNode()
    if (reports) await system.bind(id, run.id)
    responseWith(system, { nodeRun: { status: 'COMPLETED' } })
    await system.pass(120_000)
    await expectRequests(system, id, requests, state)
  })
})
