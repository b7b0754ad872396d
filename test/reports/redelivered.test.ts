import { join } from 'node:path'
import { Hono } from 'hono'
import { expect, onTestFinished, test } from 'vitest'
import { createBodyMemory } from '../../relay/http/body-memory.ts'
import { type Problem, sendProblem } from '../../relay/http/problem.ts'
import { createTake } from '../../relay/reports/report.ts'
import { openStore } from '../../relay/store/open.ts'
import { createApplyEvent } from '../../relay/workers/apply.ts'
import { until } from '../../tools/simulator/http-server.ts'
import { aDelivery, aRun } from '../store/place.ts'
import { temporaryFolder } from '../support/relay.ts'
import { GITHUB_RUN_ID, REPOSITORY, startReport, startSystem } from './open-stage.ts'

const ADMIN = 'an-admin-token-of-some-length'

test('after a redelivery, the previous run cannot report and does not block the new run', async () => {
  const system = await startSystem({ RELAY_ADMIN_TOKEN: ADMIN })
  const { id, portRun } = await system.deliver()
  const api = async (path: string, method = 'GET') => {
    const headers = { authorization: `Bearer ${ADMIN}` }
    const response = await fetch(`${system.url}/api/deliveries/${id}${path}`, { method, headers })
    return (await response.json()) as { state: string }
  }
  await startReport(system, id)
  portRun!.externalRunId = String(GITHUB_RUN_ID)
  const ended = { status: 'completed', conclusion: 'cancelled' } as const
  system.github.createRun({ repository: REPOSITORY, id: GITHUB_RUN_ID, ...ended })
  await until(async () => (await api('')).state === 'failed', 'the relay finds that the run was canceled')
  await api('/redeliver', 'POST')
  await until(() => system.github.dispatches.length === 2, 'the delivery is dispatched again')

  const rerun = { runAttempt: 2 }
  const detail = expect.stringMatching(/^This workflow run cannot report for this delivery/)
  expect(await system.start(id, rerun)).toMatchObject({ status: 403, body: { detail } })
  const run = { external_run_id: null }
  expect(await system.start(id, { runId: GITHUB_RUN_ID + 1 })).toMatchObject({ status: 200, body: { run } })
  const body = { github_run_id: GITHUB_RUN_ID + 1 }
  expect(await system.start(id, rerun)).toMatchObject({ status: 409, body })
})

test('a report is refused if the delivery is redelivered in the meantime, and the delivery remains queued', async () => {
  const store = await openStore({ kind: 'sqlite', path: join(temporaryFolder(), 'relay.db') })
  onTestFinished(() => store.close())
  const log = { debug() {}, info() {}, warn() {} }
  const policy = { startTimeout: 6e5, runTimeout: 864e5, serverUrl: 'https://github.com', timeoutsFrom: 0 }
  const apply = createApplyEvent({ store, policy, canReport: () => true, onTransition() {}, log })
  const { id } = await store.accept(aDelivery())
  const now = async () => (await store.get(id))!
  await apply(await now(), { type: 'attemptStarted' })
  await apply(await now(), { type: 'runReported', run: aRun(GITHUB_RUN_ID, { evidence: 'report' }) })
  await apply(await now(), { type: 'runDeleted', cause: { why: 'deleted' } })
  const overtaken: typeof store.get = async given => {
    const delivery = await store.get(given)
    if (delivery?.state === 'failed') await apply(delivery, { type: 'redelivered' })
    return delivery
  }
  const take = createTake({
    store: { ...store, get: overtaken },
    apply,
    tokens: {
      verify: async () => ({
        delivery: id,
        repository: 'acme/shop',
        runId: GITHUB_RUN_ID,
        runAttempt: 1,
        renew: false,
      }),
      mint: async () => ({ token: '', expiresAt: 0 }),
    },
    isAllowed: { upsert: () => true, delete: () => true },
    rate: { take: () => 0 },
    log,
  })
  const withReservation = createBodyMemory({ arrivingBytes: 1e6, processingBytes: 1e6, trustedProxies: 0 })
  const app = new Hono().post('/', c => withReservation(c, room => take(c, room)))
  app.onError((error, c) => sendProblem(c, error as Problem))
  const reports = [{ log: [{ level: 'INFO', message: 'late' }] }]
  const body = JSON.stringify({ delivery: id, sender: 'post', number: 1, reports })
  const response = await app.request('/', { method: 'POST', body })
  expect(response.status).toBe(403)
  expect((await now()).state).toBe('queued')
  expect(await store.claimOutboxes(store.clock() + 9000, 500, 10)).toEqual([])
})
