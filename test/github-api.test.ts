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
const poll = (found: () => unknown) => expect.poll(found, { interval: 5, timeout: 10_000 })

test('a dispatch is accepted with 204, kept, and told to those who listen', async () => {
  const octokit = await start()
  const heard: unknown[] = []
  const stop = api.onDispatch(({ eventType }) => heard.push(eventType))
  const { status, headers } = await dispatch(octokit)
  expect(status).toBe(204)
  expect(headers).toMatchObject({ 'x-ratelimit-limit': '5000', 'x-ratelimit-remaining': '4999' })
  expect(headers['x-github-request-id']).toMatch(/^[0-9A-F:]+$/)
  expect((await dispatch(octokit, {}, 'nobody-listens')).status).toBe(204)
  expect(api.dispatches).toMatchObject([
    {
      repository: 'acme/shop',
      eventType: 'deploy',
      clientPayload: { run_id: 'r_1' },
      authorization: `token ${api.token}`,
    },
    { eventType: 'nobody-listens', clientPayload: {} },
  ])
  await poll(() => heard).toEqual(['deploy', 'nobody-listens'])
  stop()
  expect(api.runs).toEqual([])
})

const long = 'x'.repeat(65_535 - '{"a":""}'.length)
const many = (n: number) => Object.fromEntries(Array.from({ length: n }, (_, index) => [`k${index}`, index]))
test.each([
  [
    'eleven properties',
    { client_payload: many(11) },
    'No more than 10 properties are allowed; 11 were supplied.',
  ],
  ['65,535 bytes of payload', { client_payload: { a: long } }, 'client_payload is too large.'],
  [
    'a payload that is a list',
    { client_payload: [1] },
    "For 'properties/client_payload', [1] is not an object.",
  ],
  [
    'a long event type',
    { event_type: 'e'.repeat(101) },
    'Only 100 characters are allowed; 101 were supplied.',
  ],
  ['no event type', { event_type: undefined, client_payload: {} }, '"event_type" wasn\'t supplied.'],
  ['a key that GitHub does not know', { inputs: {} }, '"inputs" is not a permitted key.'],
])('a dispatch with %s is refused with 422', async (_, given, words) => {
  const octokit = await start()
  const body = { event_type: 'deploy', ...given }
  const { status, body: answer } = await refusalOf(octokit.request('POST /repos/acme/shop/dispatches', body))
  expect(status).toBe(422)
  expect(answer).toMatchObject({ message: expect.stringContaining(words), status: '422' })
  expect(api.dispatches).toEqual([])
})

test('the largest payloads are accepted', async () => {
  const octokit = await start()
  expect((await dispatch(octokit, many(10), 'e'.repeat(100))).status).toBe(204)
  expect((await dispatch(octokit, { a: long.slice(1) })).status).toBe(204)
})

test('a bad, an expired and a missing token are told apart from one that may not', async () => {
  await start()
  const all = { contents: 'write', actions: 'read' } as const
  expect(await refusalOf(dispatch(as('nonsense')))).toMatchObject({
    status: 401,
    body: { message: 'Bad credentials' },
  })
  const expired = api.createToken({ expiresAt: Date.now() - 1 })
  expect(await refusalOf(dispatch(as(expired)))).toMatchObject({ status: 401 })
  const blind = api.createToken({ repositories: ['acme/other'], permissions: all })
  expect(await refusalOf(dispatch(as(blind)))).toMatchObject({ status: 404, body: { message: 'Not Found' } })
  const reader = api.createToken({ permissions: { contents: 'read' } })
  expect(await refusalOf(dispatch(as(reader)))).toMatchObject({
    status: 403,
    headers: { 'x-accepted-github-permissions': 'contents=write' },
    body: { message: 'Resource not accessible by personal access token' },
  })
  const job = api.createToken({ kind: 'integration', permissions: { contents: 'write' } })
  expect(await refusalOf(as(job).actions.listWorkflowRunsForRepo(SHOP))).toMatchObject({
    status: 403,
    headers: { 'x-accepted-github-permissions': 'actions=read' },
    body: { message: 'Resource not accessible by integration' },
  })
  api.addRepository('acme/locked', { permissions: { contents: 'read' } })
  const locked = { owner: 'acme', repo: 'locked', event_type: 'deploy' }
  expect(await refusalOf(as(api.token).repos.createDispatchEvent(locked))).toMatchObject({ status: 403 })
})

