import { expect, test } from 'vitest'
import type { ShownDelivery, ShownEvent } from '../../relay/admin/api.ts'
import { until } from '../../simulator/http-server.ts'
import { action, linesOf, runDispatched } from '../action/play.ts'
import { ADMIN_TOKEN, asAdmin, sendRunWebhook } from '../support/requests.ts'
import { GITHUB_RUN_ID, REPOSITORY, type System, startReport, startSystem } from './open-stage.ts'

// With `fail-on-report-error: true`, an entity that Port rejects makes a success of its attempt a failure.

const SECRET = "a secret of GitHub's webhook"
const BLUEPRINT = { type: 'object', properties: { tier: { type: 'number' } } }

async function open(kind: 'action run' | 'node run' = 'action run', env: Record<string, string> = {}) {
  const all = {
    ...{
      RELAY_ADMIN_TOKEN: ADMIN_TOKEN,
      GITHUB_WEBHOOK_SECRET: SECRET,
      RELAY_REPORT_DELETE_BLUEPRINTS: 'service',
    },
    ...env,
  }
  const system = await startSystem(all)
  system.port.declareBlueprint('service', BLUEPRINT)
  const node = kind === 'node run' ? system.port.createNodeRun() : null
  const body = node && { run: { id: node.id } }
  const { id, portRun, dispatch } = await system.deliver(body ? { runId: null, body } : {})
  const read = async () =>
    (await (await asAdmin(`${system.url}/api/deliveries/${id}`)).json()) as ShownDelivery & {
      events: ShownEvent[]
    }
  const shown = (): { status?: string; statusLabel?: string; summary?: string } =>
    node ? { ...node, status: node.result, summary: String(node.output.summary) } : portRun!
  return { system, id, dispatch, shown, log: () => linesOf(node ?? portRun!).join('\n'), read }
}

const entity = (identifier: string, tier: unknown, more: object = { required: true }) => ({
  entity: { blueprint: 'service', properties: { identifier, properties: { tier } }, ...more },
})
const job = { id: 1, name: 'deploy', author: 'success' as const, ownSummary: false }
const RESULT = { update: { conclusion: 'success', summary: 'Job deploy: success', job } }
const WHY = /^Port rejected the entity service "shop"/
const LABEL = 'Entity rejected: service "shop"'
const FAILED = { status: 'FAILURE', summary: expect.stringMatching(WHY) }

/** Finishes the run on GitHub, and sends GitHub's webhook. */
async function finishOnGitHub(system: System, conclusion: 'success' | 'cancelled', runAttempt = 1) {
  const { github, url } = system
  const ended = { status: 'completed', conclusion, runAttempt } as const
  const known = github.runs.find(({ id }) => id === GITHUB_RUN_ID)
  if (known) github.setRun(GITHUB_RUN_ID, ended)
  else github.createRun({ repository: REPOSITORY, id: GITHUB_RUN_ID, ...ended })
  const run = github.runs.find(({ id }) => id === GITHUB_RUN_ID)!
  await sendRunWebhook(url, run, { github, secret: SECRET })
}

const FAILURE = { 'action run': 'FAILURE', 'node run': 'FAILED' }

test.each(['action run', 'node run'] as const)(
  'Port rejects an entity, and the %s then finishes',
  async kind => {
    const { system, id, shown, log, read } = await open(kind)
    const token = await startReport(system, id)
    await system.report(token, id, [entity('cart', 1), entity('shop', 'x')])
    await until(() => log().includes('service "shop" wasn\'t written'), 'Port rejects the entity')
    await system.report(token, id, [RESULT], { number: 2 })
    await finishOnGitHub(system, 'success')
    await until(() => shown().status === FAILURE[kind], 'the run fails in Port')
    expect(shown().summary).toMatch(WHY)
    expect(shown().summary).toContain('Job deploy: success')
    if (kind === 'action run') expect(shown().statusLabel).toBe(LABEL)
    const { state, outcome, reason, events } = await read()
    expect({ state, outcome }).toEqual({ state: 'finished', outcome: 'failed' })
    expect(reason).toContain('Port rejected the entity')
    expect(events.filter(({ type }) => type === 'entityRejected')).toHaveLength(1)
    expect(system.port.entities).toMatchObject([{ identifier: 'cart' }])
  },
)

const LAST = { update: { conclusion: 'success', summary: 'all well' } }

test.each([
  ['action run', 'job', 'is down'],
  ['node run', 'workflow run', 'is down'],
  ['action run', 'workflow run', 'accepts no entities'],
  ['node run', 'workflow run', 'accepts no entities'],
] as const)(
  'if the %s finishes with its %s while Port %s, the stored success is sent as a failure',
  async (kind, by, fault) => {
    const { system, id, shown, read } = await open(kind)
    const token = await startReport(system, id)
    if (fault === 'is down') await system.port.stop()
    else {
      const match = ({ path }: { path: string }) => path.includes('/entities')
      system.port.fail({ match, status: 503, times: Number.POSITIVE_INFINITY })
    }
    await system.report(token, id, [entity('shop', 'x'), by === 'job' ? LAST : RESULT])
    if (by === 'workflow run') await finishOnGitHub(system, 'success')
    // Before the relay finishes the delivery of a completed workflow run, it waits for Port.
    const isStored = by === 'job' || fault !== 'is down'
    if (isStored)
      await until(async () => (await read()).outcome === 'succeeded', 'the delivery finishes', 60_000)
    if (fault === 'is down') await system.port.start()
    else system.port.clearFailures()
    await until(() => shown().status === FAILURE[kind], 'the run fails in Port')
    expect(shown()).toMatchObject({ summary: FAILED.summary })
    if (kind === 'action run') expect(shown().statusLabel).toBe(LABEL)
    if (!isStored) return
    const { outcome, events } = await read()
    expect(outcome).toBe('succeeded')
    expect(events.at(-1)).toMatchObject({ type: 'entityRejected', details: { blueprint: 'service' } })
  },
)

