import { describe, expect, test } from 'vitest'
import { seededRandom } from '../support/random.ts'
import { RUN, RUN_TIMEOUT, type SystemOptions, startSystem, startWithRun } from '../support/system.ts'

// What Port shows after a job has reported its result with `report: auto`.

/** Starts a system whose workflow run is in progress, and was bound by the report of its first job. */
async function running(options: SystemOptions = {}) {
  const { system, id, run } = await startWithRun(options, { status: 'in_progress' })
  await system.pass(10_000)
  await system.bind(id, run.id)
  await system.pass(30_000)
  const shown = () => {
    const { status, statusLabel: label, summary, link } = system.port.run(RUN)
    return { status, label, summary, links: [link].flat().slice(1) }
  }
  const log = () => system.port.run(RUN).logs.flatMap(({ message }) => message.split('\n'))
  return { system, id, run, shown, log }
}

type Running = Awaited<ReturnType<typeof running>>
const link = ['https://github.com/acme/shop/pull/7']

test.each<[string, (given: Running) => Promise<unknown>, { status: string; label: string; summary: string }]>(
  [
    [
      'the conclusion of GitHub, with a sentence about the job that failed without a report',
      async ({ system, id, run }) => {
        await system.reportJob(id, 'success', {
          link: [`${system.github.serverUrl}/acme/shop/actions/runs/${run.id}/attempts/1`, ...link],
        })
        system.github.setJobs(run.id, 1, [{ name: 'test', status: 'completed', conclusion: 'failure' }])
        system.end(run, 'failure')
      },
      {
        status: 'FAILURE',
        label: 'Failed',
        summary: expect.stringMatching(/^The runner of job "test" was lost[\s\S]*\n\nJob: success$/),
      },
    ],
    [
      'the summary that an author wrote, not a generated summary of a job that failed',
      async ({ system, id, run }) => {
        await system.reportJob(id, 'success', { ownSummary: true, summary: 'Mine', link })
        await system.reportJob(id, 'failure', { id: 2, name: 'test' })
        system.end(run, 'cancelled')
      },
      { status: 'FAILURE', label: 'Canceled', summary: expect.stringMatching(/^The workflow .*\n\nMine$/) },
    ],
    [
      'the last result that the same job reported',
      async ({ system, id, run }) => {
        await system.reportJob(id, 'failure', { author: 'failure' })
        await system.reportJob(id, 'success', { link })
        system.end(run, 'success')
      },
      { status: 'SUCCESS', label: 'Succeeded', summary: 'Job: failure' },
    ],
    [
      'the result of the job if the workflow run was deleted',
      async ({ system, id, run }) => {
        await system.reportJob(id, 'success', { link })
        system.github.runs.splice(0)
        const match = ({ path }: { path: string }) => path.endsWith(`/actions/runs/${run.id}`)
        system.github.fail({ match, times: Number.POSITIVE_INFINITY, status: 404 })
      },
      { status: 'SUCCESS', label: 'Succeeded', summary: 'Job: success' },
    ],
    [
      'the cancellation by a user between the report and the end',
      async ({ system, id, run }) => {
        await system.reportJob(id, 'success', { link })
        await system.engine().apply(await system.delivery(id), { type: 'cancelRequested', by: 'api' })
        await system.pass(5_000)
        system.end(run, 'cancelled')
      },
      {
        status: 'FAILURE',
        label: 'Canceled',
        summary: expect.stringMatching(/^Canceled .*\n\nJob: success$/),
      },
    ],
  ],
)('Port shows %s', async (_, act, expected) => {
  const given = await running({ actions: 'write' })
  await act(given)
  await given.system.pass(120_000)
  expect(given.shown()).toEqual({ ...expected, links: link })
  expect((await given.system.delivery(given.id)).reported).toBeNull()
})

