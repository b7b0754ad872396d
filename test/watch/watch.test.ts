import { describe, expect, test } from 'vitest'
import { iso, openStage, RUN_TIMEOUT, START_TIMEOUT, type Stage } from '../support/stage.ts'

const RUN = 'r_A1b2C3d4E5f6G7h8'
const lines = (stage: Stage, id = RUN) =>
  stage.port.run(id).logs.flatMap(({ message }) => message.split('\n'))
const HOUR = 3_600_000

describe('a run in progress', () => {
  test('is left alone however long it waits for a runner, beyond RELAY_START_TIMEOUT', async () => {
    const stage = await openStage()
    const id = await stage.dispatch(RUN)
    const run = stage.run(`deploy ${RUN}`)
    await stage.pass(START_TIMEOUT * 3)
    expect(stage.port.run(RUN).status).toBe('IN_PROGRESS')
    expect(await stage.runs(id)).toEqual([[run.id, 'title']])
    stage.end(run, 'success')
    await stage.pass(60_000)
    expect(stage.port.run(RUN)).toMatchObject({ status: 'SUCCESS', externalRunId: String(run.id) })
  })

  test('is bound by what the action writes to Port, in place of what its title names', async () => {
    const stage = await openStage()
    const id = await stage.dispatch(RUN)
    const lint = stage.run(`lint ${RUN}`, { status: 'in_progress' })
    await stage.pass(20_000)
    expect(await stage.runs(id)).toEqual([[lint.id, 'title']])
    const deploy = stage.run(`deploy ${RUN}`, { status: 'in_progress' })
    stage.port.run(RUN).externalRunId = String(deploy.id)
    await stage.pass(60_000)
    expect(await stage.runs(id)).toContainEqual([deploy.id, 'port'])
    stage.end(lint, 'failure')
    await stage.pass(60_000)
    expect(stage.port.run(RUN).status).toBe('IN_PROGRESS')
    stage.end(deploy, 'success')
    await stage.pass(60_000)
    expect(stage.port.run(RUN)).toMatchObject({ status: 'SUCCESS', externalRunId: String(deploy.id) })
  })

  test('that never ends is followed until RELAY_RUN_TIMEOUT, and then Port shows that', async () => {
    const stage = await openStage()
    const id = await stage.dispatch(RUN)
    stage.run(`deploy ${RUN}`, { status: 'in_progress' })
    await stage.pass(RUN_TIMEOUT - 10_000)
    expect(stage.port.run(RUN).status).toBe('IN_PROGRESS')
    await stage.pass(60_000)
    expect(stage.port.run(RUN)).toMatchObject({
      status: 'FAILURE',
      statusLabel: 'Not followed further',
      summary:
        'The workflow run in acme/shop has not ended within 5 min (it is "in_progress" on GitHub), and the relay stops watching it. Cancel it on GitHub if it hangs, or raise RELAY_RUN_TIMEOUT.',
    })
    expect((await stage.delivery(id)).state).toBe('failed')
  })

  test('that a person ended in Port is sent nothing, whatever becomes of it', async () => {
    const stage = await openStage()
    const id = await stage.dispatch(RUN)
    const run = stage.run(`deploy ${RUN}`, { status: 'in_progress' })
    await stage.pass(20_000)
    stage.port.endRun(RUN, 'SUCCESS')
    const before = structuredClone(stage.port.run(RUN))
    stage.end(run, 'failure')
    await stage.pass(60_000)
    expect(stage.port.run(RUN)).toEqual(before)
    expect((await stage.delivery(id)).state).toBe('finished')
  })

  test('that was deleted on GitHub ends the Port run, whether or not the action had named it', async () => {
    for (const [named, hooks] of [true, false].flatMap(named => [true, false].map(hooks => [named, hooks]))) {
      const stage = await openStage()
      await stage.dispatch(RUN)
      const run = stage.run(`deploy ${RUN}`, { status: 'in_progress' })
      if (named) stage.port.run(RUN).externalRunId = String(run.id)
      if (hooks) await stage.webhook(run)
      await stage.pass(30_000)
      stage.github.runs.splice(0)
      stage.github.fail({
        match: ({ path }) => path.endsWith(`/actions/runs/${run.id}`),
        times: Number.POSITIVE_INFINITY,
        status: 404,
      })
      await stage.pass(120_000)
      expect(stage.port.run(RUN)).toMatchObject({ status: 'FAILURE', statusLabel: 'Deleted' })
    }
  })
})