test('if Port refuses every update with a summary, a rejected entity still turns the conclusion into a failure', async () => {
  const { system, id, shown } = await open('action run', { RELAY_RETENTION: '1d' })
  system.port.fail({
    match: ({ body }) => Object.hasOwn(Object(body), 'summary'),
    ...{ times: Number.POSITIVE_INFINITY, status: 422 },
  })
  const token = await startReport(system, id)
  await system.report(token, id, [entity('shop', 'x'), LAST])
  await until(() => shown().status !== 'IN_PROGRESS', 'Port shows a result', 60_000)
  expect(shown().status).toBe('FAILURE')
})

const gone = { properties: { identifier: 'no' }, operation: 'delete', required: true }
const PASSED = { status: 'SUCCESS', summary: 'all well' }
const BROKEN = { update: { conclusion: 'failure', summary: 'Broken' } }
const STOPPED = { update: { conclusion: 'cancelled', statusLabel: 'Canceled' } }
const CASES: [string, unknown[], object][] = [
  ['an entity in the same report as the result of the job', [entity('shop', 'x'), LAST], FAILED],
  ['an entity without the mark', [entity('shop', 'x', {}), LAST], PASSED],
  ['an accepted entity', [entity('shop', 1), LAST], PASSED],
  ['a missing entity to delete', [{ entity: { blueprint: 'service', ...gone } }, LAST], PASSED],
  ['a job that failed', [entity('shop', 'x'), BROKEN], { status: 'FAILURE', summary: 'Broken' }],
  ['a canceled job', [entity('shop', 'x'), STOPPED], { status: 'FAILURE', statusLabel: 'Canceled' }],
]

test('a rejected entity changes only the success of its own attempt', async () => {
  const { system } = await open()
  const run = async ([name, reports, expected]: (typeof CASES)[number], index: number) => {
    const { id, portRun } = await system.deliver()
    const token = await startReport(system, id, { runId: GITHUB_RUN_ID + 1 + index })
    await system.report(token, id, reports)
    await until(() => portRun!.status !== 'IN_PROGRESS', `${name}: Port shows a result`)
    expect(portRun, name).toMatchObject(expected)
  }
  await Promise.all(CASES.map(run))
})

test('a rejected entity changes neither a finished run nor the status that another system sets', async () => {
  const { system } = await open()
  const [done, other] = [{}, { body: { github: { reportWorkflowStatus: false } } }].map(system.deliver)
  const { id, portRun } = await done!
  system.port.endRun(portRun!.id, 'SUCCESS')
  await system.report(await startReport(system, id, { runId: 7 }), id, [entity('shop', 'x'), LAST])
  const { id: otherId, portRun: shown } = await other!
  await system.report(await startReport(system, otherId), otherId, [entity('shop', 'x'), RESULT])
  await finishOnGitHub(system, 'success')
  await until(() => shown!.statusLabel === 'Succeeded', 'Port shows the result')
  expect([portRun!.status, shown!.status]).toEqual(['SUCCESS', 'IN_PROGRESS'])
})

test('a later attempt that succeeds is a success', async () => {
  const { system, id, shown, log } = await open()
  const token = await startReport(system, id)
  await system.report(token, id, [entity('shop', 'x')])
  await until(() => log().includes('service "shop" wasn\'t written'), 'Port rejects the entity')
  const again = await startReport(system, id, { runAttempt: 2 })
  await system.report(again, id, [entity('shop', 2), RESULT], { sender: 'b' })
  await finishOnGitHub(system, 'success', 2)
  await until(() => shown().status !== 'IN_PROGRESS', 'Port shows a result', 60_000)
  expect(shown()).toMatchObject({ status: 'SUCCESS', summary: 'Job deploy: success' })
})

const STEPS = `
      - run: |
          printf 'blueprint: service\\nidentifier: shop\\nproperties: { tier: x }\\n' >> "$PORT_ENTITIES"`

test.each([
  ['through the relay', 'action run'],
  ['directly', 'node run'],
] as const)('the built action, %s: the %s in Port fails', async (way, kind) => {
  const { system, dispatch, shown } = await open(kind)
  const uses = action({ live: 'false', 'fail-on-report-error': 'true' })
  const step = way === 'directly' ? uses : uses.replaceAll(/^ *port-client-.*\n/gm, '')
  const { conclusion } = await runDispatched(
    system,
    dispatch,
    `  deploy:\n    runs-on: ubuntu-latest\n    steps:${step.trimEnd()}${STEPS}\n`,
  )
  expect(conclusion).toBe(way === 'directly' ? 'failure' : 'success')
  if (way !== 'directly') await finishOnGitHub(system, 'success')
  await until(() => !['IN_PROGRESS', undefined, null].includes(shown().status), 'Port shows a result', 60_000)
  expect(shown().status).toBe(FAILURE[kind])
  if (way !== 'directly') expect(shown()).toMatchObject({ summary: FAILED.summary })
})
