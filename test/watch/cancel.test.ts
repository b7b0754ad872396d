import { describe, expect, test } from 'vitest'
import { readInvocation } from '../../port/invocation/invocation.ts'
import { until } from '../../simulator/http-server.ts'
import type { PortNodeRun } from '../../simulator/port/state.ts'
import { RUN, START_TIMEOUT, type System, startSystem, startWithRun } from '../support/system.ts'

const TITLE = `deploy ${RUN}`

const open = () => startSystem({ actions: 'write' })
const cancel = async (system: System, id: string) =>
  (await system.engine().apply(await system.delivery(id), { type: 'cancelRequested', by: 'api' })).outcome
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

  test('that is running is canceled once on GitHub', async () => {
    const { system, id } = await running()
    await cancel(system, id)
    expect(await cancel(system, id)).toBe('ignored')
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

  test.each([
    ['its untitled run', 'after the response', false],
    ['its untitled run', 'while the response is missing', true],
    ['whether it started a run', 'without Actions: read', false],
  ])("is unknown, not canceled, if the relay can't tell %s (%s)", async (_, how, lost) => {
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
    expect(asked(system)).toEqual([])
    expect(await system.delivery(id)).toMatchObject({ state: 'failed', outcome: 'unknown' })
    expect(system.port.run(RUN)).toMatchObject({ status: 'FAILURE', statusLabel: 'Unknown' })
  })

  test('whose response was lost leaves the queue at once, and its run is canceled when the run appears', async () => {
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
  })

  test.each([
    [404, 'rejects the dispatch'],
    [429, 'limits the relay'],
  ])('that is being dispatched is canceled at once if GitHub responds with %i, which %s', async status => {
    const system = await open()
    const id = await system.accept(RUN)
    system.github.fail({ match: ({ path }) => path.endsWith('/dispatches'), delayMs: 200, times: 1, status })
    const dispatching = system.step()
    await until(() => system.github.requests.length > 0, 'GitHub receives the dispatch')
    await cancel(system, id)
    await dispatching
    await expectRequests(system, id, [])
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

test('a user who finishes the run in Port cancels the workflow run if the action reports through the relay', async () => {
  const { system, id, run } = await running()
  await system.bind(id, run.id)
  system.port.endRun(RUN, 'FAILURE')
  await system.pass(120_000)
  await expectRequests(system, id, ['cancel'])
})

describe('a node run', () => {
  const NODE_RUN = 'wfnr_A1b2C3d4E5f6G7h8'
  /** Port's route of a node run isn't documented, so only this test serves it. */
  const serveNodeRun = ({ port }: System) =>
    port.fail({
      match: ({ method, path }) => method === 'GET' && path === `/v1/workflows/nodes/runs/${NODE_RUN}`,
      get body() {
        const { status, result, isCancelling } = port.nodeRun(NODE_RUN)
        const workflowRun = { status: isCancelling ? 'CANCELLING' : 'IN_PROGRESS' }
        return { ok: true, nodeRun: { status, result, workflowRun } }
      },
      ...{ status: 200, times: Number.POSITIVE_INFINITY },
    })

  async function runningNode(hasWorkflowRun = true) {
    const system = await open()
    if (!hasWorkflowRun) serveNodeRun(system)
    const invocation = JSON.stringify(readInvocation({ run: { id: NODE_RUN }, inputs: {} }))
    const id = await system.dispatch(NODE_RUN, 'acme/shop', hasWorkflowRun ? {} : { invocation })
    const run = system.run(`deploy ${NODE_RUN}`, { status: 'in_progress' })
    await system.pass(60_000)
    expect(asked(system)).toEqual([])
    expect(await system.delivery(id)).toMatchObject({ state: 'running' })
    const reads = system.port.requests.filter(({ method }) => method === 'GET').map(({ path }) => path)
    expect(new Set(reads.map(path => /wfn?r/.exec(path)?.[0]))).toEqual(
      new Set([hasWorkflowRun ? 'wfr' : 'wfnr']),
    )
    return { system, id, run, node: system.port.nodeRun(NODE_RUN) }
  }
  /** @param ms how long the node took in Port */
  const finishInPort = (node: PortNodeRun, ms: number) =>
    Object.assign(node, {
      ...{ status: 'COMPLETED', result: 'SUCCESS', finishedAt: node.createdAt },
      createdAt: new Date(Date.parse(node.createdAt) - ms).toISOString(),
    })

  test.each([
    ['whose body has the ID of the workflow run', true],
    ['whose body lacks the ID of the workflow run', false],
  ])('%s is canceled with its Port workflow', async (_, hasWorkflowRun) => {
    const { system, id, node } = await runningNode(hasWorkflowRun)
    node.isCancelling = true
    await system.pass(120_000)
    await expectRequests(system, id, ['cancel'])
    expect(node).toMatchObject({ status: 'COMPLETED', result: 'CANCELLED' })
  })

  test.each([
    ['cancels nothing if the action reports directly', { reports: false }, [], 'finished'],
    ['cancels its workflow run if the action reports through the relay', {}, ['cancel'], 'cancelled'],
    ['cancels nothing if the node is synchronous', { ms: 400 }, [], 'running'],
  ])('that finished in Port %s', async (_, given: { reports?: boolean; ms?: number }, requests, state) => {
    const { reports = true, ms = 60_000 } = given
    const { system, id, run, node } = await runningNode()
    if (reports) await system.bind(id, run.id)
    finishInPort(node, ms)
    await system.pass(120_000)
    await expectRequests(system, id, requests, state)
  })
})
