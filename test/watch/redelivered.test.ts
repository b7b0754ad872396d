import { expect, test } from 'vitest'
import { RUN, START_TIMEOUT, startSystem, startWithRun } from '../support/system.ts'

const NODE_RUN = 'wfnr_A1b2C3d4E5f6G7h8'

test('a run from before a redelivery is not bound again, even if Port and the title identify the run', async () => {
  const { system, id, run: old } = await startWithRun()
  system.port.run(RUN).externalRunId = String(old.id)
  system.end(old, 'cancelled')
  await system.pass(100_000)
  expect(await system.runs(id)).toEqual([[old.id, 'port']])

  await system.redeliver(id)
  expect(await system.runs(id)).toEqual([])
  await system.pass(3_000)
  const run = system.run(`deploy ${RUN}`, { status: 'in_progress' })
  await system.pass(40_000)
  expect(await system.runs(id)).toEqual([[run.id, 'title']])
  system.end(run, 'success')
  await system.pass(60_000)
  expect(await system.delivery(id)).toMatchObject({ state: 'finished', reason: null })
})

test('a node run that is redelivered within a minute is not bound to the earlier, canceled workflow runs', async () => {
  const system = await startSystem()
  const id = await system.dispatch(NODE_RUN)
  const old = [system.run(`deploy ${NODE_RUN}`), system.run(`lint ${NODE_RUN}`)]
  for (const run of old) system.end(run, 'cancelled')
  await system.pass(15_000)
  expect((await system.delivery(id)).state).toBe('failed')
  await system.redeliver(id)
  await system.pass(START_TIMEOUT / 2)
  expect((await system.delivery(id)).state).toBe('dispatched')
  const run = system.run(`deploy ${NODE_RUN}`)
  await system.pass(5_000)
  system.end(run, 'success')
  await system.pass(60_000)
  expect(await system.delivery(id)).toMatchObject({ state: 'finished', reason: null })
})

test('a redelivery drops a failure that was not yet sent to Port, and Port shows the result of the new run', async () => {
  const { system, id, run: old } = await startWithRun()
  await system.pass(10_000)
  await system.port.stop()
  system.end(old, 'cancelled')
  while ((await system.delivery(id)).state !== 'failed') await system.pass(10_000)
  await system.redeliver(id)
  const run = system.run(`deploy ${RUN}`)
  await system.pass(5_000)
  await system.port.start()
  await system.pass(60_000)
  expect(system.port.run(RUN).status).toBe('IN_PROGRESS')
  const words = system.port.run(RUN).logs.map(log => log.message.split(' ')[0])
  expect(words).toEqual(['Dispatched', 'Dispatched'])
  system.end(run, 'success')
  await system.pass(60_000)
  expect(system.port.run(RUN).status).toBe('SUCCESS')
})