describe('if GitHub refuses to show the runs,', () => {
  test('Port shows the result of the job, after a minute if the relay has just started', async () => {
    const { system, id, run, shown, log } = await running({ actions: 'none' })
    await system.reportJob(id, 'success', { link })
    system.restart()
    await system.pass(50_000)
    expect(shown().status).toBe('IN_PROGRESS')
    await system.pass(70_000)
    expect(shown()).toEqual({ status: 'SUCCESS', label: 'Succeeded', summary: 'Job: success', links: link })
    expect(log().at(-1)).toMatch(
      /because the relay can't read .* give the relay the permission Actions: read\.$/,
    )
    expect((await system.store.history(id)).at(-1)).toMatchObject({
      ...{ type: 'runHidden', details: { conclusion: 'success', state: 'finished' } },
    })
    expect(run.conclusion).toBeNull()
  })

  test("Port shows GitHub's result if GitHub sends webhooks", async () => {
    const { system, id, run, shown } = await running({ actions: 'none' })
    await system.webhook(run)
    await system.reportJob(id, 'success')
    await system.pass(150_000)
    expect(shown().status).toBe('IN_PROGRESS')
    system.end(run, 'failure')
    await system.webhook(run)
    await system.pass(5_000)
    expect(shown().status).toBe('FAILURE')
  })
})

test('if the Port run gets a result after the report of a job, the delivery finishes and nothing is canceled', async () => {
  const { system, id } = await running({ actions: 'write' })
  await system.reportJob(id, 'success')
  system.port.endRun(RUN, 'FAILURE')
  system.github.fail({
    times: 100,
    status: 503,
    body: {},
    match: ({ path }) => path.includes('/actions/runs'),
  })
  await system.pass(RUN_TIMEOUT)
  expect(await system.delivery(id)).toMatchObject({ state: 'finished', outcome: 'failed' })
  expect(system.github.requests.filter(({ path }) => path.endsWith('/cancel'))).toEqual([])
})

describe('if another system reports the final status,', () => {
  const open = async () => {
    const system = await startSystem({ actions: 'write' })
    return { system, id: await system.dispatch(RUN, 'acme/shop', { reportWorkflowStatus: false }) }
  }

  test('Port gets the label, the summary, and the log of the relay, and the workflow run continues', async () => {
    const { system, id } = await open()
    const run = system.run(`deploy ${RUN}`, { status: 'in_progress' })
    await system.pass(10_000)
    await system.bind(id, run.id)
    await system.reportJob(id, 'success')
    system.port.endRun(RUN, 'SUCCESS')
    await system.pass(60_000)
    expect(await system.delivery(id)).toMatchObject({ state: 'running', cancelRequestedAt: null })
    Object.assign(system.port.run(RUN), { status: 'IN_PROGRESS', finishedAt: undefined })
    system.github.setJobs(run.id, 1, [{ name: 'deploy', status: 'completed', conclusion: 'failure' }])
    system.end(run, 'failure')
    await system.pass(60_000)
    expect(await system.delivery(id)).toMatchObject({ state: 'finished', outcome: 'failed' })
    const { status, statusLabel, summary } = system.port.run(RUN)
    expect([status, statusLabel]).toEqual(['IN_PROGRESS', 'Failed'])
    expect(summary).toMatch(/Job: success$/)
    expect(system.github.requests.filter(({ path }) => path.endsWith('/cancel'))).toEqual([])
  })

  test.each([null, 'skipped'])('Port shows that nothing started: %s', async conclusion => {
    const { system } = await open()
    if (conclusion) system.end(system.run(`deploy ${RUN}`), conclusion)
    await system.pass(180_000)
    expect(system.port.run(RUN).status).toBe('FAILURE')
  })
})

test.each([
  [null, 'deploy', ['the secret of test']],
  [700, 'deploy', ['the secret of test']],
  [null, 'de***', []],
])(
  'a failed job that has reported with the ID %s and the name %s gets no lines of its log',
  async (jobId, name, shownLines) => {
    const { system, id, run, shown, log } = await running()
    const failed = { status: 'completed', conclusion: 'failure' } as const
    const [first, second] = system.github.setJobs(run.id, 1, [
      { ...failed, name: 'deploy', ...(jobId && { id: jobId }) },
      { ...failed, name: 'test' },
    ])
    for (const each of [first!, second!]) system.github.setJobLog(each.id, `the secret of ${each.name}\n`)
    await system.reportJob(id, 'failure', { id: jobId && first!.id, name, summary: 'Redacted' })
    system.end(run, 'failure')
    await system.pass(60_000)
    expect(shown()).toMatchObject({ status: 'FAILURE', summary: 'Redacted' })
    expect(log().filter(line => line.includes('secret'))).toEqual(shownLines)
  },
)

