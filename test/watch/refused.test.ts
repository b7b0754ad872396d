import { expect, test } from 'vitest'
import { RUN, START_TIMEOUT, startSystem, startWithRun } from '../support/system.ts'

const ALWAYS = { times: Number.POSITIVE_INFINITY }
const isList = ({ path }: { path: string }) => path.includes('/actions/runs')
const isRead = ({ method, path }: { method: string; path: string }) =>
  method === 'GET' && path.startsWith('/v1/actions/runs/')

test.each([401, 403, 404])('a single %i after a restart does not finish the delivery', async status => {
  const { system, id, run } = await startWithRun()
  await system.pass(START_TIMEOUT * 2)
  system.restart()
  system.github.fail({ times: 1, status, body: { message: 'Not Found' }, match: isList })
  await system.pass(20_000)
  expect((await system.delivery(id)).state).toBe('running')
  system.end(run, 'success')
  await system.pass(90_000)
  expect(system.port.run(RUN).status).toBe('SUCCESS')
})

test('if GitHub rejects polls for a minute, Port shows that the relay cannot read the workflow runs', async () => {
  const system = await startSystem()
  await system.dispatch(RUN)
  system.github.fail({ ...ALWAYS, status: 404, body: {}, match: isList })
  await system.pass(START_TIMEOUT + 1_000)
  expect(system.port.run(RUN).status).toBe('IN_PROGRESS')
  await system.pass(60_000)
  expect(system.port.run(RUN).summary).toMatch(/^No workflow run in acme\/shop reported within 1 min/)
})

test('the relay sends the result to Port after five minutes if a gateway blocks reads of the Port run', async () => {
  const { system, run } = await startWithRun()
  await system.pass(10_000)
  system.port.fail({ ...ALWAYS, status: 403, body: { error: 'forbidden' }, match: isRead })
  system.end(run, 'cancelled')
  await system.pass(60_000)
  expect(system.port.run(RUN).status).toBe('IN_PROGRESS')
  await system.pass(360_000)
  expect(system.port.run(RUN)).toMatchObject({ status: 'FAILURE', statusLabel: 'Cancelled' })
})

test('after Port rate limits a read, the relay sends no reads or messages until the pause ends', async () => {
  const system = await startSystem()
  const ids = [RUN, 'r_B1b2C3d4E5f6G7h8']
  const runs = []
  let reported = ''
  for (const id of ids) {
    reported = await system.dispatch(id)
    runs.push(system.run(`deploy ${id}`))
  }
  await system.pass(10_000)
  const headers = { 'retry-after': '120' }
  system.port.fail({ ...ALWAYS, status: 429, headers, match: isRead })
  for (const run of runs) system.end(run, 'failure')
  const before = system.port.requests.length
  await system.pass(30_000)
  await system.report(reported, [{ log: [{ level: 'INFO', message: 'A line of the action.' }] }])
  await system.pass(70_000)
  // Two requests can have been in progress concurrently.
  expect(system.port.requests.length - before).toBeLessThanOrEqual(2)
  system.port.clearFailures()
  await system.pass(60_000)
  expect(ids.map(id => system.port.run(id).status)).toEqual(['FAILURE', 'FAILURE'])
})