describe('Port names a run that the repository does not have, and a title names one that it has,', () => {
  test.each([
    ['success', 'SUCCESS', 'Succeeded'],
    ['cancelled', 'FAILURE', 'Cancelled'],
  ])(
    'as when a workflow writes any number there: its end is reported, %s',
    async (end, status, statusLabel) => {
      const stage = await openStage()
      const id = await stage.dispatch(RUN)
      const run = stage.run(`deploy ${RUN}`, { status: 'in_progress' })
      stage.port.run(RUN).externalRunId = '42'
      await stage.pass(60_000)
      expect(await stage.runs(id)).toEqual([[run.id, 'title']])
      stage.end(run, end)
      await stage.pass(90_000)
      expect(stage.port.run(RUN)).toMatchObject({ status, statusLabel })
    },
  )

  test('which has handed its work on, and ended well: the other one is waited for', async () => {
    const stage = await openStage()
    await stage.dispatch(RUN)
    const run = stage.run(`deploy ${RUN}`, { status: 'in_progress' })
    stage.port.run(RUN).externalRunId = String(run.id + 4242)
    await stage.pass(20_000)
    stage.end(run, 'success')
    await stage.pass(120_000)
    expect(stage.port.run(RUN).status).toBe('IN_PROGRESS')
  })
})

test.each([
  ['failure', 'neutral', 'FAILURE'],
  ['skipped', 'failure', 'FAILURE'],
  ['success', 'skipped', 'SUCCESS'],
])('of runs that ended with %s and %s, the one that says most is reported', async (first, second, status) => {
  const stage = await openStage()
  await stage.dispatch(RUN)
  const [a, b] = [stage.run(`deploy ${RUN}`), stage.run(`lint ${RUN}`)]
  stage.end(a, first)
  stage.end(b, second)
  await stage.pass(60_000)
  expect(stage.port.run(RUN)).toMatchObject({
    status,
    externalRunId: String((first === 'skipped' ? b : a).id),
  })
})

test('a run that Port names and the repository does not have is one of another repository, and is waited for', async () => {
  const stage = await openStage()
  const id = await stage.dispatch(RUN)
  stage.port.run(RUN).externalRunId = '4242'
  await stage.pass(START_TIMEOUT * 2)
  expect(stage.port.run(RUN).status).toBe('IN_PROGRESS')
  stage.port.endRun(RUN, 'SUCCESS')
  await stage.pass(60_000)
  expect((await stage.delivery(id)).state).toBe('finished')
})

