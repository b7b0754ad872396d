import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { progressFolder } from '../../action/progress/process.ts'
import type { State } from '../../action/runner/runner.ts'
import type { JsonObject } from '../../port/types.ts'
import { encryptWith } from './encrypt.ts'
import { openRunner, seeAlso } from './open-runner.ts'
import { bodyFor, linesOf, payloadFor, RUN_PATH, type System, startSystem } from './play.ts'

// Tests what main reports to Port and in GitHub's log.

/** A job with a secret input that its key cannot decrypt. */
async function openEncrypted() {
  const system = await startSystem()
  const token = encryptWith('x'.repeat(32), 'hunter2-hunter2')
  const payload = payloadFor(system.run.id, { token }, { encrypted: ['token'] })
  return { ...system, job: openRunner({ ...system, payload }, { 'github-token': '' }) }
}

const WHY = expect.stringMatching(/^The secret input "token" couldn't be decrypted/)
const FAILED = expect.stringMatching(/^✗ Job deploy: failure/)

test('Port shows why main failed, immediately in the log and later in the summary', async () => {
  const { run, job } = await openEncrypted()
  await job.run('main')
  await job.post({ 'INPUT_JOB-STATUS': 'failure' })
  expect(linesOf(run)).toEqual([expect.stringMatching(/^Workflow run started: /), WHY, FAILED])
  expect(run.summary!.split('\n\n').slice(0, 2)).toEqual([FAILED, WHY])
})

test.each([
  [`00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`, true],
  ['anything\nelse', false],
])('exports a valid traceparent as TRACEPARENT to later steps (%j: %s)', async (traceparent, isExported) => {
  const system = await startSystem()
  const payload = payloadFor(system.run.id)
  Object.assign(payload.port!, { traceparent })
  const job = openRunner({ ...system, payload })
  await job.run('main')
  const exported = readFileSync(join(job.folder, 'env'), 'utf8')
  expect(exported.includes(`TRACEPARENT`) && exported.includes(traceparent)).toBe(isExported)
})

test.each([
  '{"result":"failure","outputs":{}}',
  '{"build":"failure"}',
  '{"build":{"outcome":"failure"}}',
  '{"build":{"result":"timed_out"}}',
  '{"lint":{"result":"success"},"odd":1}',
])('refuses the value %s of the input needs, because a failed job would go unnoticed', async needs => {
  const job = openRunner(await startSystem(), { needs })
  expect(await job.run('main')).toEqual([`::error::needs must be \${{ toJSON(needs) }}.${seeAlso('inputs')}`])
})

test('the job fails because of an invalid input, or a client id without a secret', async () => {
  const system = await startSystem()
  const job = openRunner(system, { report: 'jobs', 'on-duplicate': 'stop', 'port-client-secret': '' })
  expect(await job.run('main')).toEqual([
    expect.stringMatching(
      /^::error::report must be .*, not "jobs"\.%0Aon-duplicate must be .*%0Aport-client-id is set, but port-client-secret is empty/,
    ),
  ])
  expect([process.exitCode, system.port.requests]).toEqual([1, []])
})

test('a second step of the action warns about the inputs that it ignores', async () => {
  const job = openRunner(await startSystem(), { report: 'updates' })
  await job.run('main')
  const warning = expect.stringContaining(
    'These inputs of this step are ignored: summary. Set them on the earlier',
  )
  expect(await job.run('main', { INPUT_SUMMARY: 'Done.' })).toEqual([warning])
})

test('with live: false, main starts no process', async () => {
  const job = openRunner(await startSystem(), { live: 'false' })
  await job.run('main')
  expect(existsSync(progressFolder(job.saved().files.log).path)).toBe(false)
})

test('without an OIDC token or credentials, the warning names OIDC first, then credentials', async () => {
  const system = await startSystem()
  const payload = payloadFor(system.run.id)
  Object.assign(payload.port!, { relay: 'https://relay.acme.example' })
  expect(await openRunner({ ...system, payload }, NONE).run('main')).toEqual([
    expect.stringContaining(
      '::warning::This job isn\'t reported to Port: give the job "permissions: id-token: write", or set the inputs port-client-id and port-client-secret',
    ),
  ])
})

test.each<[object | undefined, string, RegExp]>([
  [
    { version: '1.4.2' },
    '',
    /started by repository_dispatch, without a payload from the relay\. This action /,
  ],
  [
    { run_id: 'r_1', action: 'x', port: { version: 2 } },
    '',
    /payload has version 2, but .*: update the action/,
  ],
  [undefined, 'r_1', /The input "payload" isn't JSON: set it to \${{ toJSON\(…\) }}\. /],
  [
    undefined,
    '{}',
    /The input "payload" doesn't contain a payload from the relay: pass the output "payload" /,
  ],
])('the job fails if neither event %j nor input %j has a payload', async (payload, input, error) => {
  const system = await startSystem()
  const job = openRunner({ ...system, payload }, { payload: input })
  expect(await job.run('main')).toEqual([expect.stringMatching(error)])
  expect(system.port.requests).toEqual([])
})

test('if a job is canceled while main waits for Port, post finishes the Port run', async () => {
  const system = await startSystem()
  const job = openRunner(system, { 'github-token': '' })
  const states: State[] = []
  system.port.fail({
    match: ({ method }) => {
      if (method === 'GET') states.push(job.saved())
      return false
    },
  })
  await job.run('main')
  expect(states[0]).toMatchObject({ runId: system.run.id, checked: false, linked: false })
  await job.run('post', { STATE_report: JSON.stringify(states[0]), 'INPUT_JOB-STATUS': 'cancelled' })
  const link = [`${system.github.serverUrl}/acme/shop/actions/runs/16000000042/attempts/1`]
  expect(system.run).toMatchObject({ status: 'FAILURE', statusLabel: 'Canceled', link })
})

test("values that Port's agent has decrypted are masked, and used unchanged", async () => {
  const system = await startSystem()
  const inputs = { token: 'clear-text', login: { user: 'ada', pass: 'clear-pass' }, pin: 4711, none: null }
  const payload = payloadFor(system.run.id, inputs, { encrypted: Object.keys(inputs) })
  const job = openRunner({ ...system, payload }, { 'github-token': '' })
  expect(await job.run('main')).toEqual([])
  expect(job.outputs()).toMatchObject({
    token: 'clear-text',
    login: JSON.stringify(inputs.login),
    pin: '4711',
  })
  expect(job.masks()).toEqual(expect.arrayContaining(['clear-text', 'clear-pass', '4711']))
  writeFileSync(job.saved().files.log, 'clear-text clear-pass 4711\n')
  await job.post()
  expect(linesOf(system.run)).toContain('*** *** ***')
})

test('if a user starts the workflow on GitHub, nothing is sent to Port, and main prints one notice', async () => {
  const system = await startSystem()
  const job = openRunner(system, { 'port-client-id': '', 'port-client-secret': '' })
  writeFileSync(join(job.folder, 'event.json'), JSON.stringify({ inputs: { port: '', version: '2' } }))
  expect(await job.run('main', { GITHUB_EVENT_NAME: 'workflow_dispatch' })).toEqual([
    '::notice::The input "port" is empty: a user started this workflow on GitHub, so nothing is reported to Port.',
  ])
  expect(job.outputs()).toEqual({ inputs: '{}', entity: 'null', event: 'null', trigger: 'null' })
  // The workflow's steps can still write to the files.
  for (const [, path] of readFileSync(join(job.folder, 'env'), 'utf8').matchAll(/^PORT_.*\n(.*)$/gm))
    writeFileSync(path!, 'a line', { flag: 'r+' })
  expect(await job.post()).toEqual([])
  expect(system.port.requests).toEqual([])
  expect(process.exitCode).not.toBe(1)
})

test('the errors about inputs of port-github-action name the replacements', async () => {
  const system = await startSystem()
  const [error] = await openRunner(system, { clientId: 'a', runId: 'r_1', status: 'SUCCESS' }).run('main')
  expect(error).toMatch(/^::error::clientId, runId: .* inputs of port-labs\/port-github-action\. .*migrate\./)
  expect(system.port.requests).toEqual([])
  // A job can define variables with these names itself.
  const own = openRunner(system)
  expect(await own.run('main', { INPUT_STATUS: 'ready', INPUT_TITLE: 'Deploy' })).toEqual([])
})

test('a warning says that an input is only in the output "inputs" if its name and input-NAME are both taken', async () => {
  const system = await startSystem()
  const same = { operation: 'DAY-2', blueprint: 'service' }
  const inputs = { action: 'mine', 'input-action': 'other', Delivery: 1, delivery: 2, event: 'b', ...same }
  const job = openRunner({ ...system, payload: payloadFor(system.run.id, inputs) })
  expect(await job.run('main')).toEqual([
    expect.stringMatching(
      /^::warning::"Delivery", "event": .* so the Port input is the output input-Delivery, input-event\. /,
    ),
    expect.stringMatching(
      /^::warning::"action", "delivery": the Port input has no separate output\. Read .*\['action'\]\. /,
    ),
  ])
  expect(job.outputs()).toMatchObject({
    ...{ action: 'deploy_service', 'input-action': 'other', 'input-operation': 'DAY-2' },
    ...{ 'input-Delivery': '1', 'input-event': 'b' },
  })
  expect(JSON.parse(job.outputs().inputs!)).toEqual(inputs)
})

// Tests whether and how main and post report a job.

/** Runs main and post of one job. Returns their output and their requests to Port. */
async function runJob(system: System, inputs: Record<string, string> = {}, payload?: unknown) {
  const job = openRunner({ ...system, payload }, { 'github-token': '', ...inputs })
  const main = await job.run('main')
  const post = await job.post()
  const asked = system.port.requests.map(({ method, path }) => `${method} ${path}`)
  const reported = asked.filter(call => !call.endsWith('/access_token'))
  // These tests do not need the steps: without a token, steps are not read.
  return { job, main, post: post.filter(line => !line.startsWith('::notice::The steps of this')), reported }
}

const READ = `GET ${RUN_PATH}?version=v2`

test('without a run in the payload, the job sets the outputs, and reports nothing', async () => {
  const system = await startSystem()
  const port = { version: 1, delivery: 'd_1', kind: 'none', inputs: { a: 1 } }
  const { job, main, post } = await runJob(system, {}, { run_id: null, action: null, port })
  expect([main, post]).toEqual([['Nothing is reported to Port: the payload contains no Port run.'], []])
  expect(job.outputs().inputs).toBe('{"a":1}')
  expect(system.port.requests).toEqual([])
})

test('with fail-on-report-error the job fails if the report fails', async () => {
  const inputs = { 'port-client-secret': 'that-of-another', 'fail-on-report-error': 'true' }
  const { main } = await runJob(await startSystem(), inputs)
  expect(main).toEqual([expect.stringMatching(/^::error::Reporting to Port failed/)])
  expect(process.exitCode).toBe(1)
})

test('the job of a synchronous Port action reports nothing, and a notice names the setting to change', async () => {
  const system = await startSystem()
  const run = system.port.createRun({ id: 'r_synchronous', synchronized: true })
  const { main, post, reported } = await runJob(system, {}, payloadFor(run.id))
  expect([...main, ...post]).toEqual([
    expect.stringMatching(/^::notice::.* is synchronous.*"synchronized": false/),
  ])
  expect(reported).toHaveLength(1)
})

test.each([
  ['fail', '::error::', 'This job stops, so that nothing is done twice (on-duplicate: fail).'],
  ['continue', '::warning::', "This job continues, but isn't reported to Port (on-duplicate: continue)."],
])('does not report a second workflow run with on-duplicate: %s', async (choice, level, sentence) => {
  const system = await startSystem()
  system.run.externalRunId = '16000000007'
  const { main, post, reported } = await runJob(system, { 'on-duplicate': choice })
  expect(main).toEqual([
    `${level}Port's run ${system.run.id} already belongs to another workflow run, 16000000007; this workflow run is 16000000042. ` +
      `${sentence}${seeAlso('duplicates')}`,
  ])
  expect(post).toEqual([])
  expect(reported).toEqual([READ])
  expect(process.exitCode).toBe(choice === 'fail' ? 1 : 0)
})

test.each([
  ["isn't a GitHub run id", 'build-7'],
  ['is the id of this run, as in a re-run', '16000000042'],
])("an external run id that %s doesn't make this job a duplicate", async (_, id) => {
  const system = await startSystem()
  system.run.externalRunId = id
  await runJob(system)
  expect(system.run).toMatchObject({ status: 'SUCCESS', externalRunId: '16000000042' })
})

const INPUTS: JsonObject = {
  first: 'small',
  plan: 'P'.repeat(20_000),
  'list of hosts': Array.from({ length: 2_000 }, (_, index) => `host-${index}`),
  // Also the name of an inherited property.
  constructor: { ünïcode: '✓'.repeat(20_000) },
  zero: 0,
  ['__proto__']: 'own',
}
const EVENT = { diff: { before: null, after: { description: 'd'.repeat(30_000) } } }
const ID = 'r_Q0YotCZMKxDLdlaU'

/** Runs main with this payload. Returns its output lines and its outputs. */
async function runMain(system: System, payload: unknown, inputs: Record<string, string> = {}) {
  const job = openRunner({ ...system, payload }, { 'github-token': '', ...inputs })
  const lines = await job.run('main')
  return { lines, outputs: job.outputs() }
}

test.each<[string, JsonObject]>([
  ['as an object', { body: bodyFor(ID, INPUTS, { event: EVENT }) }],
  ['as text', { body: JSON.stringify(bodyFor(ID, INPUTS, { event: EVENT })) }],
])(
  "inputs omitted from the payload are fetched from the Port run's body (%s), and the outputs are complete",
  async (_, payload) => {
    const system = await startSystem()
    const whole = payloadFor(ID, INPUTS, { event: EVENT, maxBytes: Number.POSITIVE_INFINITY })
    const cut = payloadFor(ID, INPUTS, { event: EVENT })
    expect(cut.port).toMatchObject({ truncated: ['inputs.constructor', 'event'] })
    expect(JSON.stringify(cut).length).toBeLessThan(64_000)
    Object.assign(system.run.payload, payload)
    const { lines, outputs } = await runMain(system, cut)
    expect(lines).toEqual([])
    expect(outputs).toEqual((await runMain(await startSystem(), whole, { report: 'off' })).outputs)
    expect(outputs.payload).toBe(JSON.stringify(whole))
    // The same response shows to which workflow run the Port run belongs.
    expect(system.port.requests.filter(({ method }) => method === 'GET')).toHaveLength(1)
  },
)

test("an input that isn't in the Port run's body is read from the run's properties", async () => {
  const system = await startSystem()
  system.run.properties = INPUTS
  system.run.payload.body = { something: 'else' }
  const { outputs } = await runMain(system, payloadFor(ID, INPUTS, { maxBytes: 30_000 }))
  expect(outputs.constructor).toBe(JSON.stringify(INPUTS.constructor))
  expect(outputs).not.toHaveProperty('something')
})

const TOO_LARGE = '::error::The payload was too large for GitHub, so it doesn\'t contain "inputs.constructor"'
const NONE = { 'port-client-id': '', 'port-client-secret': '' }

test.each<[string, string, Record<string, string>, string]>([
  [
    'without credentials',
    ID,
    NONE,
    '. Give the job "permissions: id-token: write", so that the action gets the missing parts ',
  ],
  [
    'for a node run',
    'wfnr_Zy98Xw76Vu54Ts32',
    {},
    ", and Port's API returns the missing parts only for action runs. Give the job",
  ],
  [
    'if Port does not return the run',
    'r_unknown',
    {},
    ", and the action couldn't get the missing parts: Port (",
  ],
])(
  'an incomplete payload fails the job %s, and the error states what to do',
  async (_, id, inputs, reason) => {
    const system = await startSystem()
    system.port.createNodeRun({ id: 'wfnr_Zy98Xw76Vu54Ts32' })
    const { lines } = await runMain(system, payloadFor(id, INPUTS), inputs)
    expect(lines[0]).toContain(TOO_LARGE + reason)
    expect(process.exitCode).toBe(1)
  },
)
