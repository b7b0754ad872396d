import { appendFileSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createStepLister } from '../../action/runner/jobs.ts'
import { createFetch, type Workflow } from '../../action/runner/runner.ts'
import type { Fault } from '../../simulator/http-server.ts'
import { useNock } from '../support/nock.ts'
import { openRunner, seeAlso } from './open-runner.ts'
import { REPOSITORY, type System, startSystem } from './play.ts'

// Tests how the action reads the job and its steps from GitHub. nock mocks single responses, and the fake GitHub runs whole jobs.

const nock = useNock()
const GITHUB = 'https://github.acme.example'
const JOBS = `/api/v3/repos/${REPOSITORY}/actions/runs/42/attempts/1/jobs`
const WORKFLOW = {
  repository: REPOSITORY,
  runId: '42',
  attempt: '1',
  job: 'deploy',
  apiUrl: `${GITHUB}/api/v3`,
  action: 'org/port-webhook-action@v1',
} as Workflow

beforeEach(() => nock.disableNetConnect())
afterEach(() => {
  const pending = nock.pendingMocks()
  nock.cleanAll()
  nock.enableNetConnect()
  expect(pending).toEqual([])
})

const OWN = 'Run org/port-webhook-action@v1'

const PREPARED = [
  'Pull ghcr.io/acme/lint:1.2',
  'Build acme/scan/docker@v1',
  'Set up runner',
  'Initialize containers',
]
const RESEMBLING = ['Build image', 'Pull alpine', 'Set up runner', 'Run acme/scan@v1']
/** Columns: the steps before those of the author, the author's steps, and the steps after them. */
test.each<[string[], string[], string[]]>([
  [
    ['Set up job', 'Pre Check out', OWN],
    ['Check out', 'Pre Migrate', 'Migrate', 'Post Migrate'],
    ['Post Check out', `Post ${OWN}`, 'Complete job'],
  ],
  [['Set up job'], ['Migrate', 'Post Migrate'], ['Complete job']],
  [
    ['Set up job', 'Pull alpine:3', ...PREPARED, 'Pre Run acme/scan@v1', OWN],
    RESEMBLING,
    ['Post Run acme/scan@v1', 'Complete runner', 'Complete job'],
  ],
  ...['Build image', 'Pull the image', 'Pull images', 'Build shop for a@b'].map(
    (name): [string[], string[], string[]] => [['Set up job'], [name, 'Build acme/scan@v1'], []],
  ),
  [[], ['Pull alpine'], []],
])(
  "recognizes the runner's own steps by position and name: after %j, %j are the author's",
  async (...steps) => {
    const [before, own] = steps
    // The runner leaves a gap before the numbers of post steps.
    const numbered = steps.flat().map((name, index) => ({
      number: index + 1 + (index >= before.length + own.length ? 10 : 0),
      name,
      status: 'completed',
    }))
    const jobs = [{ id: 7, steps: numbered }]
    nock(GITHUB).get(JOBS).query({ per_page: 100, page: 1 }).reply(200, { total_count: 1, jobs })
    const access = { token: 't', checkRunId: '7' }
    const listSteps = createStepLister(WORKFLOW, access, { fetch: createFetch(), clock: () => 0 })
    const found = (await listSteps())!.steps.filter(step => step.authors).map(({ name }) => name)
    expect(found).toEqual(own)
  },
)

/** The last message in Port's log, without the line about the job. */
const stepsOf = ({ run }: System) => run.logs.at(-1)!.message.split('\n').slice(0, -1)

interface ShownStep {
  name: string
  number?: number
  conclusion?: string
  status?: 'in_progress' | 'queued'
  /** In seconds. */
  took?: number
}

/** Adds openRunner's job to GitHub after a hundred other jobs. `ended` lists other jobs that have finished. */
function showJob({ github }: System, steps: (ShownStep | string)[], ended: Record<string, string> = {}) {
  nock.enableNetConnect('127.0.0.1')
  github.createRun({ id: 16_000_000_042, repository: REPOSITORY })
  const time = (second: number) =>
    new Date(Date.UTC(2026, 10, 24, 12, 0, second)).toISOString().replace('.000', '')
  const all = steps.map(step => (typeof step === 'string' ? { name: step } : step))
  const shown = all.map(({ name, number, status, conclusion = 'success', took = 7 }, index) => ({
    name,
    number: number ?? index + 1,
    started_at: time(index * 10),
    ...(status
      ? { status, conclusion: null, completed_at: null }
      : { status: 'completed' as const, conclusion, completed_at: time(index * 10 + took) }),
  }))
  const others = Array.from({ length: 100 }, (_, index) => ({
    name: `leg ${index}`,
    status: 'queued' as const,
  }))
  const own = { name: 'deploy', status: 'in_progress' as const, runner_name: 'rack-7', steps: shown }
  const status = 'completed' as const
  const before = Object.entries(ended).map(([name, conclusion]) => ({ name, status, conclusion }))
  return github.setJobs(16_000_000_042, 1, [...before, ...others.slice(before.length), own])
}