test('a run appears by itself where a workflow listens, titled by its run-name', async () => {
  const octokit = await start({ autoRun: true, runDelayMs: 500 })
  await dispatch(octokit)
  await dispatch(octokit, {}, 'other')
  expect(api.runs).toEqual([])
  await poll(() => api.runs).toMatchObject([{ displayTitle: 'deploy r_1', status: 'queued', runAttempt: 1 }])
  const { data } = await octokit.actions.listWorkflowRunsForRepo({ ...SHOP, event: 'repository_dispatch' })
  expect(data.workflow_runs[0]).toMatchObject({
    display_title: 'deploy r_1',
    path: DEPLOY.path,
    event: 'repository_dispatch',
  })
})

test('runs are found by event, status and time, newest first, in pages', async () => {
  const octokit = await start()
  for (const minute of [1, 2, 3]) {
    api.createRun({
      repository: 'acme/shop',
      displayTitle: `r_${minute}`,
      createdAt: `2026-03-01T10:0${minute}:00Z`,
    })
  }
  const [first, second] = api.runs as [(typeof api.runs)[0], (typeof api.runs)[0]]
  api.setRun(first.id, { status: 'completed', conclusion: 'startup_failure' })
  api.setRun(second.id, { event: 'push' })
  const titles = async (query: object) => {
    const { data } = await octokit.actions.listWorkflowRunsForRepo({ ...SHOP, ...query })
    return data.workflow_runs.map(run => run.display_title)
  }
  expect(await titles({})).toEqual(['r_3', 'r_2', 'r_1'])
  expect(await titles({ event: 'repository_dispatch' })).toEqual(['r_3', 'r_1'])
  expect(await titles({ created: '>=2026-03-01T10:02:00Z' })).toEqual(['r_3', 'r_2'])
  expect(await titles({ created: '2026-03-01T10:01:00Z..2026-03-01T10:02:00Z' })).toEqual(['r_2', 'r_1'])
  expect(await titles({ created: '2026-03-01T10:03:00Z..*' })).toEqual(['r_3'])
  expect(await titles({ created: '<2026-03-01' })).toEqual([])
  expect(await titles({ created: '2026-03-01' })).toHaveLength(3)
  expect(await titles({ status: 'startup_failure' })).toEqual(['r_1'])
  expect(await titles({ per_page: 2, page: 2 })).toEqual(['r_1'])
  const everything = octokit.paginate(octokit.actions.listWorkflowRunsForRepo, { ...SHOP, per_page: 1 })
  expect(await everything).toHaveLength(3)
  expect(await refusalOf(titles({ created: '>=yesterday' }))).toMatchObject({ status: 422 })
})

test('an unchanged answer is 304 and counts no request', async () => {
  const octokit = await start()
  const { headers } = await octokit.actions.listWorkflowRunsForRepo(SHOP)
  const again = () =>
    octokit.actions.listWorkflowRunsForRepo({ ...SHOP, headers: { 'if-none-match': headers.etag as string } })
  expect(await refusalOf(again())).toMatchObject({ status: 304 })
  expect((await octokit.rateLimit.get()).data.rate).toMatchObject({ limit: 5000, used: 1 })
  api.createRun({ repository: 'acme/shop' })
  expect((await again()).data.total_count).toBe(1)
})

