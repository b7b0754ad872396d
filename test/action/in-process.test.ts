import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openRunner } from './open-runner.ts'
import { openStage, REPOSITORY, type Stage } from './play.ts'

// The other files run the bundles; here the sources run in this process, so that their coverage is measured.

/** The run of openRunner in GitHub, with its job. */
function showJob(
  { github }: Stage,
  steps: { name: string; number?: number; conclusion?: string; status?: 'in_progress' | 'queued' }[],
) {
  github.createRun({ id: 16_000_000_042, repository: REPOSITORY })
  const seconds = (second: number) =>
    new Date(Date.UTC(2026, 10, 24, 12, 0, second)).toISOString().replace('.000', '')
  const shown = steps.map(({ name, number, status, conclusion = 'success' }, index) => ({
    name,
    number: number ?? index + 1,
    started_at: seconds(index * 10),
    ...(status
      ? { status, conclusion: null, completed_at: null }
      : { status: 'completed' as const, conclusion, completed_at: seconds(index * 10 + 7) }),
  }))
  const others = Array.from({ length: 100 }, (_, index) => ({
    name: `leg ${index}`,
    status: 'queued' as const,
  }))
  const own = { name: 'deploy', status: 'in_progress' as const, runner_name: 'rack-7', steps: shown }
  github.setJobs(16_000_000_042, 1, [...others, own])
}

test('main and post report a run; the job is found on the second page of GitHub, and its own steps are left out', async () => {
  const stage = await openStage()
  showJob(stage, [
    { name: 'Set up job' },
    { name: 'Run org/port-webhook-action@v1' },
    { name: 'Build' },
    { name: 'Lint', conclusion: 'failure' },
    { name: 'Notify', conclusion: 'skipped' },
    { name: 'Post to the channel' },
    { name: 'Clean up', status: 'queued' },
    { name: 'Post Build', number: 14 },
  ])
  const runner = openRunner(stage)
  expect(await runner.run('main')).toEqual([])
  expect(await runner.run('post', runner.state())).toEqual([])
  expect(stage.run.logs.at(-1)!.message.split('\n').slice(0, -1)).toEqual([
    '✓ Build (7 s)',
    '✗ Lint: failure (7 s)',
    '– Notify: skipped',
    '✓ Post to the channel (7 s)',
    '– Clean up: not run',
  ])
  expect(stage.run).toMatchObject({ status: 'SUCCESS', statusLabel: 'Succeeded' })
  expect(stage.github.requests.map(({ path }) => path.split('?')[1])).toEqual([
    'per_page=100&page=1',
    'per_page=100&page=2',
  ])
})

test('a step that GitHub still shows as running is asked for once more, and then told as it stands', async () => {
  const stage = await openStage()
  showJob(stage, [{ name: 'Deploy', status: 'in_progress' }])
  const runner = openRunner(stage)
  await runner.run('main')
  await runner.run('post', runner.state())
  expect(stage.run.logs.at(-1)!.message).toMatch(/^– Deploy: still running\n/)
  expect(stage.github.requests).toHaveLength(3)
})

test('a job that GitHub does not list, or no token to ask with, is a notice', async () => {
  const stage = await openStage()
  showJob(stage, [])
  const runner = openRunner(stage, { report: 'progress' })
  await runner.run('main')
  expect(await runner.run('post', { ...runner.state(), RUNNER_NAME: 'another' })).toEqual([
    '::notice::Port is not shown the steps of this job: GitHub does not list it among the jobs of its run. ' +
      'See https://github.com/org/port-webhook-action/blob/v1/docs/errors.md#steps',
  ])
  expect(await runner.run('post', { ...runner.state(), 'INPUT_GITHUB-TOKEN': '' })).toEqual([
    '::notice::Port is not shown the steps of this job: github-token is empty. Give the job "permissions: actions: ' +
      'read" (and leave github-token to its default). See https://github.com/org/port-webhook-action/blob/v1/docs/errors.md#steps',
  ])
})

test('post without a state has nothing to do, and never fails a job by what it finds broken', async () => {
  const stage = await openStage()
  const runner = openRunner(stage)
  expect(await runner.run('post')).toEqual([])
  expect(await runner.run('post', { STATE_report: '{' })).toEqual([
    expect.stringMatching(/^::warning::Port could not be told: /),
  ])
  expect(process.exitCode).toBe(0)
})

