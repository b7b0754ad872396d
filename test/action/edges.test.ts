import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { openRunner } from './open-runner.ts'
import { bodyFor, openStage, payloadFor, REPOSITORY, type Stage } from './play.ts'
import { sealWith } from './seal.ts'

// What goes otherwise than in most jobs, by the sources in this process.

const seeAlso = (topic: string) =>
  ` See https://github.com/org/port-webhook-action/blob/v1/docs/errors.md#${topic}`
const annotations = (lines: string[]) => lines.filter(line => line.startsWith('::'))

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

test('a token that may not read actions, and GitHub in trouble, are notices, and only the first names the permission', async () => {
  const stage = await openStage()
  showSteps(stage, ['Build'])
  const job = openRunner(stage, { report: 'progress' })
  await job.run('main')
  stage.github.fail({ status: 403 })
  expect(await job.run('post', job.state())).toEqual([
    expect.stringMatching(
      /^::notice::.*GitHub answered 403 to GET \/repos.*\. Give the job "permissions: actions/,
    ),
  ])
  stage.github.fail({ status: 502 })
  const trouble = await job.run('post', job.state())
  expect(trouble).toEqual([expect.stringMatching(/^::notice::.*GitHub answered 502 to GET \/repos/)])
  expect(trouble[0]).not.toContain('permissions')
  stage.github.fail({ status: 200, body: [] })
  expect((await job.run('post', job.state()))[0]).toMatch(/ did not answer as it should: .*#steps$/)
  stage.github.fail({ status: 200, body: { jobs: [] } })
  expect((await job.run('post', job.state()))[0]).toContain('does not list it among the jobs')
  stage.github.fail({ status: 200, body: { jobs: [{ status: 'in_progress', runner_name: 'rack-7' }] } })
  expect(await job.run('post', job.state())).toEqual([])
})

test('a step before the action is a warning that names it, and the job summary is written to its file', async () => {
  const stage = await openStage()
  showSteps(stage, ['Set up job', 'Check out', 'Run org/port-webhook-action@v1', 'Build'])
  const job = openRunner(stage)
  const file = join(job.folder, 'summary.md')
  await job.run('main')
  expect(await job.run('post', { ...job.state(), GITHUB_STEP_SUMMARY: file })).toEqual([
    expect.stringMatching(
      /^::warning::This action is not the first step of its job: "Check out" ran before it/,
    ),
  ])
  expect(readFileSync(file, 'utf8')).toBe(`${stage.run.summary}\n`)
  expect(stage.run.summary).toContain('| Build     | ✓ success | 7 s  |')
})

test('a job summary that cannot be written is a remark, and no more', async () => {
  const stage = await openStage()
  const job = openRunner(stage, { 'github-token': '' })
  await job.run('main')
  const told = await job.run('post', { ...job.state(), GITHUB_STEP_SUMMARY: job.folder })
  expect(told.slice(1)).toEqual([expect.stringMatching(/^The job summary could not be written: EISDIR/)])
  expect(stage.run.status).toBe('SUCCESS')
})

const ENTITY = '{ blueprint: service, identifier: shop, title: Shop }'

test('entities go to Port tied to the run of an action, and to nothing for that of a node', async () => {
  const stage = await openStage()
  const job = openRunner(stage, { 'github-token': '', entities: ENTITY })
  await job.run('main')
  await job.run('post', job.state())
  const node = stage.port.createNodeRun({ id: 'wfnr_Zy98Xw76Vu54Ts32' })
  const other = openRunner({ ...stage, run: node }, { 'github-token': '', entities: ENTITY })
  await other.run('main')
  await other.run('post', other.state())
  const sent = stage.port.requests.filter(({ path }) => path.includes('/entities'))
  expect(sent.map(({ path }) => path)).toEqual([
    `/v1/blueprints/service/entities?upsert=true&merge=true&run_id=${stage.run.id}`,
    '/v1/blueprints/service/entities?upsert=true&merge=true',
  ])
  expect(node).toMatchObject({ status: 'COMPLETED', result: 'SUCCESS' })
})

test('entities that fail are a warning, or the failure of job and run where that is asked for', async () => {
  const stage = await openStage()
  const job = openRunner(stage, { 'github-token': '', entities: '[{ blueprint: service }]' })
  const problem = `Entity 1 of entities (service) has no identifier.${seeAlso('entities')}`
  await job.run('main')
  expect((await job.run('post', job.state())).slice(1)).toEqual([`::warning::${problem}`])
  expect(stage.run.status).toBe('SUCCESS')

  const second = stage.port.createRun({ id: 'r_second' })
  const strict = openRunner(
    { ...stage, run: second },
    { 'github-token': '', entities: '[{ blueprint: service }]', 'fail-on-report-error': 'true' },
  )
  await strict.run('main')
  expect((await strict.run('post', strict.state())).slice(1)).toEqual([`::error::${problem}`])
  expect(process.exitCode).toBe(1)
  expect(second.status).toBe('FAILURE')
  expect(second.logs.at(-1)!.message).toMatch(/\n✗ Job deploy: failure after \d+ s$/)
  expect(second.summary).toMatch(/^✗ Job deploy: failure after/)
})

test('with report off, or without a run, Port is told nothing, and that is a remark', async () => {
  const stage = await openStage()
  expect(await openRunner(stage, { report: 'off' }).run('main')).toEqual([
    'Port is told nothing: the input report is off.',
  ])
  const none = openRunner({ ...stage, payload: { ...payloadFor('r_1'), run_id: null } })
  expect(await none.run('main')).toEqual(['Port is told nothing: the payload names no run in Port.'])
  expect(stage.port.requests).toEqual([])
})

test('what cannot be fetched, opened or named is told at once, and in Port as well', async () => {
  const stage = await openStage()
  const inputs = {
    password: sealWith('of another organisation, of 32 bytes', 'clear'),
    large: 'x'.repeat(2_000),
    'a=b': 1,
  }
  const payload = payloadFor(stage.run.id, inputs, { encrypted: ['password'], maxBytes: 1_500 })
  stage.run.payload.body = bodyFor(stage.run.id, { password: inputs.password })
  const job = openRunner({ ...stage, payload })
  const told = await job.run('main')
  expect(annotations(told)).toEqual([
    expect.stringMatching(/^::warning::"a=b": an output cannot have such a name.*#outputs$/),
    expect.stringMatching(
      /^::error::The payload was too large.*"inputs.large" did not come.* does not hold that either: .*%0AThe secret input "password" could not/,
    ),
  ])
  expect(stage.run.logs[0]!.message.split('\n')).toEqual([
    expect.stringMatching(/^Workflow run started/),
    expect.stringMatching(/^The payload was too large/),
    expect.stringMatching(/^The secret input "password"/),
  ])

  const bare = openRunner({ ...stage, payload }, { 'port-client-id': '', 'port-client-secret': '' })
  expect(await bare.run('main')).toEqual([
    expect.stringMatching(/^::warning::"a=b"/),
    expect.stringMatching(/^::error::.* Set the inputs port-client-id and port-client-secret/),
    expect.stringMatching(/^::warning::Port will not see how this job goes/),
  ])
})

test('a duplicate goes on where its author wants that, and a report that Port refuses fails one who asked for it', async () => {
  const stage = await openStage()
  stage.run.externalRunId = '7'
  const job = openRunner(stage, { 'on-duplicate': 'continue' })
  expect(await job.run('main')).toEqual([
    expect.stringMatching(
      /^::warning::.* It goes on, and Port is told nothing of it \(on-duplicate: continue\)/,
    ),
  ])
  const other = stage.port.createRun({ id: 'r_other' })
  const strict = openRunner({ ...stage, run: other }, { 'fail-on-report-error': 'true' })
  stage.port.fail({ match: ({ method }) => method === 'PATCH', status: 403 })
  expect(await strict.run('main')).toEqual([
    expect.stringMatching(/^::error::Port could not be told: .* answered 403/),
  ])
  // The link is not in Port, so post sends it with the end.
  await strict.run('post', strict.state())
  expect(other).toMatchObject({ status: 'SUCCESS', externalRunId: '16000000042' })
})

test('a run that somebody ends during the job is a notice, and takes neither log nor status', async () => {
  const stage = await openStage()
  const job = openRunner(stage, { 'github-token': '' })
  await job.run('main')
  stage.port.endRun(stage.run.id, 'FAILURE')
  expect((await job.run('post', job.state())).slice(1)).toEqual([
    expect.stringMatching(/^::notice::Port is told nothing more: .* has already ended/),
  ])
  expect(stage.port.requests.at(-1)!.path).toBe(`/v1/actions/runs/${stage.run.id}/logs`)
})

test('report: workflow leaves the end to others, and tells a summary of the author with the link that is missing', async () => {
  const stage = await openStage()
  const job = openRunner(stage, { report: 'workflow', summary: 'Done.', 'github-token': '' })
  stage.port.fail({ match: ({ method }) => method === 'PATCH', status: 400 })
  await job.run('main')
  await job.run('post', job.state())
  expect(stage.run).toMatchObject({ status: 'IN_PROGRESS', summary: 'Done.', externalRunId: '16000000042' })

  const node = stage.port.createNodeRun({ id: 'wfnr_Zy98Xw76Vu54Ts32' })
  const plain = openRunner({ ...stage, run: node }, { report: 'workflow', 'github-token': '' })
  await plain.run('main')
  const before = stage.port.requests.length
  await plain.run('post', plain.state())
  expect(stage.port.requests.slice(before).map(({ method, path }) => `${method} ${path}`)).toEqual([
    'POST /v1/auth/access_token',
    `POST /v1/workflows/nodes/runs/${node.id}/logs`,
  ])
})

test('used by path, and without names of job and runner, it works, and messages link into its repository', async () => {
  const stage = await openStage()
  showSteps(stage, ['Run ./', 'Build'])
  const job = openRunner(stage, {}, { GITHUB_ACTION_REPOSITORY: '', RUNNER_NAME: '', GITHUB_JOB: '' })
  await job.run('main')
  expect(await job.run('post', job.state())).toEqual([expect.stringMatching(/See docs\/errors\.md#steps$/)])
  for (const name of ['GITHUB_JOB', 'RUNNER_NAME', 'GITHUB_ACTION_REF']) vi.stubEnv(name, undefined)
  const { readWorkflow } = await import('../../action/runner/runner.ts')
  const { help } = await import('../../action/runner/help.ts')
  const env = { ...process.env, GITHUB_ACTION_REPOSITORY: 'org/action' }
  expect(readWorkflow(env)).toMatchObject({ job: '', runnerName: '', action: 'org/action@' })
  expect(help(env, 'port')).toBe(' See https://github.com/org/action/blob/main/docs/errors.md#port')
})

test('an event without a payload, and one that is no object, are errors that name the event', async () => {
  const stage = await openStage()
  for (const event of [null, {}]) {
    const job = openRunner(stage)
    writeFileSync(join(job.folder, 'event.json'), JSON.stringify(event))
    expect(await job.run('main')).toEqual([
      expect.stringMatching(
        /^::error::This run was started by repository_dispatch, with no payload of the relay/,
      ),
    ])
  }
})

test('Port being away for a whole job is one warning of main and one of post, after their budgets', async () => {
  const stage = await openStage()
  await stage.port.failures.down()
  const job = openRunner(stage, { 'github-token': '' })
  const away = expect.stringMatching(/^::warning::Port could not be told: Port did not answer .*ECONNREFUSED/)
  expect(await job.hurry('main')).toEqual([away])
  const file = join(job.folder, 'summary.md')
  const told = await job.hurry('post', { ...job.state(), GITHUB_STEP_SUMMARY: file })
  expect(told).toEqual([away, expect.stringMatching(/^::notice::Port is not shown the steps/)])
  expect(process.exitCode).toBe(0)
  expect(readFileSync(file, 'utf8')).toMatch(/^✓ Job deploy: success after/)
})
