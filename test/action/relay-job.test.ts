import { expect, test, vi } from 'vitest'
import vectors from '../fixtures/port/encryption-vectors.json' with { type: 'json' }
import { startReport, startSystem } from '../reports/open-stage.ts'
import { encryptFor, encryptWith } from './encrypt.ts'
import { deliver, NO_TOKEN, openJob, SECRET_INPUT } from './open-relay-job.ts'
import { seeAlso } from './open-runner.ts'

// Runs jobs that have a relay but no Port credentials, in this process, from the sources.

test('while the relay is down, a job that needs it fails, and post reports the job after the relay is back', async () => {
  const system = await startSystem()
  const { payload, portRun } = await deliver(system)
  await system.relay.stop()
  const job = openJob(system, payload)
  expect(await job.run('main')).toEqual([
    expect.stringMatching(
      /^::error::The action couldn't get "password" from the relay: The relay didn't respond at 127/,
    ),
    expect.stringMatching(
      /^::warning::Reporting to Port failed: The relay didn't respond at 127.*ECONNREFUSED/,
    ),
  ])
  expect(job.saved()).toMatchObject({ checked: false, linked: false, relay: { idToken: null, token: null } })

  // The runner no longer issues tokens, so this run cannot authenticate.
  expect(await job.post(NO_TOKEN)).toEqual([
    expect.stringMatching(
      /^::warning::Reporting to Port failed: the job has no permission for an OIDC token\. Give the job/,
    ),
    expect.stringMatching(/^::notice::The steps of this job aren't reported to Port/),
  ])
  await system.restart()
  expect(await job.post({ 'INPUT_JOB-STATUS': 'failure', 'INPUT_GITHUB-TOKEN': '' })).toEqual([
    expect.stringMatching(/^::notice::The steps of this job aren't reported to Port/),
  ])
  await vi.waitFor(() => expect(portRun!.status).toBe('FAILURE'), { timeout: 10_000 })
  expect(portRun!.link).toEqual([expect.stringMatching(/runs\/16000000042\/attempts\/1$/)])
})

test('if a job needs a secret input, its re-run fails after the delivery has finished', async () => {
  const system = await startSystem()
  const { id, payload } = await deliver(system)
  const first = openJob(system, payload, { 'github-token': '' })
  await first.run('main')
  expect(first.outputs().password).toBe(SECRET_INPUT)
  const end = [{ update: { conclusion: 'success' } }]
  expect((await system.report(await startReport(system, id), id, end)).status).toBe(202)
  const again = openJob(system, payload, { report: 'off' }, { runAttempt: 2 })
  expect(await again.run('main')).toEqual([
    `::error::The relay no longer returns "password", because the delivery has finished. Run the Port action again. If an ` +
      'earlier job of this workflow run finished the delivery, remove report: job from that job.' +
      seeAlso('secret-inputs'),
    "Nothing is reported to Port, because the action's report input is off.",
  ])
  expect(process.exitCode).toBe(1)
})

test("a warning names the secret inputs that the relay can't decrypt, and the job's own key decrypts them", async () => {
  const system = await startSystem()
  const { privateKeyPem, publicKeyPem } = vectors['client-side']
  const action = { identifier: 'deploy_service', encryptedProperties: ['password', 'own'] }
  const password = encryptWith(system.port.clientSecret, SECRET_INPUT)
  const inputs = { password, own: encryptFor(publicKeyPem, 'mine') }
  const { payload } = await system.deliver({ body: { action, inputs } })
  const job = openJob(system, payload)
  expect((await job.run('main'))[0]).toMatch(
    /^::warning::The secret input "own" stays encrypted\. The relay's secrets .* set private-key\./,
  )
  expect(job.outputs().password).toBe(SECRET_INPUT)
  const keyed = openJob(system, payload, { 'private-key': privateKeyPem })
  await keyed.run('main')
  expect(keyed.outputs()).toMatchObject({ password: SECRET_INPUT, own: 'mine' })
})

test('if the payload names another relay than the input relay-url, the job fails without sending a token', async () => {
  const system = await startSystem()
  const { payload } = await deliver(system)
  const pinned = openJob(system, payload, { 'relay-url': `${system.url}/` })
  expect(await pinned.run('main')).toEqual([])
  const asked = system.issuer.requests.length
  const job = openJob(system, payload, { 'relay-url': 'https://relay.acme.example' })
  expect(await job.run('main')).toEqual([
    expect.stringMatching(
      /^::error::The payload contains the relay address http:.*, but the input relay-url accepts only https:\/\/relay\.acme\.example\. .*#payload$/,
    ),
  ])
  expect(job.state()).toEqual({})
  expect(system.issuer.requests).toHaveLength(asked)
})

test('no OIDC token is sent over plain HTTP to another machine', async () => {
  const system = await startSystem()
  const { payload } = await deliver(system)
  const open = { ...payload, port: { ...payload.port, relay: 'http://relay.acme.example' } }
  const job = openJob(system, open)
  const reason =
    "the relay's address http://relay.acme.example is plain HTTP, so the OIDC token isn't sent to it"
  expect(await job.run('main')).toEqual([
    expect.stringContaining(`::error::The action couldn't get "password" from the relay: ${reason}`),
    expect.stringContaining(`::warning::Reporting to Port failed: ${reason}`),
  ])
  expect(system.issuer.requests).toEqual([])
})

test('a relay without Port credentials still decrypts secret inputs, and a warning names the missing setting', async () => {
  const system = await startSystem({ PORT_CLIENT_ID: '' })
  const { payload } = await deliver(system)
  const job = openJob(system, payload)
  expect(await job.run('main')).toEqual([
    "::warning::Reporting to Port failed: the relay has no Port credentials: set PORT_CLIENT_ID in the relay's " +
      `environment, or port-client-id and port-client-secret in the action's inputs.${seeAlso('credentials')}`,
  ])
  expect(job.outputs().password).toBe(SECRET_INPUT)
  // Post writes the job summary, but doesn't report again.
  expect(job.saved()).toMatchObject({ outlook: 'doubtful', checked: false })
  expect(await job.post({ 'INPUT_GITHUB-TOKEN': '' })).toEqual([
    expect.stringMatching(/^::notice::The steps of this job aren't reported to Port/),
  ])
})

test('the second workflow run of a delivery fails as a duplicate; with on-duplicate: continue, it fails because inputs are missing', async () => {
  const system = await startSystem()
  const { id, payload } = await deliver(system, { large: 'x'.repeat(70_000) })
  await startReport(system, id, { runId: 4711 })
  const taken = /Port's run .* belongs to another workflow run, 4711; this workflow run is 16000000042/
  const stops = openJob(system, payload)
  expect(await stops.run('main')).toEqual([expect.stringMatching(taken)])
  expect(process.exitCode).toBe(1)
  expect(stops.state()).toEqual({})

  const cannot = openJob(system, payload, { 'on-duplicate': 'continue' })
  expect(await cannot.run('main')).toEqual([
    expect.stringMatching(
      /^::error::Port's run .*\. This job can't continue \(on-duplicate: continue\): "inputs.large" didn't fit into the payload, /,
    ),
  ])
})
