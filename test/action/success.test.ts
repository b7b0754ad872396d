import { expect, test } from 'vitest'
import {
  annotations,
  JOBS_PATH,
  openStage,
  ownSteps,
  payloadFor,
  told,
  toldAtEnd,
  toldAtStart,
} from './play.ts'

test('a job that succeeds gives every Port input as an output, and ends the Port run as SUCCESS', async () => {
  const stage = await openStage()
  const played = await stage.play()

  expect(played.conclusion).toBe('success')
  const { main, post } = ownSteps(played.jobs[0]!)
  expect(main.outputs).toEqual({
    version: '1.4.2',
    replicas: '3',
    tags: '["a","b"]',
    notes: '',
    dry_run: 'false',
    inputs: '{"version":"1.4.2","replicas":3,"tags":["a","b"],"notes":null,"dry_run":false}',
    entity: '{"identifier":"shop","title":"Shop"}',
    event: 'null',
    trigger:
      '{"by":{"email":"ada@acme.example","name":"Ada Lovelace"},"origin":"UI","at":"2026-11-01T10:00:00.000Z"}',
    payload: JSON.stringify(payloadFor(stage.run.id)),
    'run-id': stage.run.id,
    action: 'deploy_service',
    operation: 'DAY-2',
    blueprint: 'service',
    'entity-id': 'shop',
    'triggered-by': 'ada@acme.example',
    delivery: 'd_1',
  })
  expect(Object.keys(main.env)).toEqual(['PORT_LOG'])
  expect([...annotations(main), ...annotations(post)]).toEqual([])

  expect(told(stage.port)).toEqual([
    ...toldAtStart(stage),
    ...toldAtEnd(stage, {
      status: 'SUCCESS',
      label: 'Succeeded',
      steps: ['✓ Build image (N s)'],
      job: '✓ Job deploy: success after N s',
    }),
  ])
  expect(told(stage.github)).toEqual([`GET ${JOBS_PATH}`])
  expect(stage.run.status).toBe('SUCCESS')
})

test('the client secret and the token of Port are masked, in main and in post', async () => {
  const { play, port } = await openStage()
  const { main, post } = ownSteps((await play()).jobs[0]!)
  const token = port.requests.at(-1)!.headers.authorization!.replace('Bearer ', '')
  for (const step of [main, post]) {
    expect(step.stdout).toContain(`::add-mask::${port.clientSecret}\n`)
    expect(step.stdout).toContain(`::add-mask::${token}\n`)
    expect(step.log).not.toContain(port.clientSecret)
  }
})
