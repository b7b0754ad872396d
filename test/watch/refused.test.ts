import { expect, test } from 'vitest'
import { openStage, START_TIMEOUT } from '../support/stage.ts'

const RUN = 'r_A1b2C3d4E5f6G7h8'
const isList = ({ path }: { path: string }) => path.includes('/actions/runs')
const isRead = ({ method, path }: { method: string; path: string }) =>
  method === 'GET' && path.startsWith('/v1/actions/runs/')

test.each([401, 403, 404])(
  'a relay that has just started is refused once, by %i: that ends nothing',
  async status => {
    const stage = await openStage()
    const id = await stage.dispatch(RUN)
    const run = stage.run(`deploy ${RUN}`)
    await stage.pass(START_TIMEOUT * 2)
    stage.restart()
    stage.github.fail({ times: 1, status, body: { message: 'Not Found' }, match: isList })
    await stage.pass(20_000)
    expect((await stage.delivery(id)).state).toBe('running')
    stage.end(run, 'success')
    await stage.pass(90_000)
    expect(stage.port.run(RUN).status).toBe('SUCCESS')
  },
)

test('refused again a minute later, Port shows that the relay cannot look', async () => {
  const stage = await openStage()
  await stage.dispatch(RUN)
  stage.github.fail({ times: Number.POSITIVE_INFINITY, status: 404, body: {}, match: isList })
  await stage.pass(START_TIMEOUT + 1_000)
  expect(stage.port.run(RUN).status).toBe('IN_PROGRESS')
  await stage.pass(60_000)
  expect(stage.port.run(RUN).summary).toMatch(/^Nothing reported from acme\/shop within 1 min/)
})

test('a run that Port does not know ends when GitHub says so', async () => {
  const stage = await openStage()
  const id = await stage.dispatch(RUN)
  const run = stage.run(`deploy ${RUN}`)
  await stage.pass(10_000)
  stage.port.fail({
    times: Number.POSITIVE_INFINITY,
    status: 404,
    body: { ok: false, error: 'not_found', message: 'No such run' },
    match: isRead,
  })
  stage.end(run, 'success')
  await stage.pass(30_000)
  expect((await stage.delivery(id)).state).toBe('finished')
})

test('a gateway lets the run not be read: its end is reported after five minutes', async () => {
  const stage = await openStage()
  await stage.dispatch(RUN)
  const run = stage.run(`deploy ${RUN}`)
  await stage.pass(10_000)
  stage.port.fail({
    times: Number.POSITIVE_INFINITY,
    status: 403,
    body: { error: 'forbidden' },
    match: isRead,
  })
  stage.end(run, 'cancelled')
  await stage.pass(60_000)
  expect(stage.port.run(RUN).status).toBe('IN_PROGRESS')
  await stage.pass(360_000)
  expect(stage.port.run(RUN)).toMatchObject({ status: 'FAILURE', statusLabel: 'Cancelled' })
})

test('after a read was limited, Port gets nothing before it wants to, of whatever delivery, messages neither', async () => {
  const stage = await openStage()
  const ids = [RUN, 'r_B1b2C3d4E5f6G7h8']
  const runs = []
  let reported = ''
  for (const id of ids) {
    reported = await stage.dispatch(id)
    runs.push(stage.run(`deploy ${id}`))
  }
  await stage.pass(10_000)
  const headers = { 'retry-after': '120' }
  stage.port.fail({ times: Number.POSITIVE_INFINITY, status: 429, headers, match: isRead })
  for (const run of runs) stage.end(run, 'failure')
  const before = stage.port.requests.length
  await stage.pass(30_000)
  await stage.report(reported, [{ log: [{ level: 'INFO', message: 'A line of the action.' }] }])
  await stage.pass(70_000)
  // Both may have been on their way at once.
  expect(stage.port.requests.length - before).toBeLessThanOrEqual(2)
  stage.port.clearFailures()
  await stage.pass(60_000)
  expect(ids.map(id => stage.port.run(id).status)).toEqual(['FAILURE', 'FAILURE'])
})
