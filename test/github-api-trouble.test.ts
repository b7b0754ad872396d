import type { Octokit } from '@octokit/rest'
import { afterEach, expect, test } from 'vitest'
import { octokitFor, refusalOf } from './support/github-api/octokit-for.ts'
import { type GitHubApi, startGitHubApi } from './support/github-api.ts'

const SHOP = { owner: 'acme', repo: 'shop' }
const DEPLOY = {
  path: '.github/workflows/deploy.yml',
  name: 'Deploy',
  eventTypes: ['deploy'],
  runName: (payload: Record<string, unknown>) => `deploy ${payload.run_id}`,
}
let api: GitHubApi
afterEach(() => api.close())

async function start(options?: Parameters<typeof startGitHubApi>[0]) {
  api = await startGitHubApi(options)
  api.addRepository('acme/shop', { workflows: [DEPLOY] })
  return as(api.token)
}
const as = (auth: Parameters<typeof octokitFor>[1]) => octokitFor(api, auth)
const dispatch = (octokit: Octokit, payload: Record<string, unknown> = { run_id: 'r_1' }, type = 'deploy') =>
  octokit.repos.createDispatchEvent({ ...SHOP, event_type: type, client_payload: payload })

test('limits are told by the headers GitHub uses', async () => {
  const octokit = await start()
  api.failures.secondaryLimit(30)
  expect(await refusalOf(dispatch(octokit))).toMatchObject({
    status: 403,
    headers: { 'retry-after': '30' },
    body: { message: expect.stringContaining('secondary rate limit') },
  })
  api.failures.primaryLimit(1_900_000_000)
  expect(await refusalOf(dispatch(octokit))).toMatchObject({
    status: 403,
    headers: { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1900000000' },
  })
  api.failures.tooMany(7)
  expect(await refusalOf(dispatch(octokit))).toMatchObject({ status: 429, headers: { 'retry-after': '7' } })
  expect(api.dispatches).toEqual([])
  expect((await dispatch(octokit)).status).toBe(204)
})

test('an hourly limit, where one is set, refuses the request beyond it', async () => {
  const octokit = await start({ hourlyLimit: 2 })
  await dispatch(octokit)
  expect((await dispatch(octokit)).headers['x-ratelimit-remaining']).toBe('0')
  expect(await refusalOf(dispatch(octokit))).toMatchObject({
    status: 403,
    headers: { 'x-ratelimit-remaining': '0' },
  })
})

test.each([true, false])('errors and cuts of dispatches, run created: %s', async create => {
  const octokit = await start({ autoRun: true })
  api.failures.serverError({ create })
  expect(await refusalOf(dispatch(octokit))).toMatchObject({ status: 500 })
  expect(api.runs).toHaveLength(create ? 1 : 0)
  api.failures.cut({ create })
  await octokit.repos.get(SHOP)
  await expect(dispatch(octokit)).rejects.toThrow()
  expect(api.runs).toHaveLength(create ? 2 : 0)
  expect(api.requests.map(({ status }) => status)).toEqual([500, 200, undefined])
})

test('GitHub goes down and comes back, here as an Enterprise Server', async () => {
  const octokit = await start({ enterprise: true })
  expect(api.url).toBe(`${api.serverUrl}/api/v3`)
  await api.failures.down()
  await expect(dispatch(octokit)).rejects.toThrow()
  await api.start()
  expect((await dispatch(octokit)).status).toBe(204)
  expect(api.requests.map(({ path }) => path)).toEqual(['/api/v3/repos/acme/shop/dispatches'])
})
