import { expect, onTestFinished, test } from 'vitest'
import type { Trouble } from '../support/http-server.ts'
import { openRunner } from './open-runner.ts'
import { openStage, REPOSITORY, type Stage } from './play.ts'

const seeAlso = (topic: string) =>
  ` See https://github.com/org/port-webhook-action/blob/v1/docs/errors.md#${topic}`

/** The job of openRunner in GitHub, with completed steps. */
function showSteps({ github }: Pick<Stage, 'github'>, names: string[]) {
  github.createRun({ id: 16_000_000_042, repository: REPOSITORY })
  const steps = names.map((name, index) => ({
    name,
    number: index + 1,
    status: 'completed' as const,
    conclusion: 'success',
    started_at: '2026-11-24T12:00:00Z',
    completed_at: '2026-11-24T12:00:07Z',
  }))
  github.setJobs(16_000_000_042, 1, [{ name: 'deploy', status: 'in_progress', runner_name: 'rack-7', steps }])
}

test('used first with report: off, or without credentials, it leaves the report to the use after it', async () => {
  const stage = await openStage()
  for (const inputs of [{ report: 'off' }, { 'port-client-id': '', 'port-client-secret': '' }]) {
    const job = openRunner(stage, { 'github-token': '' })
    const silent = Object.fromEntries(
      Object.entries(inputs).map(([name, value]) => [`INPUT_${name.toUpperCase()}`, value]),
    )
    expect(await job.run('main', silent)).toHaveLength(1)
    expect(job.state()).toEqual({})
    expect(await job.run('main')).toEqual([])
    expect(job.state().STATE_report).toContain(stage.run.id)
    expect(await job.run('main')).toEqual(['An earlier step of this job reports this run to Port.'])
  }
})

test("GitHub's limit of requests is no missing permission", async () => {
  const stage = await openStage()
  showSteps(stage, ['Build'])
  const job = openRunner(stage, { report: 'progress' })
  await job.run('main')
  const troubles: Trouble[] = [
    { status: 403, headers: { 'retry-after': '60' } },
    { status: 403, headers: { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1795600000' } },
    { status: 403, body: { message: 'You have exceeded a secondary rate limit.' } },
    { status: 429 },
  ]
  for (const trouble of troubles) {
    stage.github.fail(trouble)
    expect(await job.run('post', job.state())).toEqual([
      `::notice::Port is not shown the steps of this job: GitHub answered ${trouble.status} to GET ` +
        `/repos/${REPOSITORY}/actions/runs/16000000042/attempts/1/jobs: the limit of requests is reached that ` +
        `github-token shares with all jobs of the repository (1,000 an hour).${seeAlso('steps')}`,
    ])
  }
})

test('used by a path, it knows its own step, and no other', async () => {
  const stage = await openStage()
  showSteps(stage, ['Set up job', 'Run ./tools', 'Run ./path/to/action', 'Build'])
  const workspace = '/home/runner/work/shop/shop'
  const job = openRunner(stage, {}, { GITHUB_ACTION_REPOSITORY: '', GITHUB_WORKSPACE: workspace })
  const [, script] = process.argv
  onTestFinished(() => {
    process.argv[1] = script!
  })
  process.argv[1] = `${workspace}/path/to/action/action/dist/post/index.js`
  await job.run('main')
  expect(await job.run('post', job.state())).toEqual([
    expect.stringMatching(/^::warning::This action is not the first step of its job: "Run \.\/tools" ran/),
  ])
  expect(stage.run.logs.at(-1)!.message.split('\n').slice(0, -1)).toEqual([
    '✓ Run ./tools (7 s)',
    '✓ Build (7 s)',
  ])
  const { readWorkflow } = await import('../../action/runner/runner.ts')
  const own = (folder: string) => readWorkflow(process.env, `${folder}/action/dist/post/index.js`).action
  expect([own(workspace), own('/elsewhere')]).toEqual(['./', './'])
})
