import { describe, expect, test } from 'vitest'
import { attempt } from '../store/place.ts'
import { iso, RUN, START_TIMEOUT, type System, startSystem, startWithRun } from '../support/system.ts'

const lines = (system: System, id = RUN) =>
  system.port.run(id).logs.flatMap(({ message }) => message.split('\n'))
const HOUR = 3_600_000
const RUNNING = { status: 'in_progress' } as const

test.each([
  [499, /^GitHub started no workflow run, although a workflow in acme\/shop listens/],
  [500, /started no workflow run, because 500 workflow runs of acme\/shop were created within seconds\./],
])(
  'if no run starts after %i other workflow runs in ten seconds, Port shows why',
  async (others, summary) => {
    const system = await startSystem()
    await system.dispatch(RUN)
    for (let n = 0; n < others; n++) system.run(`push ${n}`, { event: 'push' })
    await system.pass(2 * START_TIMEOUT)
    expect(system.port.run(RUN)).toMatchObject({
      ...{ status: 'FAILURE', statusLabel: 'Not started', summary: expect.stringMatching(summary) },
    })
  },
)

describe('if externalRunId in Port is not the id of a run in the repository, but a title contains the Port run ID,', () => {
  test('Port gets the result of the titled run, for example if a workflow wrote an arbitrary number to Port', async () => {
    const { system, id, run } = await startWithRun({}, RUNNING)
    system.port.run(RUN).externalRunId = '42'
    await system.pass(60_000)
    expect(await system.runs(id)).toEqual([[run.id, 'title']])
    system.end(run, 'success')
    await system.pass(90_000)
    expect(system.port.run(RUN).status).toBe('SUCCESS')
  })

  test('the relay waits after the titled run succeeds if externalRunId is greater, because a run in another repository may continue the work', async () => {
    const { system, run } = await startWithRun({}, RUNNING)
    system.port.run(RUN).externalRunId = String(run.id + 4242)
    await system.pass(20_000)
    system.end(run, 'success')
    await system.pass(120_000)
    expect(system.port.run(RUN).status).toBe('IN_PROGRESS')
  })
})

describe('without run-name,', () => {
  const [FIRST, SECOND] = [RUN, 'r_B1b2C3d4E5f6G7h8']
  const statuses = (system: System) => [FIRST, SECOND].map(id => system.port.run(id).status)

  test('two concurrent deliveries are bound to no run, and Port explains run-name after both runs have finished', async () => {
    const system = await startSystem()
    const ids = [await system.dispatch(FIRST)]
    await system.pass(20_000)
    ids.push(await system.dispatch(SECOND))
    const [a, b] = [system.run('deploy'), system.run('deploy')]
    await system.pass(10_000)
    system.end(b, 'success')
    await system.pass(START_TIMEOUT * 2)
    expect(statuses(system)).toEqual(['IN_PROGRESS', 'IN_PROGRESS'])
    system.end(a, 'failure')
    await system.pass(60_000)
    expect(statuses(system)).toEqual(['FAILURE', 'FAILURE'])
    for (const [n, runId] of [FIRST, SECOND].entries()) {
      expect(system.port.run(runId)).toMatchObject({
        statusLabel: 'Not identified',
        summary: expect.stringMatching(/^2 workflow runs started .+ Set run-name: /),
        link: [`${system.github.serverUrl}/acme/shop/actions`],
      })
      expect(await system.history(ids[n]!)).toContain('runUnidentified')
    }
  })

  test('two deliveries of one event type bind no run, even with 100 deliveries of other types between them', async () => {
    const system = await startSystem({ startTimeout: 600_000 })
    const id = await system.dispatch(RUN)
    for (let number = 0; number <= 100; number++) {
      const eventType = number === 100 ? 'deploy' : `other-${number}`
      const other = await system.accept(`r_${number}`, 'acme/shop', { eventType })
      await attempt(system.store, other, system.now())
    }
    system.run('deploy', { status: 'in_progress' })
    await system.pass(20_000)
    expect(await system.runs(id)).toEqual([])
  })
})

test('a re-run changes nothing if the Port run has finished', async () => {
  const { system, id, run } = await startWithRun()
  await system.pass(20_000)
  system.end(run, 'failure')
  await system.pass(60_000)
  const before = structuredClone(system.port.run(RUN))
  system.github.setRun(run.id, { runAttempt: 2, status: 'in_progress', conclusion: null })
  await system.webhook(run)
  system.end(run, 'success')
  await system.webhook(run)
  await system.pass(HOUR)
  expect(system.port.run(RUN)).toEqual(before)
  expect((await system.delivery(id)).state).toBe('finished')
})

