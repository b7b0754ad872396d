import type { Octokit } from '@octokit/rest'
import { afterEach, expect, test } from 'vitest'
import { type GitHubApi, startGitHubApi } from '../tools/simulator/github/github.ts'
import { octokitFor, refusalOf } from './support/github-api/octokit-for.ts'

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

test('a dispatch is accepted with 204, kept, and passed on to its listeners', async () => {
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
  const { status, body: response } = await refusalOf(
    octokit.request('POST /repos/acme/shop/dispatches', body),
  )
  expect(status).toBe(422)
  expect(response).toMatchObject({ message: expect.stringContaining(words), status: '422' })
  expect(api.dispatches).toEqual([])
})

test('the largest payloads are accepted', async () => {
  const octokit = await start()
  expect((await dispatch(octokit, many(10), 'e'.repeat(100))).status).toBe(204)
  expect((await dispatch(octokit, { a: long.slice(1) })).status).toBe(204)
})

test('a bad, an expired and a missing token are distinguished from one that may not', async () => {
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

test('limits are reported in the headers GitHub uses', async () => {
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

const INPUTS = {
  service: { required: true },
  flag: { type: 'boolean' as const, default: false },
  size: { type: 'choice' as const, options: ['s', 'l'], default: 's' },
  count: { type: 'number' as const, default: 1, required: true },
}
const TYPED = { ...DEPLOY, dispatch: { inputs: INPUTS, runName: (inputs: object) => JSON.stringify(inputs) } }
const dispatchWorkflow = (octokit: Octokit, body: object = {}) =>
  octokit.request('POST /repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches', {
    ...SHOP,
    workflow_id: 'deploy.yml',
    ref: 'main',
    inputs: { service: 'web' },
    ...body,
  })

test('a workflow_dispatch makes a run, with defaults for the inputs that are left out', async () => {
  const octokit = await start()
  api.addRepository('acme/shop', { workflows: [TYPED], refs: ['v1'] })
  const heard: unknown[] = []
  api.onWorkflowDispatch(({ runId }) => heard.push(runId))
  const { status, data } = await dispatchWorkflow(octokit, { return_run_details: true })
  const [run] = api.runs
  expect(status).toBe(200)
  expect(data).toMatchObject({ workflow_run_id: run!.id, html_url: expect.stringContaining('/runs/') })
  expect(run).toMatchObject({ event: 'workflow_dispatch', headBranch: 'main', name: 'Deploy' })
  expect(JSON.parse(run!.displayTitle)).toEqual({ service: 'web', flag: 'false', size: 's', count: '1' })
  expect((await dispatchWorkflow(octokit, { ref: 'refs/tags/v1' })).status).toBe(204)
  await poll(() => heard).toEqual(api.runs.map(({ id }) => id))
})

test.each<[string, object, number, string]>([
  ['an input not declared', { inputs: { 'a"b': '1' } }, 422, 'Unexpected inputs provided: ["a\\"b"]'],
  ['no required input', { inputs: {} }, 422, "Required input 'service' not provided"],
  [
    'a boolean that is none',
    { inputs: { service: 'x', flag: 'yes' } },
    422,
    "Provided value 'yes' for input 'flag' not in the list of allowed values",
  ],
  [
    'a choice that is none',
    { inputs: { service: 'x', size: 'xl' } },
    422,
    "Provided value 'xl' for input 'size' not in the list of allowed values",
  ],
  ['a ref that is not there', { ref: 'nope' }, 422, 'No ref found for: nope'],
  ['26 inputs', { inputs: many(26) }, 422, 'No more than 25 properties are allowed; 26 were supplied.'],
  ['too much in its inputs', { inputs: { service: long } }, 422, 'inputs are too large.'],
  ['a workflow that is not there', { workflow_id: 'other.yml' }, 404, 'Not Found'],
  [
    'a workflow without the trigger',
    { workflow_id: 'push.yml' },
    422,
    "Workflow does not have 'workflow_dispatch' trigger",
  ],
  [
    'a workflow that is disabled',
    { workflow_id: 'off.yml' },
    422,
    "Cannot trigger a 'workflow_dispatch' on a disabled workflow",
  ],
])('a workflow_dispatch with %s is refused', async (_, body, status, words) => {
  const octokit = await start()
  const push = { ...DEPLOY, path: '.github/workflows/push.yml' }
  const off = { ...TYPED, path: '.github/workflows/off.yml', state: 'disabled_manually' as const }
  api.addRepository('acme/shop', { workflows: [TYPED, push, off] })
  const refusal = await refusalOf(dispatchWorkflow(octokit, body))
  expect(refusal).toMatchObject({ status, body: { message: expect.stringContaining(words) } })
  expect(api.runs).toEqual([])
})

test('a workflow_dispatch needs Actions: write', async () => {
  await start()
  const reader = api.createToken({ permissions: { actions: 'read', contents: 'write' } })
  expect(await refusalOf(dispatchWorkflow(as(reader)))).toMatchObject({
    status: 403,
    headers: { 'x-accepted-github-permissions': 'actions=write' },
  })
})

test('older servers ignore return_run_details, or refuse it', async () => {
  for (const runDetails of ['ignored', 'refused'] as const) {
    const octokit = await start({ runDetails })
    api.addRepository('acme/shop', { workflows: [TYPED] })
    expect((await dispatchWorkflow(octokit)).status).toBe(204)
    const asked = dispatchWorkflow(octokit, { return_run_details: true })
    if (runDetails === 'ignored') expect((await asked).status).toBe(204)
    else expect(await refusalOf(asked)).toMatchObject({ status: 422 })
    if (runDetails === 'ignored') await api.close()
  }
})

test('a renamed repository is found under its id, by what it was called before', async () => {
  const octokit = await start()
  api.renameRepository('acme/shop', 'other/store')
  expect((await octokit.repos.get(SHOP)).data.full_name).toBe('other/store')
  const { status, headers } = await octokit.request('POST /repos/acme/shop/dispatches', {
    event_type: 'deploy',
    request: { redirect: 'manual' },
  })
  expect(status).toBe(307)
  expect(headers.location).toMatch(/\/repositories\/\d+\/dispatches$/)
  expect((await octokit.request(`POST ${headers.location}`, { event_type: 'deploy' })).status).toBe(204)
  expect(api.dispatches).toMatchObject([{ repository: 'other/store' }])
})

test('a run is cancelled once, by those who may', async () => {
  const octokit = await start()
  const run = api.createRun({ repository: 'acme/shop' })
  const cancel = (who: Octokit) => who.actions.cancelWorkflowRun({ ...SHOP, run_id: run.id })
  const reader = as(api.createToken({ permissions: { actions: 'read' } }))
  expect(await refusalOf(cancel(reader))).toMatchObject({ status: 403 })
  expect((await cancel(octokit)).status).toBe(202)
  expect(await refusalOf(cancel(octokit))).toMatchObject({
    status: 409,
    body: { message: 'Cannot cancel a workflow run that is completed.' },
  })
  expect(api.runs).toMatchObject([{ status: 'completed', conclusion: 'cancelled' }])
})

test('a run waits until all reviewers have approved, or one has rejected', async () => {
  const octokit = await start()
  const [one, two] = [1, 2].map(() => api.createRun({ repository: 'acme/shop' }).id) as [number, number]
  const environments = ['eu', 'us'].map(environment => ({ environment, reviewers: ['octocat', 'team:ops'] }))
  for (const id of [one, two]) api.awaitReview(id, environments)
  const read = async (id: number) => (await octokit.actions.getWorkflowRun({ ...SHOP, run_id: id })).data
  const decision = { user: 'octocat', comment: '' }
  api.review(one, { ...decision, environment: 'eu', state: 'approved' })
  expect(await read(one)).toMatchObject({ status: 'waiting' })
  api.review(one, { ...decision, environment: 'us', state: 'approved' })
  expect(await read(one)).toMatchObject({ status: 'queued' })
  api.review(two, { ...decision, environment: 'us', state: 'rejected' })
  expect(await read(two)).toMatchObject({ status: 'completed', conclusion: 'failure' })
})
