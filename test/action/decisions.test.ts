import { expect, test } from 'vitest'
import { jobLine, needLines, stepLine } from '../../action/finish/describe.ts'
import { conclude } from '../../action/finish/last-update.ts'
import { summarize } from '../../action/finish/summarize.ts'
import { judgeRun } from '../../action/report/judge-run.ts'
import { reportTrouble } from '../../action/report/report-trouble.ts'
import { createReporter, whyNoReport } from '../../action/report/reporter.ts'
import { type JobStatus, readInputs } from '../../action/runner/inputs.ts'
import { jobName } from '../../action/runner/job-name.ts'
import { readLogFile } from '../../action/runner/log-file.ts'
import { readPayload } from '../../action/runner/payload.ts'
import type { Core } from '../../action/runner/runner.ts'
import { makeOutputs } from '../../action/start/outputs.ts'
import { PortError } from '../../port/client/port-client.ts'
import { readClientPayload } from '../../port/client-payload.ts'
import type { Json, RunState } from '../../port/types.ts'
import { payloadFor } from './play.ts'

const given = {
  'port-api-url': 'https://api.port.io',
  report: 'job',
  'on-duplicate': 'fail',
  'fail-on-report-error': 'false',
  progress: 'true',
  'job-status': 'success',
}
const inputsOf = (inputs: Record<string, string>) =>
  readInputs(name => ({ ...given, ...inputs })[name as keyof typeof given] ?? '', {})
const payloadOf = (inputs?: Parameters<typeof payloadFor>[1]) => readClientPayload(payloadFor('r_1', inputs))!

test.each<[JobStatus, Record<string, string>, JobStatus]>([
  ['success', {}, 'success'],
  ['success', { build: 'success', lint: 'skipped' }, 'success'],
  ['success', { build: 'cancelled' }, 'cancelled'],
  ['cancelled', { build: 'failure' }, 'failure'],
  ['failure', { build: 'cancelled' }, 'failure'],
])('a job that is %s with needs %o is %s in Port', (status, needs, expected) => {
  expect(conclude(status, needs)).toBe(expected)
})

test.each([
  [{ name: 'Build', conclusion: 'success', durationMs: 12_400 }, 'INFO', '✓ Build (12 s)'],
  [{ name: 'Build', conclusion: 'failure', durationMs: 63_000 }, 'ERROR', '✗ Build: failure (1 min 3 s)'],
  [
    { name: 'Build', conclusion: 'cancelled', durationMs: 7_500_000 },
    'WARN',
    '✗ Build: cancelled (2 h 5 min)',
  ],
  [{ name: 'Build', conclusion: 'skipped', durationMs: 0 }, 'INFO', '– Build: skipped'],
  [{ name: 'Build', conclusion: 'of_the_future', durationMs: null }, 'INFO', '– Build: of_the_future'],
  [{ name: 'Build', conclusion: null, durationMs: null }, 'INFO', '– Build: still running'],
])('a step %o is the line %s %s', (step, level, message) => {
  expect(stepLine(step)).toEqual({ level, message })
})

test('a summary without steps is the job and its link', () => {
  const job = jobLine({ name: 'deploy', status: 'failure', durationMs: 1_000 })
  expect(job.level).toBe('ERROR')
  const empty = payloadOf({})
  const url = 'https://g/1'
  expect(summarize({ ends: [job], problems: [], payload: empty, steps: [], url, redact: text => text })).toBe(
    '✗ Job deploy: failure after 1 s\n\n[Workflow run](https://g/1)',
  )
})

test('inputs are typed, and all that is wrong with them is told at once', () => {
  const inputs = inputsOf({
    needs: '{"build":{"result":"failure","outputs":{}},"lint":{"result":"skipped"}}',
    matrix: 'null',
    'check-run-id': '7',
  })
  expect(inputs).toMatchObject({
    needs: { build: 'failure', lint: 'skipped' },
    matrix: null,
    checkRunId: '7',
  })
  expect(() =>
    inputsOf({
      'port-api-url': 'api.port.io',
      report: 'x',
      needs: '[]',
      matrix: '{',
      'job-status': 'done',
      'port-client-secret': 'secret value',
    }),
  ).toThrow(
    [
      'port-api-url must be a URL such as https://api.port.io, not "api.port.io".',
      'report must be job, workflow, progress or off, not "x".',
      'needs must be ${{ toJSON(needs) }}.',
      'job-status must be success, failure or cancelled, not "done".',
      'matrix must be left to its default.',
      'port-client-secret is given, and port-client-id is empty: check the name of its secret or variable. See docs/errors.md#inputs',
    ].join('\n'),
  )
  expect(() => inputsOf({ 'port-client-id': 'id' })).toThrow(
    'port-client-id is given, and port-client-secret is empty',
  )
})