describe('without run-name', () => {
  const [FIRST, SECOND] = [RUN, 'r_B1b2C3d4E5f6G7h8']
  const statuses = (stage: Stage) => [FIRST, SECOND].map(id => stage.port.run(id).status)

  test.each(['deploy', 'Deploying, please wait'])('the only run, titled "%s", is bound', async title => {
    const stage = await openStage()
    const id = await stage.dispatch(RUN)
    const run = stage.run(title)
    await stage.pass(30_000)
    expect(await stage.runs(id)).toEqual([[run.id, 'only_candidate']])
    stage.end(run, 'failure')
    await stage.pass(60_000)
    expect(stage.port.run(RUN)).toMatchObject({ status: 'FAILURE', statusLabel: 'Failed' })
  })

  test('of two deliveries neither gets a run, in whatever order they end: Port shows what to set', async () => {
    const stage = await openStage()
    const ids = [await stage.dispatch(FIRST)]
    await stage.pass(20_000)
    ids.push(await stage.dispatch(SECOND))
    const [a, b] = [stage.run('deploy'), stage.run('deploy')]
    await stage.pass(10_000)
    stage.end(b, 'success')
    await stage.pass(START_TIMEOUT * 2)
    expect(statuses(stage)).toEqual(['IN_PROGRESS', 'IN_PROGRESS'])
    stage.end(a, 'failure')
    await stage.pass(60_000)
    expect(statuses(stage)).toEqual(['FAILURE', 'FAILURE'])
    for (const [n, runId] of [FIRST, SECOND].entries()) {
      expect(stage.port.run(runId)).toMatchObject({
        statusLabel: 'Not identified',
        summary: expect.stringMatching(/^2 workflow runs started .+ Set run-name: /),
        link: [`${stage.github.serverUrl}/acme/shop/actions`],
      })
      expect(await stage.history(ids[n]!)).toContain('runUnidentified')
    }
  })

  test('where the first dispatch started nothing, it does not get the run of the second', async () => {
    const stage = await openStage()
    await stage.dispatch(FIRST)
    await stage.pass(20_000)
    await stage.dispatch(SECOND)
    await stage.pass(1_000)
    const run = stage.run('deploy')
    await stage.pass(5_000)
    stage.end(run, 'success')
    await stage.pass(RUN_TIMEOUT)
    for (const id of [FIRST, SECOND]) expect(stage.port.run(id).statusLabel).toBe('Not identified')
  })

  test('each of two deliveries gets the run that the action reports from', async () => {
    const stage = await openStage()
    const ids = [await stage.dispatch(FIRST), await stage.dispatch(SECOND)]
    const [a, b] = [stage.run('deploy'), stage.run('deploy')]
    stage.port.run(FIRST).externalRunId = String(b.id)
    expect(await stage.bind(ids[1]!, a.id)).toBe(true)
    await stage.pass(30_000)
    stage.end(a, 'failure')
    await stage.pass(30_000)
    stage.end(b, 'success')
    await stage.pass(30_000)
    expect(statuses(stage)).toEqual(['SUCCESS', 'FAILURE'])
  })

  test('a run whose title names another delivery is no candidate', async () => {
    const stage = await openStage()
    await stage.dispatch(FIRST)
    const second = await stage.dispatch(SECOND)
    const run = stage.run(`deploy ${SECOND}`, { status: 'in_progress' })
    await stage.pass(START_TIMEOUT + 30_000)
    expect(await stage.runs(second)).toEqual([[run.id, 'title']])
    expect(stage.port.run(FIRST).summary).toMatch(/^No workflow in acme\/shop listens/)
  })

  test('a run whose title holds the id of a Port run that this relay does not know is that of another relay', async () => {
    const stage = await openStage()
    await stage.dispatch(FIRST)
    stage.run(`deploy ${SECOND}`, { status: 'in_progress' })
    await stage.pass(START_TIMEOUT + 30_000)
    expect(stage.port.run(FIRST).summary).toMatch(/^No workflow in acme\/shop listens/)
  })

  test('a run whose title holds a UUID that no delivery has is neither overlooked nor taken', async () => {
    const stage = await openStage()
    const id = await stage.dispatch(FIRST)
    const run = stage.run('order 01930a5c-5f2b-7c1d-8e2f-0123456789ab', { status: 'in_progress' })
    await stage.pass(START_TIMEOUT + 30_000)
    expect([stage.port.run(FIRST).status, await stage.runs(id)]).toEqual(['IN_PROGRESS', []])
    stage.end(run, 'success')
    await stage.pass(60_000)
    expect(stage.port.run(FIRST)).toMatchObject({ status: 'FAILURE', statusLabel: 'Not identified' })
  })

  test('a run is bound to none where two deliveries of its type were dispatched, a hundred of others between them', async () => {
    const stage = await openStage({ startTimeout: 600_000 })
    const id = await stage.dispatch(RUN)
    const accept = async (number: number, eventType: string) => {
      const other = { ...(await stage.delivery(id)), id: `o_${number}`, dedupeKey: `run:${number}` }
      const accepted = { ...other, eventType, invocation: '{}', receivedAt: stage.now() }
      await stage.store.accept(accepted)
      await stage.engine().apply(await stage.delivery(other.id), { type: 'attemptStarted' })
    }
    for (let number = 0; number < 100; number++) await accept(number, `other-${number}`)
    stage.advance(1_000)
    await accept(100, 'deploy')
    stage.run('deploy', { status: 'in_progress' })
    await stage.pass(20_000)
    expect(await stage.runs(id)).toEqual([])
  })

  test('a run that was made long after RELAY_START_TIMEOUT is not waited for', async () => {
    const stage = await openStage()
    await stage.dispatch(FIRST)
    await stage.pass(START_TIMEOUT - 5_000)
    await stage.dispatch(SECOND)
    stage.end(stage.run('deploy'), 'success')
    await stage.pass(20_000)
    for (let i = 0; i < 5; i++) {
      stage.run(`nightly ${i}`, { status: 'in_progress' })
      await stage.pass(30_000)
    }
    expect(stage.port.run(FIRST).statusLabel).toBe('Not identified')
  })
})