test('post goes on to the final status when Port did not take all of the log', async () => {
  const stage = await openStage()
  showJob(stage, [])
  const runner = openRunner(stage)
  await runner.run('main')
  stage.port.fail({ match: ({ path }) => path.endsWith('/logs'), status: 400 })
  expect(await runner.run('post', runner.state())).toEqual([
    expect.stringMatching(/^::warning::Port did not take all of the log: Port \(.*\) answered 400/),
  ])
  expect(stage.run.status).toBe('SUCCESS')
  expect(process.exitCode).toBe(0)

  stage.port.fail({ match: ({ path }) => path.endsWith('/logs'), status: 400 })
  await runner.run('post', { ...runner.state(), 'INPUT_FAIL-ON-REPORT-ERROR': 'true' })
  expect(process.exitCode).toBe(1)
})

test('post finds out what main could not: the run ended meanwhile, or Port knows no such run', async () => {
  const stage = await openStage()
  showJob(stage, [])
  const runner = openRunner(stage)
  stage.port.fail({ status: 503, headers: { 'retry-after': '60' } })
  expect(await runner.run('main')).toEqual([
    expect.stringMatching(/^::warning::Port could not be told: .* 503/),
  ])
  stage.port.endRun(stage.run.id, 'SUCCESS')
  expect(await runner.run('post', runner.state())).toEqual([
    expect.stringMatching(/^::notice::Port's run .* has already ended/),
  ])
  const unknown = JSON.stringify({ ...JSON.parse(runner.state().STATE_report!), runId: 'r_nobody' })
  expect(await runner.run('post', { STATE_report: unknown })).toEqual([
    expect.stringMatching(/^::warning::Port could not be told: .* it knows no run r_nobody/),
  ])
})

const SEE_RUNNER = ' See https://github.com/org/port-webhook-action/blob/v1/docs/errors.md#runner'

test('what the runner does not give, or not as it should, is an error that says so', async () => {
  const stage = await openStage()
  const job = openRunner(stage)
  const at = (name: string) => join(job.folder, name)
  writeFileSync(at('bad.json'), '{"client_payload" of Ada')
  const cases: [Record<string, string>, string][] = [
    [
      { RUNNER_TEMP: '' },
      'The action could not start: RUNNER_TEMP is not set: this runs as an action of a GitHub workflow.',
    ],
    [
      { RUNNER_TEMP: at('none') },
      `The action could not start: ENOENT: no such file or directory, open '${at('none/port-log-d_1.txt')}'`,
    ],
    [
      { GITHUB_EVENT_PATH: at('bad.json') },
      `The event of this run (GITHUB_EVENT_PATH, ${at('bad.json')}) could not be read: it is not JSON.`,
    ],
    [
      { GITHUB_EVENT_PATH: at('none.json') },
      `The event of this run (GITHUB_EVENT_PATH, ${at('none.json')}) could not be read: ENOENT: no such file or directory, open '${at('none.json')}'.`,
    ],
  ]
  for (const [env, sentence] of cases) {
    expect(await job.run('main', env)).toEqual([`::error::${sentence}${SEE_RUNNER}`])
  }
  expect(stage.port.requests).toEqual([])
})

test('main says what it cannot do: outside of a workflow, as a duplicate, in a matrix, without a run', async () => {
  const stage = await openStage()
  const runner = openRunner(stage)
  expect(await runner.run('main', { GITHUB_RUN_ID: '' })).toEqual([
    `::error::The action could not start: GITHUB_RUN_ID is not set: this runs as an action of a GitHub workflow.${SEE_RUNNER}`,
  ])
  stage.run.externalRunId = '7'
  const main = openRunner(stage, { matrix: '{"region":"eu"}' })
  expect(await main.run('main')).toEqual([
    expect.stringMatching(/^::warning::This job is a leg of a matrix/),
    expect.stringMatching(/^::error::Port's run .* already runs in another workflow run, 7/),
  ])
  expect(process.exitCode).toBe(1)
  expect(main.state()).toEqual({})
})