test('even if the job is on the second page, the log shows the result and duration of each step of the author', async () => {
  const system = await startSystem()
  showJob(system, [
    ...['Set up job', OWN, 'Build'],
    { name: 'Lint', conclusion: 'failure', took: 63 },
    { name: 'Wait', conclusion: 'cancelled', took: 7_500 },
    { name: 'Notify', conclusion: 'skipped' },
    { name: 'New', conclusion: 'neutral' },
    'Post to the channel',
    { name: 'Clean up', status: 'queued' },
    { name: 'Post Build', number: 24 },
  ])
  const job = openRunner(system)
  expect(await job.run('main')).toEqual([])
  appendFileSync(job.saved().files.entities, '{"blueprint":"service","identifier":"shop"}\n')
  expect(await job.post()).toEqual([])
  expect(stepsOf(system)).toEqual([
    '✓ Build (7 s)',
    '✗ Lint: failure (1 min 3 s)',
    '✗ Wait: cancelled (2 h 5 min)',
    '– Notify: skipped',
    '– New: neutral (7 s)',
    '✓ Post to the channel (7 s)',
    '– Clean up: not run',
    '✓ Entity service/shop',
  ])
  expect(system.github.requests.map(({ path }) => path.split('?')[1])).toEqual([
    'per_page=100&page=1',
    'per_page=100&page=2',
  ])
})

test.each([
  ['with', 'read' as const],
  ['without', 'none' as const],
])('the log states why the job and earlier jobs failed, %s Checks: read', async (_, checks) => {
  const system = await startSystem()
  const ended = { build: 'failure', lint: 'success' }
  const jobs = showJob(system, [OWN, { name: 'Deploy', conclusion: 'failure' }], ended)
  const idOf = (job: string) => jobs.find(({ name }) => name === job)!.id
  const at = { path: 'deploy.sh', start_line: 3, annotation_level: 'failure' as const }
  system.github.setAnnotations(idOf('build'), [{ ...at, message: 'no such image' }])
  system.github.setAnnotations(idOf('deploy'), [
    { ...at, annotation_level: 'notice', message: 'done' },
    { ...at, path: '.github', message: 'Process completed with exit code 1.' },
    ...Array.from({ length: 9 }, () => ({ ...at, message: 'no such release: hunter2' })),
  ])
  const token = system.github.createToken({ kind: 'integration', permissions: { actions: 'read', checks } })
  const needs = '{"build":{"result":"failure"}}'
  const job = openRunner(system, { 'github-token': token, mask: 'hunter2', needs })
  await job.run('main')
  expect(await job.post({ 'INPUT_JOB-STATUS': 'failure' })).toEqual([])
  expect(stepsOf(system)).toEqual([
    ...(checks === 'read'
      ? [...Array(9).fill('deploy.sh:3: no such release: ***'), 'deploy.sh:3: no such image']
      : []),
    '✗ Deploy: failure (7 s)',
    '✗ Job build: failure',
  ])
})

const LIMITED =
  ': github-token has reached its rate limit, which all jobs of the repository share (1,000 requests per hour).'
const FORBIDDEN = '. Give the job "permissions: actions: read" (and don\'t set github-token).'

const EXHAUSTED = { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1795600000' }
const SECONDARY = { message: 'You have exceeded a secondary rate limit.' }

test.each<[string, Fault, string]>([
  ['a missing permission', { status: 403 }, FORBIDDEN],
  ['a GitHub failure', { status: 502 }, '.'],
  ['an exhausted rate limit', { status: 403, headers: EXHAUSTED }, LIMITED],
  ['a secondary rate limit', { status: 403, body: SECONDARY }, LIMITED],
])('%s causes a notice, and the final status is sent anyway', async (_, failure, reason) => {
  const system = await startSystem()
  showJob(system, ['Build'])
  const job = openRunner(system)
  await job.run('main')
  system.github.fail(failure)
  expect(await job.post()).toEqual([
    `::notice::The steps of this job aren't reported to Port: GitHub responded with ${failure.status} to GET ` +
      `/repos/${REPOSITORY}/actions/runs/16000000042/attempts/1/jobs${reason}${seeAlso('steps')}`,
  ])
  expect(system.run.status).toBe('SUCCESS')
})