describe('when a service does not answer', () => {
  test('nothing is concluded while GitHub is down', async () => {
    const stage = await openStage()
    await stage.dispatch(RUN)
    await stage.github.stop()
    await stage.pass(START_TIMEOUT * 2)
    expect(stage.port.run(RUN).status).toBe('IN_PROGRESS')
    await stage.github.start()
    await stage.pass(120_000)
    expect(stage.port.run(RUN).summary).toMatch(/^No workflow in acme\/shop listens/)
  })

  test('Port gets the end when it is back', async () => {
    const stage = await openStage()
    await stage.dispatch(RUN)
    const run = stage.run(`deploy ${RUN}`)
    await stage.pass(20_000)
    await stage.port.stop()
    stage.end(run, 'failure')
    await stage.pass(60_000)
    await stage.port.start()
    await stage.pass(120_000)
    expect(stage.port.run(RUN).status).toBe('FAILURE')
  })

  test("GitHub's own limit is waited out", async () => {
    const stage = await openStage()
    await stage.dispatch(RUN)
    stage.github.failures.secondaryLimit(40, { match: ({ method }) => method === 'GET' })
    const run = stage.run(`deploy ${RUN}`)
    stage.end(run, 'success')
    stage.github.clearRequests()
    await stage.pass(40_000)
    expect(stage.github.requests.filter(({ method }) => method === 'GET')).toHaveLength(1)
    await stage.pass(60_000)
    expect(stage.port.run(RUN).status).toBe('SUCCESS')
  })
})

test('the end of a node run, which Port does not show, is reported', async () => {
  const stage = await openStage()
  const id = 'wfnr_A1b2C3d4E5f6G7h8'
  await stage.dispatch(id)
  const run = stage.run(`deploy ${id}`)
  await stage.pass(20_000)
  stage.end(run, 'cancelled')
  await stage.pass(60_000)
  expect(stage.port.nodeRun(id)).toMatchObject({ status: 'COMPLETED', result: 'CANCELLED' })
})

test('a re-run of a run whose Port run has ended changes nothing', async () => {
  const stage = await openStage()
  const id = await stage.dispatch(RUN)
  const run = stage.run(`deploy ${RUN}`)
  await stage.pass(20_000)
  stage.end(run, 'failure')
  await stage.pass(60_000)
  const before = structuredClone(stage.port.run(RUN))
  stage.github.setRun(run.id, { runAttempt: 2, status: 'in_progress', conclusion: null })
  await stage.webhook(run)
  stage.end(run, 'success')
  await stage.webhook(run)
  await stage.pass(HOUR)
  expect(stage.port.run(RUN)).toEqual(before)
  expect((await stage.delivery(id)).state).toBe('finished')
})

