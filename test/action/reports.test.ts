import { expect, test } from 'vitest'
import { openRunner, seeAlso } from './open-runner.ts'
import { payloadFor, RUN_PATH, type System, startSystem } from './play.ts'

// Tests whether and how main and post report a job.

/** Runs main and post of one job. Returns their output and their requests to Port. */
async function runJob(system: System, inputs: Record<string, string> = {}, payload?: unknown) {
  const job = openRunner({ ...system, payload }, { 'github-token': '', ...inputs })
  const main = await job.run('main')
  const post = await job.post()
  const asked = system.port.requests.map(({ method, path }) => `${method} ${path}`)
  const reported = asked.filter(call => !call.endsWith('/access_token'))
  // These tests do not need the steps: without a token, steps are not read.
  return { job, main, post: post.filter(line => !line.startsWith('::notice::The steps of this')), reported }
}

const READ = `GET ${RUN_PATH}?version=v2`

test('without a run in the payload, the outputs are set, and nothing is reported', async () => {
  const system = await startSystem()
  const port = { version: 1, delivery: 'd_1', kind: 'none', inputs: { a: 1 } }
  const { job, main, post } = await runJob(system, {}, { run_id: null, action: null, port })
  expect([main, post]).toEqual([['Nothing is reported to Port: the payload contains no Port run.'], []])
  expect(job.outputs().inputs).toBe('{"a":1}')
  expect(system.port.requests).toEqual([])
})

test('with fail-on-report-error the job fails if the report fails', async () => {
  const inputs = { 'port-client-secret': 'that-of-another', 'fail-on-report-error': 'true' }
  const { main } = await runJob(await startSystem(), inputs)
  expect(main).toEqual([expect.stringMatching(/^::error::Reporting to Port failed/)])
  expect(process.exitCode).toBe(1)
})

test('a run that Port does not know causes one warning that suggests checking region and organization', async () => {
  const system = await startSystem()
  const { main, post, reported } = await runJob(system, {}, payloadFor('r_of_another_org'))
  expect(main).toEqual([
    expect.stringMatching(
      /^::warning::Reporting to Port failed: .*Port has no run r_of_another_org; check that .* belong to the organization of that run, and that port-api-url is the organization's region\. See .*#port$/,
    ),
  ])
  expect(post).toEqual([])
  expect(reported).toEqual(['GET /v1/actions/runs/r_of_another_org?version=v2'])
})

test.each([
  ['known at the start', true, 1],
  ['known only with the final status', false, 5],
])(
  'a job of a synchronous Port action is not reported, and a notice names the setting to change (%s)',
  async (_, shown, refused) => {
    const system = await startSystem()
    const run = shown ? system.port.createRun({ id: 'r_synchronous', synchronized: true }) : system.run
    if (!shown) run.synchronized = true
    const { main, post, reported } = await runJob(system, {}, payloadFor(run.id))
    expect([...main, ...post]).toEqual([
      expect.stringMatching(/^::notice::.* is synchronous.*"Synchronous" setting off/),
    ])
    expect(reported).toHaveLength(refused)
  },
)

test.each([
  ['fail', '::error::', 'This job stops, so that nothing is done twice (on-duplicate: fail).'],
  ['continue', '::warning::', 'This job continues, but is not reported to Port (on-duplicate: continue).'],
])('does not report a second workflow run with on-duplicate: %s', async (choice, level, sentence) => {
  const system = await startSystem()
  system.run.externalRunId = '16000000007'
  const { main, post, reported } = await runJob(system, { 'on-duplicate': choice })
  expect(main).toEqual([
    `${level}Port's run ${system.run.id} already belongs to another workflow run, 16000000007; this workflow run is 16000000042. ` +
      `${sentence}${seeAlso('duplicates')}`,
  ])
  expect(post).toEqual([])
  expect(reported).toEqual([READ])
  expect(process.exitCode).toBe(choice === 'fail' ? 1 : 0)
})

test.each([
  ["isn't a GitHub run id", 'build-7'],
  ['is the id of this run, as in a re-run', '16000000042'],
])("an external run id that %s doesn't make this job a duplicate", async (_, id) => {
  const system = await startSystem()
  system.run.externalRunId = id
  await runJob(system)
  expect(system.run).toMatchObject({ status: 'SUCCESS', externalRunId: '16000000042' })
})

test('after a 429, the job waits as long as Port asks, or warns if the wait would be too long', async () => {
  const system = await startSystem()
  system.port.failures.rateLimit({ retryAfter: 7, times: 1 })
  const { main, post } = await runJob(system)
  expect([main, post]).toEqual([[], []])
  expect(system.run.status).toBe('SUCCESS')

  const reset = Math.ceil(Date.now() / 1000) + 300
  system.port.failures.rateLimit({ reset, times: Number.POSITIVE_INFINITY })
  const until = new Date(reset * 1000).toISOString()
  const limited = expect.stringContaining(`rate limit is reached, until ${until}`)
  const late = await runJob(system, {}, payloadFor(system.port.createRun({ id: 'r_late' }).id))
  expect([late.main, late.post]).toEqual([[limited], [limited]])
  expect(process.exitCode).toBe(0)
})