test('jobs are read by attempt, and their log only when they have ended', async () => {
  const octokit = await start()
  const run = api.createRun({ repository: 'acme/shop', status: 'in_progress' })
  api.setJobs(run.id, 1, [{ name: 'deploy', status: 'completed', conclusion: 'failure' }])
  const steps = [{ name: 'Build', status: 'completed' as const, conclusion: 'success' }, { name: 'Ship' }]
  const [job] = api.setJobs(run.id, 2, [{ name: 'deploy', runner_name: 'runner-7', steps }])
  const id = job?.id as number
  const jobs = await octokit.actions.listJobsForWorkflowRunAttempt({
    ...SHOP,
    run_id: run.id,
    attempt_number: 2,
  })
  expect(jobs.data.jobs).toMatchObject([
    {
      id,
      run_attempt: 2,
      runner_name: 'runner-7',
      steps: [{ number: 1, conclusion: 'success' }, { status: 'queued' }],
    },
  ])
  const all = await octokit.actions.listJobsForWorkflowRun({ ...SHOP, run_id: run.id, filter: 'all' })
  expect(all.data.jobs.map(one => one.run_attempt)).toEqual([1, 2])
  expect((await octokit.actions.getWorkflowRun({ ...SHOP, run_id: run.id })).data.run_attempt).toBe(2)

  api.setJobLog(id, 'line 1\nline 2\n')
  const log = () => octokit.actions.downloadJobLogsForWorkflowRun({ ...SHOP, job_id: id })
  const running = await refusalOf(log())
  expect(running.status).toBe(404)
  expect(new TextDecoder().decode(running.body as ArrayBuffer)).toContain('<Code>BlobNotFound</Code>')
  api.setJobs(run.id, 2, [{ id, name: 'deploy', status: 'completed', conclusion: 'success' }])
  expect((await log()).data).toBe('line 1\nline 2\n')
})

test('a repository shows its default branch and its workflows', async () => {
  const octokit = await start()
  const { data } = await octokit.repos.get(SHOP)
  expect(data).toMatchObject({ full_name: 'acme/shop', default_branch: 'main', permissions: { push: true } })
  const workflows = await octokit.actions.listRepoWorkflows(SHOP)
  expect(workflows.data.workflows).toMatchObject([{ name: 'Deploy', path: DEPLOY.path, state: 'active' }])
})

test('an App finds its installation and acts by tokens that hold only what it may', async () => {
  await start()
  api.addRepository('acme/other')
  const app = api.createApp({ permissions: { contents: 'write' }, repositories: ['acme/shop'] })
  const octokit = as({ app })
  expect((await octokit.apps.getAuthenticated()).data).toMatchObject({ slug: app.slug })
  const { data } = await octokit.apps.getRepoInstallation(SHOP)
  expect(data).toMatchObject({ id: app.installationId, app_id: app.id, repository_selection: 'selected' })
  expect(await refusalOf(octokit.apps.getRepoInstallation({ owner: 'acme', repo: 'other' }))).toMatchObject({
    status: 404,
  })

  const installed = as({ app, installationId: data.id })
  expect((await dispatch(installed)).status).toBe(204)
  expect(api.dispatches[0]?.authorization).toMatch(/^token ghs_.{500}/)
  expect(await refusalOf(installed.actions.listWorkflowRunsForRepo(SHOP))).toMatchObject({ status: 403 })
  const ask = (wish: object) =>
    octokit.apps.createInstallationAccessToken({ installation_id: data.id, ...wish })
  expect((await ask({ repositories: ['shop'] })).data.repositories).toMatchObject([
    { full_name: 'acme/shop' },
  ])
  expect(await refusalOf(ask({ repositories: ['other'] }))).toMatchObject({ status: 422 })
  expect(await refusalOf(ask({ permissions: { actions: 'read' } }))).toMatchObject({ status: 422 })
  const stranger = as({ app: { ...app, privateKey: api.createApp().privateKey } })
  expect(await refusalOf(stranger.apps.getAuthenticated())).toMatchObject({ status: 401 })
})