test('report: workflow: the end of all jobs, with the failed step and the last 100 lines of its log', async () => {
  const stage = await openStage()
  await stage.dispatch(RUN)
  const run = stage.run(`deploy ${RUN}`, { status: 'in_progress' })
  const endedAt = stage.now() + 20_000
  const at = (ms: number) => new Date(ms).toISOString().replace('Z', '1234Z')
  const failed = { name: 'Run ./test.sh', status: 'completed' as const, conclusion: 'failure' }
  const [, tests] = stage.github.setJobs(run.id, 1, [
    { name: 'build', status: 'completed', conclusion: 'success' },
    {
      name: 'test (node 24)',
      status: 'completed',
      conclusion: 'failure',
      steps: [
        { name: 'Set up job', status: 'completed', conclusion: 'success' },
        { ...failed, completed_at: iso(endedAt) },
        { name: 'Post Run actions/checkout', status: 'completed', conclusion: 'success' },
      ],
    },
    { name: 'deploy', status: 'completed', conclusion: 'skipped' },
  ])
  const body = Array.from({ length: 150 }, (_, i) => `${at(endedAt - 2000)} line ${i}`)
  const clean = `${at(endedAt + 3000)} Post job cleanup.`
  const login = `${at(endedAt - 1000)} \u001b[36;1mlogin with ***\u001b[0m`
  const error = `${at(endedAt - 500)} ##[error]Process completed with exit code 1.`
  const mask = `${at(endedAt - 700)} ::add-mask::hunter2`
  stage.github.setJobLog(tests!.id, `\uFEFF${[...body, login, mask, error, clean].join('\n')}\n`)
  await stage.pass(20_000)
  stage.end(run, 'failure')
  await stage.pass(60_000)

  expect(stage.port.run(RUN)).toMatchObject({
    status: 'FAILURE',
    summary: 'Job "test (node 24)" failed at step 2 "Run ./test.sh". See its log.',
  })
  const log = lines(stage)
  expect(log.slice(-103)).toEqual([
    'Job "test (node 24)" failed at step 2 "Run ./test.sh". See its log.',
    'Job "test (node 24)": failure at step 2 "Run ./test.sh".',
    'The last lines of the log of job "test (node 24)":',
    ...Array.from({ length: 98 }, (_, i) => `line ${i + 52}`),
    'login with [masked]',
    'Error: Process completed with exit code 1.',
  ])
  const blob = stage.github.requests.find(({ path }) => path.startsWith('/_blobs/'))
  expect(blob?.headers.authorization).toBeUndefined()
})

describe('of many runs that fail', () => {
  const start = async (amount: number) => {
    const stage = await openStage({ startTimeout: 600_000, runTimeout: 24 * HOUR })
    const ids = Array.from({ length: amount }, (_, n) => `r_A1b2C3d4E5f6G7${n}`)
    for (const id of ids) await stage.dispatch(id)
    const runs = ids.map(id => stage.run(`deploy ${id}`, { status: 'in_progress' }))
    await stage.pass(30_000)
    const fail = (some: typeof runs) => {
      for (const run of some) {
        stage.github.setJobs(run.id, 1, [{ name: 'build', status: 'completed', conclusion: 'failure' }])
        stage.end(run, 'failure')
      }
    }
    const open = () => ids.filter(id => stage.port.run(id).status === 'IN_PROGRESS')
    return { stage, ids, runs, fail, open }
  }

  test('each result reaches Port within about a minute of the end, though the relay restarts every 40 s', async () => {
    const { stage, runs, fail, open } = await start(40)
    fail(runs)
    for (let restarts = 0; restarts < 2; restarts++) {
      await stage.pass(40_000)
      stage.restart()
    }
    expect(open()).toEqual([])
  })

  test('the logs of some take no request that the results of others wait for', async () => {
    const { stage, ids, runs, fail, open } = await start(10)
    fail(runs.slice(0, 5))
    await stage.pass(20_000)
    fail(runs.slice(5))
    await stage.pass(20_000)
    expect(open()).toEqual([])
    for (const id of ids) expect(lines(stage, id).join()).toContain('Job "build"')
  })
})