/** The example of this annotation in GitHub's documentation. */
const PROTECTED =
  "Event 'repository_dispatch' is not allowed to trigger Actions workflows. Workflow file: '.github/workflows/deploy.yml'."

test('for a failed run, Port shows the failed step, the annotations, and the last 100 lines of the log', async () => {
  const { system, run } = await startWithRun({}, RUNNING)
  const finishedAt = system.now() + 20_000
  const at = (ms: number) => new Date(ms).toISOString().replace('Z', '1234Z')
  const failed = { name: 'Run ./test.sh', status: 'completed' as const, conclusion: 'failure' }
  const [, tests] = system.github.setJobs(run.id, 1, [
    { name: 'build', status: 'completed', conclusion: 'success' },
    {
      ...{ name: 'test (node 24)', status: 'completed', conclusion: 'failure' },
      steps: [
        { name: 'Set up job', status: 'completed', conclusion: 'success' },
        { ...failed, completed_at: iso(finishedAt) },
        { name: 'Post Run actions/checkout', status: 'completed', conclusion: 'success' },
      ],
    },
    { name: 'deploy', status: 'completed', conclusion: 'skipped' },
  ])
  const body = Array.from({ length: 150 }, (_, i) => `${at(finishedAt - 2000)} line ${i}`)
  const clean = `${at(finishedAt + 3000)} Post job cleanup.`
  const login = `${at(finishedAt - 1000)} \u001b[36;1mlogin with ***\u001b[0m`
  const error = `${at(finishedAt - 500)} ##[error]Process completed with exit code 1.`
  const mask = `${at(finishedAt - 700)} ::add-mask::hunter2`
  const annotation = { path: 'test/cart.ts', start_line: 7, annotation_level: 'failure' as const }
  system.github.setAnnotations(tests!.id, [
    { ...annotation, annotation_level: 'warning', message: 'slow' },
    { ...annotation, path: '.github', message: PROTECTED },
    { ...annotation, path: '.github', message: 'Process completed with exit code 1.' },
    ...Array.from({ length: 12 }, (_, i) => ({ ...annotation, message: `expected *** to be ${i}` })),
  ])
  system.github.setJobLog(tests!.id, `\uFEFF${[...body, login, mask, error, clean].join('\n')}\n`)
  await system.pass(20_000)
  system.end(run, 'failure')
  await system.pass(60_000)

  const summary = 'Job "test (node 24)" failed at step 2 "Run ./test.sh". See its log.'
  expect(system.port.run(RUN)).toMatchObject({ status: 'FAILURE', summary })
  expect(lines(system).slice(-114)).toEqual([
    ...[summary, PROTECTED],
    ...Array.from({ length: 9 }, (_, i) => `test/cart.ts:7: expected [masked] to be ${i}`),
    expect.stringMatching(
      /^What to change: a workflow execution protection .*allow the event repository_dispatch/,
    ),
    'Job "test (node 24)": failure at step 2 "Run ./test.sh".',
    'The last lines of the log of job "test (node 24)":',
    ...Array.from({ length: 98 }, (_, i) => `line ${i + 52}`),
    'login with [masked]',
    'Error: Process completed with exit code 1.',
  ])
  const blob = system.github.requests.find(({ path }) => path.startsWith('/_blobs/'))
  expect(blob?.headers.authorization).toBeUndefined()
})

test('if many runs fail, reading the logs of some runs does not delay the results of other runs', async () => {
  const system = await startSystem({ startTimeout: 600_000, runTimeout: 24 * HOUR })
  const ids = Array.from({ length: 10 }, (_, n) => `r_A1b2C3d4E5f6G7${n}`)
  for (const id of ids) await system.dispatch(id)
  const runs = ids.map(id => system.run(`deploy ${id}`, { status: 'in_progress' }))
  await system.pass(30_000)
  for (const some of [runs.slice(0, 5), runs.slice(5)]) {
    for (const run of some) {
      system.github.setJobs(run.id, 1, [{ name: 'build', status: 'completed', conclusion: 'failure' }])
      system.end(run, 'failure')
    }
    await system.pass(20_000)
  }
  expect(ids.filter(id => system.port.run(id).status === 'IN_PROGRESS')).toEqual([])
  for (const id of ids) expect(lines(system, id).join()).toContain('Job "build"')
})