describe('the relay reads a run by its ID', () => {
  const reads = ({ system, run }: Running) =>
    system.github.requests.filter(({ path }) => path === `/repos/acme/shop/actions/runs/${run.id}`).length

  test('2, 4, 8, 16, and 32 s after the report of a job, also after a restart', async () => {
    const given = await running()
    const { system, id, run, shown } = given
    const from = system.now()
    await system.reportJob(id, 'success')
    const times: number[] = []
    for (let known = reads(given); system.now() < from + 60_000; known = reads(given)) {
      await system.pass(500)
      if (reads(given) > known) times.push(Math.round((system.now() - from) / 1000))
    }
    expect(times).toEqual([2, 4, 8, 16, 32])
    await system.reportJob(id, 'success')
    system.restart()
    system.end(run, 'success')
    await system.pass(3_000)
    expect(shown().status).toBe('SUCCESS')
  })

  test('at most ten times a minute', async () => {
    const given = await running()
    for (let i = 0; i < 25; i++) {
      await given.system.reportJob(given.id, 'success', { id: i })
      await given.system.pass(2_000)
    }
    expect(reads(given)).toBe(10)
  })
})

/** `FINISHING_MINUTES=5` runs the complete form, whose figures docs/sizing.md shows. */
const MINUTES = Number(process.env.FINISHING_MINUTES ?? 1)

test.each([
  [1, 'no webhooks', 10],
  [10, 'no webhooks', 10],
  [60, 'no webhooks', 60],
  [60, 'webhooks', 2],
])(
  'with %i finishing jobs a minute and %s, Port shows 95 percent of the results within %i s',
  async (perMinute, hooks, most) => {
    const random = seededRandom(perMinute)
    const system = await startSystem()
    for (let i = 0; i < 20; i++)
      system.github.addRepository(`acme/r${i}`, { permissions: { actions: 'read', contents: 'write' } })
    const jobs = Array.from({ length: perMinute * MINUTES }, (_, i) => {
      // Each job runs for 20 to 80 s, and its post step finishes 1 to 5 s after its report.
      const startAt = ((i + random()) * 60_000) / perMinute
      const reportAt = startAt + 20_000 + random() * 60_000
      const portRun = `r_A1b2C3d4E5f6G7${String(i).padStart(4, '0')}`
      const endAt = reportAt + 1_000 + random() * 4_000
      return { portRun, repository: `acme/r${i % 20}`, startAt, reportAt, endAt, shownAt: 0, id: '', run: 0 }
    })
    const began = system.now()
    const step = 500
    for (let at = 0; jobs.some(job => job.shownAt === 0); at += step) {
      const isNow = (time: number) => time >= at && time < at + step
      for (const job of jobs) {
        if (isNow(job.startAt)) {
          job.id = await system.dispatch(job.portRun, job.repository)
          const { repository, portRun } = job
          job.run = system.run(`deploy ${portRun}`, { repository, status: 'in_progress' }).id
          await system.bind(job.id, job.run)
        }
        if (isNow(job.reportAt)) await system.reportJob(job.id, 'success')
        if (isNow(job.endAt)) {
          const run = system.github.runs.find(({ id }) => id === job.run)!
          system.end(run, 'success')
          if (hooks === 'webhooks') await system.webhook(run)
        }
        const isShown = job.id !== '' && system.port.run(job.portRun).status !== 'IN_PROGRESS'
        if (job.shownAt === 0 && isShown) job.shownAt = system.now() - began
      }
      await system.pass(step)
    }
    const delays = jobs.map(job => (job.shownAt - job.endAt) / 1000).sort((a, b) => a - b)
    const at = (share: number) => delays[Math.ceil(delays.length * share) - 1]!
    console.log(
      `${perMinute} finishing jobs a minute, ${hooks}: p50 ${at(0.5).toFixed(1)} s, p95 ${at(0.95).toFixed(1)} s`,
    )
    expect(at(0.95)).toBeLessThanOrEqual(most)
  },
)
