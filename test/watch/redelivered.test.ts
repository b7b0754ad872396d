import { expect, test } from 'vitest'
import { openStage, START_TIMEOUT } from '../support/stage.ts'

const RUN = 'r_A1b2C3d4E5f6G7h8'
const NODE_RUN = 'wfnr_A1b2C3d4E5f6G7h8'

test('nothing listens to a redelivered delivery either: it fails again, and may be redelivered again', async () => {
  const stage = await openStage()
  const id = await stage.dispatch(RUN)
  await stage.pass(100_000)
  const shown = structuredClone(stage.port.run(RUN))
  await stage.redeliver(id)
  await stage.pass(400_000)
  expect(await stage.delivery(id)).toMatchObject({
    state: 'failed',
    reason: expect.stringMatching(/^No workflow in acme\/shop listens/),
  })
  expect(stage.port.run(RUN)).toEqual(shown)
  await stage.redeliver(id)
  expect((await stage.delivery(id)).state).toBe('dispatched')
})

test('the run of before a redelivery is not taken for that of after it, whoever names it', async () => {
  const stage = await openStage()
  const id = await stage.dispatch(RUN)
  const old = stage.run(`deploy ${RUN}`)
  stage.port.run(RUN).externalRunId = String(old.id)
  stage.end(old, 'cancelled')
  await stage.pass(100_000)
  expect(await stage.runs(id)).toEqual([[old.id, 'port']])

  await stage.redeliver(id)
  expect(await stage.runs(id)).toEqual([])
  await stage.pass(3_000)
  const run = stage.run(`deploy ${RUN}`, { status: 'in_progress' })
  await stage.pass(40_000)
  expect(await stage.runs(id)).toEqual([[run.id, 'title']])
  stage.end(run, 'success')
  await stage.pass(60_000)
  expect(await stage.delivery(id)).toMatchObject({ state: 'finished', reason: null })
})

test('of a redelivered delivery whose run fails, the end is what GitHub says, and Port keeps the one it has', async () => {
  const stage = await openStage()
  const id = await stage.dispatch(RUN)
  const old = stage.run(`deploy ${RUN}`)
  stage.end(old, 'cancelled')
  await stage.pass(100_000)
  const shown = structuredClone(stage.port.run(RUN))
  await stage.redeliver(id)
  const run = stage.run(`deploy ${RUN}`)
  await stage.pass(10_000)
  stage.end(run, 'timed_out')
  await stage.pass(60_000)
  expect(await stage.delivery(id)).toMatchObject({
    state: 'failed',
    runs: [
      { id: old.id, past: true },
      { id: run.id, past: false },
    ],
  })
  expect(stage.port.run(RUN)).toEqual(shown)
})

test('redelivered within a minute, a node run does not end with the run that was cancelled', async () => {
  const stage = await openStage()
  const id = await stage.dispatch(NODE_RUN)
  const old = [stage.run(`deploy ${NODE_RUN}`), stage.run(`lint ${NODE_RUN}`)]
  for (const run of old) stage.end(run, 'cancelled')
  await stage.pass(15_000)
  expect((await stage.delivery(id)).state).toBe('failed')
  await stage.redeliver(id)
  await stage.pass(START_TIMEOUT / 2)
  expect((await stage.delivery(id)).state).toBe('dispatched')
  const run = stage.run(`deploy ${NODE_RUN}`)
  await stage.pass(5_000)
  stage.end(run, 'success')
  await stage.pass(60_000)
  expect(await stage.delivery(id)).toMatchObject({ state: 'finished', reason: null })
})

test('a failure that Port did not get is not sent after the redelivery, and its run follows the new course', async () => {
  const stage = await openStage()
  const id = await stage.dispatch(RUN)
  const old = stage.run(`deploy ${RUN}`)
  await stage.pass(10_000)
  await stage.port.stop()
  stage.end(old, 'cancelled')
  while ((await stage.delivery(id)).state !== 'failed') await stage.pass(10_000)
  await stage.redeliver(id)
  const run = stage.run(`deploy ${RUN}`)
  await stage.pass(5_000)
  await stage.port.start()
  await stage.pass(60_000)
  expect(stage.port.run(RUN).status).toBe('IN_PROGRESS')
  expect(stage.port.run(RUN).logs.map(log => log.message.split(' ')[0])).toEqual(['Dispatched', 'Dispatched'])
  stage.end(run, 'success')
  await stage.pass(60_000)
  expect(stage.port.run(RUN).status).toBe('SUCCESS')
})
