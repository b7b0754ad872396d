import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openRunner } from './open-runner.ts'
import { openStage, payloadFor } from './play.ts'
import { sealWith } from './seal.ts'

// What main tells Port beside the start, by the sources in this process.

test('a secret in status-label becomes *** on its way to Port, one of the settings and one of the inputs', async () => {
  const stage = await openStage()
  const payload = payloadFor(
    stage.run.id,
    { token: sealWith(stage.port.clientSecret, 'hunter2-hunter2') },
    { encrypted: ['token'] },
  )
  const label = `${stage.port.clientSecret} and hunter2-hunter2`
  await openRunner({ ...stage, payload }, { 'status-label': label }).run('main')
  expect(stage.run.statusLabel).toBe('*** and ***')
})

/** A job with secret inputs that its key does not open. */
async function openSealed(names: string[], inputs: Record<string, string> = {}) {
  const stage = await openStage()
  const sealed = Object.fromEntries(names.map(name => [name, sealWith('x'.repeat(32), 'hunter2-hunter2')]))
  const payload = payloadFor(stage.run.id, sealed, { encrypted: names })
  return { stage, job: openRunner({ ...stage, payload }, { 'github-token': '', ...inputs }) }
}

const WHY = expect.stringMatching(/^The secret input "token" could not be decrypted/)
const FAILED = expect.stringMatching(/^✗ Job deploy: failure/)
const linesOf = ({ run }: { run: { logs: { message: string }[] } }) =>
  run.logs.flatMap(({ message }) => message.split('\n'))

test('why main failed is in the log from the start, and in the summary', async () => {
  const { stage, job } = await openSealed(['token'])
  await job.run('main')
  await job.run('post', { ...job.state(), 'INPUT_JOB-STATUS': 'failure' })
  expect(linesOf(stage)).toEqual([expect.stringMatching(/^Workflow run started: /), WHY, FAILED])
  expect(stage.run.summary!.split('\n\n').slice(0, 2)).toEqual([FAILED, WHY])
})

test('why main failed is in the log at the end, where Port did not take it at the start', async () => {
  const { stage, job } = await openSealed(['token'])
  stage.port.fail({ match: ({ path }) => path.endsWith('/logs'), status: 400 })
  const [error, warning] = await job.run('main')
  expect(error).toMatch(/^::error::The secret input "token" could not be decrypted/)
  expect(warning).toMatch(/answered 400 .*\. The end of this job tries again\. See /)
  await job.run('post', { ...job.state(), 'INPUT_JOB-STATUS': 'failure' })
  expect(linesOf(stage)).toEqual([WHY, FAILED])
})

test.each([
  [['token'], 'The secret input "token" stays encrypted'],
  [['token', 'other'], 'The secret inputs "token", "other" stay encrypted'],
])('the secret inputs %j without a key are named in one sentence', async (names, sentence) => {
  const none = { 'port-client-id': '', 'port-client-secret': '', report: 'off' }
  const { job } = await openSealed(names, none)
  expect((await job.run('main'))[0]).toContain(`::warning::${sentence}. Set port-client-secret, or`)
})

test('a leg of a matrix says which it is, at the start and at the end, also where GitHub is not asked', async () => {
  const stage = await openStage()
  const job = openRunner(stage, { 'github-token': '', matrix: '{"os":"linux","node":22}' })
  await job.run('main')
  await job.run('post', job.state())
  expect(linesOf(stage)).toEqual([
    expect.stringMatching(/^Workflow run started, job deploy \(linux, 22\): http/),
    expect.stringMatching(/^✓ Job deploy \(linux, 22\): success after/),
  ])
})

test('a run that ends while main tells of it leaves nothing to post', async () => {
  const stage = await openStage()
  const body = { ok: false, error: 'run_exhausted', message: 'Action run already finished execution' }
  stage.port.fail({ match: ({ method }) => method === 'PATCH', status: 422, body })
  const job = openRunner(stage)
  expect(await job.run('main')).toEqual([expect.stringMatching(/^::notice::Port is told nothing more: /)])
  expect(job.state()).toEqual({})
})

test('where Port refuses the credentials, the end asks once more, says nothing new, and writes the summary of the job on GitHub', async () => {
  const stage = await openStage()
  const job = openRunner(stage, { 'github-token': '', 'port-client-secret': 'that-of-another' })
  expect(await job.run('main')).toEqual([
    expect.stringMatching(/^::warning::Port could not be told: .* 401 .*region of their organisation\. See /),
  ])
  stage.port.clearRequests()
  const file = join(job.folder, 'summary.md')
  expect(await job.run('post', { ...job.state(), GITHUB_STEP_SUMMARY: file })).toEqual([
    expect.stringMatching(/^::notice::Port is not shown the steps/),
  ])
  expect(readFileSync(file, 'utf8')).toMatch(/^✓ Job deploy: success after/)
  expect(stage.port.requests.map(({ path }) => path)).toEqual(['/v1/auth/access_token'])
})

test('of a run that Port does not know, the end asks no more', async () => {
  const stage = await openStage()
  const job = openRunner({ ...stage, run: { id: 'r_nobody' } }, { 'github-token': '' })
  expect(await job.run('main')).toEqual([
    expect.stringMatching(/^::warning::Port could not be told: .* it knows no run r_nobody/),
  ])
  stage.port.clearRequests()
  expect(await job.run('post', job.state())).toEqual([
    expect.stringMatching(/^::notice::Port is not shown the steps/),
  ])
  expect(stage.port.requests).toEqual([])
})

test('credentials that a gateway refuses at the start cost that alone: the end reports the whole job', async () => {
  const stage = await openStage()
  const job = openRunner(stage, { 'github-token': '' })
  stage.port.fail({ status: 403, body: { error: 'forbidden' } })
  expect(await job.run('main')).toEqual([
    expect.stringMatching(/^::warning::Port could not be told: .* 403 .*region of their organisation\. See /),
  ])
  await job.run('post', job.state())
  expect(linesOf(stage)).toEqual([expect.stringMatching(/^✓ Job deploy: success/)])
  expect(stage.run).toMatchObject({ status: 'SUCCESS', externalRunId: '16000000042' })
})

test.each([
  [2, 'SUCCESS', []],
  [
    Number.POSITIVE_INFINITY,
    'IN_PROGRESS',
    [expect.stringMatching(/^::warning::Port could not be told: .*#credentials$/)],
  ],
])(
  'credentials that are refused %d times at the end cost the log, and the final status is tried all the same',
  async (times, status, more) => {
    const stage = await openStage()
    const job = openRunner(stage, { 'github-token': '' })
    await job.run('main')
    stage.port.clearRequests()
    const isToken = ({ path }: { path: string }) => path === '/v1/auth/access_token'
    stage.port.fail({ match: isToken, status: 403, body: { error: 'forbidden' }, times })
    expect((await job.run('post', job.state())).slice(1)).toEqual([
      expect.stringMatching(/^::warning::Port did not take all of the log: .* 403 .*#credentials$/),
      ...more,
    ])
    expect(stage.run.status).toBe(status)
    expect(stage.port.requests.filter(isToken)).toHaveLength(3)
  },
)