test.each([
  '{"result":"failure","outputs":{}}',
  '{"build":"failure"}',
  '{"build":{"outcome":"failure"}}',
  '{"build":{"result":"timed_out"}}',
  '{"lint":{"result":"success"},"odd":1}',
])('needs %s is not taken, since a failed job in it would not count', needs => {
  expect(() => inputsOf({ needs })).toThrow(/^needs must be \${{ toJSON\(needs\) }}\. See .*#inputs$/)
})

test('outputs warn of names that are taken or impossible', () => {
  const { values, warnings } = makeOutputs(
    payloadOf({ Inputs: 1, 'a=b': 2, ' ': 3, 'two\nlines': 4, x: { y: 1 } }),
  )
  expect([...values.keys()].filter(name => name === 'x' || name === 'inputs')).toEqual(['x', 'inputs'])
  expect(values.get('x')).toBe('{"y":1}')
  expect(warnings).toEqual([
    expect.stringMatching(/^"Inputs": an output of this action/),
    expect.stringMatching(/^"a=b", " ", "two\\nlines": an output cannot have such a name/),
  ])
  expect(makeOutputs(payloadOf({})).warnings).toEqual([])
})

test('who started it is the e-mail, else the name, else nobody', () => {
  const payload = payloadOf()
  const triggeredBy = () => makeOutputs(payload).values.get('triggered-by')
  expect(triggeredBy()).toBe('ada@acme.example')
  payload.port.trigger!.by!.email = null
  expect(triggeredBy()).toBe('Ada Lovelace')
  payload.port.trigger = null
  expect(triggeredBy()).toBe('')
})

test('the payload is that of the input before that of the event', () => {
  const workflow = { event: 'push', eventPath: `${import.meta.dirname}/../../package.json` }
  expect(readPayload(JSON.stringify(payloadFor('r_2')), workflow, {}).run_id).toBe('r_2')
  expect(() => readPayload('', workflow, {})).toThrow(
    'This run was started by push, with no payload of the relay.',
  )
  expect(() => readPayload('{', workflow, {})).toThrow(
    'The input "payload" is not JSON: give it as ${{ toJSON(…) }}. See docs/errors.md#payload',
  )
  const future = JSON.stringify({ port: { version: 2 } })
  expect(() => readPayload(future, workflow, {})).toThrow(
    /this action knows only version 1: .* See docs\/errors\.md#payload$/,
  )
  expect(() => readPayload('{}', workflow, {})).toThrow('The input "payload" holds no payload of the relay')
})

const state: RunState = {
  status: 'in_progress',
  ended: false,
  externalRunId: null,
  synchronized: false,
  properties: null,
  body: null,
}

test.each<[string, Partial<RunState>, string]>([
  ['of nobody yet', {}, 'ours'],
  ['of this very run, as after a re-run', { externalRunId: '42' }, 'ours'],
  ["of a person's own id", { externalRunId: 'build-7' }, 'ours'],
  ['that waits for approval', { status: 'waiting' }, 'ours'],
  ['of another run', { externalRunId: '7' }, 'duplicate'],
  ['that has ended, by whomever', { externalRunId: '7', ended: true, status: 'success' }, 'silent'],
  ['that is synchronous', { synchronized: true }, 'silent'],
])('a Port run %s (%o) is %s', (_, changes, verdict) => {
  expect(judgeRun('r_1', { ...state, ...changes }, '42').verdict).toBe(verdict)
})

test('nothing is reported without a run, without credentials, or where that is off', () => {
  const credentials = { 'port-client-id': 'id', 'port-client-secret': 'secret' }
  expect(whyNoReport(inputsOf(credentials), payloadOf())).toBeNull()
  expect(whyNoReport(inputsOf({}), payloadOf())).toMatchObject({ level: 'warning' })
  expect(whyNoReport(inputsOf({ ...credentials, report: 'off' }), payloadOf())).toMatchObject({
    level: 'info',
  })
  const withRelay = payloadOf()
  withRelay.port.relay = 'https://relay.acme.example'
  expect(whyNoReport(inputsOf({}), withRelay)!.message).toContain(
    'give the job "permissions: id-token: write"',
  )
  expect(whyNoReport(inputsOf({}), payloadOf())!.message).not.toContain('id-token')
  const without = { ...payloadOf(), run_id: null }
  expect(whyNoReport(inputsOf(credentials), without)).toMatchObject({ level: 'info' })
})

test('a log file that is not there, or has nothing new, has no lines', () => {
  expect(readLogFile('/nowhere/port-log.txt', 3)).toEqual([])
})

test('trouble is an error, a warning or a notice, and says whether to go on', () => {
  const told: string[] = []
  const core = Object.fromEntries(
    ['notice', 'warning', 'setFailed'].map(level => [
      level,
      (text: string) => told.push(`${level}: ${text}`),
    ]),
  ) as unknown as Core
  const runner = { core, env: {} }
  const red = { failOnReportError: true }
  const again = 'Later again.'
  const green = { failOnReportError: false }
  expect(reportTrouble(new PortError('ended', 'Over.'), runner, red)).toBe('over')
  expect(reportTrouble(new PortError('unreachable', 'Away.'), runner, { ...red, again })).toBe('later')
  expect(reportTrouble(new PortError('credentials', 'Wrong.'), runner, { ...green, again })).toBe('doubtful')
  expect(reportTrouble('odd', runner, green)).toBe('later')
  expect(told).toEqual([
    'notice: Port is told nothing more: Over.',
    'setFailed: Port could not be told: Away. Later again. See docs/errors.md#port',
    'warning: Port could not be told: Wrong. See docs/errors.md#credentials',
    'warning: Port could not be told: odd See docs/errors.md#port',
  ])
})

/** A clock that sleeping moves. */
function openClock() {
  let now = 0
  const waits: number[] = []
  const sleep = async (ms: number) => {
    waits.push(ms)
    now += ms
  }
  return { clock: () => now, sleep, waits }
}

test('log lines that Port has taken are not sent again when the rest is', async () => {
  const { waits: _, ...time } = openClock()
  const sent: string[] = []
  let answers = 0
  const fetch = async (url: string, init: { body?: string }) => {
    const isLog = url.endsWith('/logs')
    const status = isLog && ++answers === 2 ? 503 : 200
    if (isLog && status === 200) sent.push(...JSON.parse(init.body!).message.split('\n'))
    return { status, headers: { get: () => null }, text: async () => '{"accessToken":"t","expiresIn":10800}' }
  }
  const core = { setSecret: () => {} } as unknown as Core
  const inputs = inputsOf({ 'port-client-id': 'id', 'port-client-secret': 'secret' })
  const redact = (text: string) => text
  const reporter = createReporter('r_1', inputs, { core, fetch, ...time }, { budgetMs: 60_000, redact })
  const lines = Array.from({ length: 90 }, (_, index) => `${index} ${'x'.repeat(7_000)}`)
  await reporter.log(lines.map(message => ({ level: 'INFO', message })))
  expect(sent).toEqual(lines)
})

test.each<[Json, string]>([
  [null, 'deploy'],
  [{ os: 'linux', node: 22 }, 'deploy (linux, 22)'],
  [{ on: { os: 'linux', tags: ['a', true] }, none: null, empty: '' }, 'deploy (linux, a, true)'],
  [{ text: 'x'.repeat(200) }, `deploy (${'x'.repeat(89)}...`],
])('a leg %j is named as GitHub names it', (matrix, name) => {
  expect(jobName('deploy', matrix)).toBe(name)
})

test('of the jobs before this one those are told that make the run fail', () => {
  const needs = { build: 'success', test: 'failure', lint: 'cancelled', docs: 'skipped', toString: 'unknown' }
  expect(needLines(needs)).toEqual([
    { level: 'ERROR', message: '✗ Job test: failure' },
    { level: 'WARN', message: '✗ Job lint: cancelled' },
  ])
})
