import { expect, test } from 'vitest'
import vectors from '../fixtures/port/encryption-vectors.json' with { type: 'json' }
import { openStage, startReport } from '../reports/open-stage.ts'
import { deliver, openJob, seeAlso } from './open-relay-job.ts'
import { sealFor } from './seal.ts'

// A second workflow run for a delivery, without credentials of Port, by the sources in this process.

test('a second workflow run of a delivery is a duplicate, which gets nothing of the payload', async () => {
  const stage = await openStage()
  const { id, payload } = await deliver(stage, { large: 'x'.repeat(70_000) })
  await startReport(stage, id, { runId: 4711 })
  const taken = /Port's run .* already runs in another workflow run, 4711; this one is 16000000042/
  const stops = openJob(stage, payload)
  expect(await stops.run('main')).toEqual([expect.stringMatching(taken)])
  expect(process.exitCode).toBe(1)
  expect(stops.state()).toEqual({})

  const cannot = openJob(stage, payload, { 'on-duplicate': 'continue' })
  expect(await cannot.run('main')).toEqual([
    expect.stringMatching(
      /^::error::Port's run .*\. It cannot go on \(on-duplicate: continue\): "inputs.large" did not fit into the payload, /,
    ),
  ])
})

test.each([
  ['without a key', ''],
  ['with a key of its own', vectors['client-side'].privateKeyPem],
])('a duplicate %s that may go on does, and says alone what stays encrypted for it', async (_, key) => {
  const stage = await openStage()
  const { id, payload } = await deliver(stage, { own: sealFor(vectors['client-side'].publicKeyPem, 'mine') })
  await startReport(stage, id, { runId: 4711 })
  const sealed = { ...payload, port: { ...payload.port, encrypted: ['password', 'own'] } }
  const job = openJob(stage, sealed, { 'on-duplicate': 'continue', 'secret-key': key })
  const names = key === '' ? '"password", "own"' : '"password"'
  expect(await job.run('main')).toEqual([
    expect.stringMatching(/^::warning::Port's run .* It goes on, and Port is told nothing of it/),
  ])
  expect(process.exitCode).not.toBe(1)
  expect(job.outputs()).toMatchObject({
    password: payload.port.inputs.password,
    own: key === '' ? payload.port.inputs.own : 'mine',
  })
  expect((await job.run('main'))[0]).toContain(
    ` What the relay opens for the other one alone stays encrypted: ${names}.${seeAlso('duplicates')}`,
  )
  expect(job.state()).toEqual({})
})

test('of a delivery without a run in Port a second workflow run is a duplicate, too', async () => {
  const stage = await openStage()
  const { id, payload } = await deliver(stage)
  await startReport(stage, id, { runId: 4711 })
  const job = openJob(stage, { ...payload, run_id: null })
  expect(await job.run('main')).toEqual([
    expect.stringMatching(/^::error::This delivery of Port's already runs in another workflow run, 4711/),
  ])
})
