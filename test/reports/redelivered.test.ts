import { expect, test } from 'vitest'
import { until } from '../support/until.ts'
import { GITHUB_RUN_ID, openStage, REPOSITORY, startReport } from './open-stage.ts'

const ADMIN = 'an-admin-token-of-some-length'

test('after a redelivery the run of before may not report, and is no reason to refuse the one of after it', async () => {
  const stage = await openStage({ RELAY_ADMIN_TOKEN: ADMIN })
  const { id, portRun } = await stage.deliver()
  const api = async (path: string, method = 'GET') => {
    const headers = { authorization: `Bearer ${ADMIN}` }
    const answer = await fetch(`${stage.url}/api/deliveries/${id}${path}`, { method, headers })
    return (await answer.json()) as { state: string }
  }
  await startReport(stage, id)
  portRun!.externalRunId = String(GITHUB_RUN_ID)
  const ended = { status: 'completed', conclusion: 'cancelled' } as const
  stage.github.createRun({ repository: REPOSITORY, id: GITHUB_RUN_ID, ...ended })
  await until(async () => (await api('')).state === 'failed', 'the relay sees the end of the run')
  await api('/redeliver', 'POST')
  await until(() => stage.github.dispatches.length === 2, 'it is dispatched again')

  const rerun = stage.issuer.token(stage.run({ runAttempt: 2 }), stage.url)
  expect(await stage.post('/report/start', rerun, { delivery: id })).toMatchObject({
    status: 403,
    body: { detail: expect.stringMatching(/^This workflow run may not report for this delivery/) },
  })
  const next = stage.issuer.token(stage.run({ runId: GITHUB_RUN_ID + 1 }), stage.url)
  expect(await stage.post('/report/start', next, { delivery: id })).toMatchObject({
    status: 200,
    body: { run: { external_run_id: null } },
  })
  expect(await stage.post('/report/start', rerun, { delivery: id })).toMatchObject({
    status: 409,
    body: { github_run_id: GITHUB_RUN_ID + 1 },
  })
})
