import { expect, onTestFinished, test } from 'vitest'
import { createGitHub } from '../../relay/github/client.ts'
import { readFailure } from '../../relay/github/errors.ts'
import { startGitHubApi } from '../../tools/simulator/github/github.ts'
import type { GitHubApiOptions } from '../../tools/simulator/github/types.ts'

async function open(options: GitHubApiOptions = {}, clock = Date.now) {
  const api = await startGitHubApi(options)
  onTestFinished(() => api.close())
  api.addRepository('acme/shop')
  const auth = { token: api.token }
  const github = createGitHub({ apiUrl: api.url, auth, webhookSecret: null, oidcIssuer: '' }, clock)
  return { api, github, run: api.createRun({ repository: 'acme/shop', status: 'in_progress' }) }
}

test('distinguishes a finished run from a run that cannot be canceled', async () => {
  const { api, github, run } = await open()
  api.setRun(run.id, { status: 'completed', conclusion: 'success' })
  expect(await github.cancelRun('acme/shop', run.id)).toBe('finished')
  expect(await github.forceCancelRun('acme/shop', run.id)).toBe('finished')
  const message = 'Cannot cancel a workflow re-run that has not yet queued.'
  api.fail({ status: 409, body: { message } })
  const soon = await github.cancelRun('acme/shop', run.id).catch(error => error)
  expect(readFailure(soon, { repository: 'acme/shop', now: 1_000, tries: 0 })).toEqual({
    kind: 'later',
    at: 3_000,
    reason: `GitHub responded with 409: ${message}`,
  })
  api.addRepository('acme/till', { permissions: { actions: 'read', metadata: 'read' } })
  const other = api.createRun({ repository: 'acme/till' })
  const forbidden = await github.cancelRun('acme/till', other.id).catch(error => error)
  const failed = { repository: 'acme/till', now: 0, tries: 0, permission: 'Actions: write' }
  expect(readFailure(forbidden, failed)).toEqual({
    kind: 'forbidden',
    permission: true,
    reason:
      "the relay's token or App lacks Actions: write on acme/till (403: Resource not accessible by personal access token)",
  })
})

test('reads the environments that a run waits for, and the decisions of reviewers', async () => {
  const { api, github, run } = await open()
  api.awaitReview(run.id, [
    { environment: 'prod', waitTimer: 30, reviewers: ['octocat', 'team:admins'] },
    { environment: 'eu\u001b[31m\nprod', reviewers: [] },
  ])
  expect((await github.run('acme/shop', run.id, null)).data?.status).toBe('waiting')
  expect(await github.pendingDeployments('acme/shop', run.id)).toEqual([
    { environment: 'prod', waitTimer: 30, reviewers: ['octocat', 'admins'] },
    { environment: 'eu prod', waitTimer: 0, reviewers: [] },
  ])
  api.review(run.id, { environment: 'prod', state: 'approved', user: 'octocat', comment: 'Ship\r\nit!' })
  expect(await github.approvals('acme/shop', run.id)).toEqual([
    { environments: ['prod'], state: 'approved', by: 'octocat', comment: 'Ship it!' },
  ])
  expect(await github.pendingDeployments('acme/shop', run.id)).toMatchObject([{ environment: 'eu prod' }])
})

test.each([-90_000, 0, 3_600_000])("detects that GitHub's clock is %i ms ahead", async skew => {
  const { github, run } = await open({ clockSkewMs: skew })
  expect(github.clockOffset()).toBeNull()
  await github.run('acme/shop', run.id, null)
  // The Date header is in whole seconds.
  expect(Math.abs((github.clockOffset() as number) - skew)).toBeLessThanOrEqual(1_000)
})

test("detects a jump of the relay's own clock immediately", async () => {
  let jump = 0
  const { github, run } = await open({}, () => Date.now() + jump)
  await github.run('acme/shop', run.id, null)
  const before = github.clockOffset() as number
  jump = -3_600_000
  expect(Math.abs((github.clockOffset() as number) - before - 3_600_000)).toBeLessThan(60_000)
})

test('ignores the Date header of a proxy', async () => {
  const { api, github, run } = await open()
  api.fail({ status: 502, headers: { date: 'Tue, 24 Nov 2020 12:00:30 GMT', 'x-github-request-id': '' } })
  await github.run('acme/shop', run.id, null).catch(() => {})
  await github.run('acme/shop', run.id, null)
  expect(Math.abs(github.clockOffset() as number)).toBeLessThan(60_000)
})
