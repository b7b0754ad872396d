import { expect, test } from 'vitest'
import { countedJobs } from '../../action/conclusion.ts'
import { isUncertain } from '../../action/reporter/reporter.ts'
import { createRedact } from '../../action/secrets/redact.ts'
import { createLogSender } from '../../action/steps/send.ts'
import { summarize } from '../../action/summary.ts'
import { PortError } from '../../port/client/client.ts'
import { readClientPayload } from '../../port/payload.ts'
import type { LogLine } from '../../port/types.ts'
import { payloadFor } from './play.ts'

const line = (message: string): LogLine => ({ level: 'INFO', message })
const lost = (count: number) =>
  `… ${count === 1 ? '1 line' : `${count} lines`} may be missing here: Port's response to ${count === 1 ? 'it' : 'them'} was lost.`

test.each<[string, unknown, boolean]>([
  ['a cut connection', cutBy('ECONNRESET'), true],
  ['no response in time', cutBy(undefined), true],
  ['no connection', cutBy('ECONNREFUSED'), false],
  ['no such host', cutBy('ENOTFOUND'), false],
  ['a 500', new PortError('unreachable', 'x', { status: 500 }), true],
  ['a 504', new PortError('unreachable', 'x', { status: 504 }), true],
  ['a 503', new PortError('unreachable', 'x', { status: 503 }), false],
  ['a 429 from the relay', new PortError('unreachable', 'x', { status: 429 }), false],
  ['a 409', new PortError('unreachable', 'x', { status: 409 }), false],
  ['a 429', new PortError('later', 'x', { status: 429 }), false],
  ['a 400', new PortError('refused', 'x', { status: 400 }), false],
  ['an error without a cause', new PortError('unreachable', 'x'), true],
  ['another error', new TypeError('x'), false],
])('after %s (%o), Port may have received the sent lines: %s', (_, error, expected) => {
  expect(isUncertain(error)).toBe(expected)
})

function cutBy(code: string | undefined): PortError {
  return new PortError('unreachable', 'x', { cause: Object.assign(new Error('y'), { code }) })
}

/** Sends the log to a server that responds with each of these errors in turn, then accepts. */
function openSender(errors: (Error | null)[], late: () => boolean = () => false) {
  const sent: string[][] = []
  const send = createLogSender(async batch => {
    sent.push(batch.map(({ message }) => message))
    const error = errors.shift()
    if (error) throw error
  }, late)
  return { sent, send }
}

const BATCH = Array.from({ length: 60 }, (_, index) => line(`${index} ${'x'.repeat(7_000)}`))
const perBatch = 28

test('a batch whose response was lost is not sent again, but replaced by a line about the loss', async () => {
  const { sent, send } = openSender([null, cutBy('ECONNRESET')])
  await expect(send(BATCH)).rejects.toMatchObject({ kind: 'unreachable', linesSent: BATCH.length })
  expect(sent.map(batch => batch.length)).toEqual([perBatch, perBatch, 1 + BATCH.length - 2 * perBatch])
  expect(sent[2]![0]).toBe(lost(perBatch))
  expect(sent.flat().filter(message => !message.startsWith('…'))).toEqual(BATCH.map(({ message }) => message))
})

test('a replacement line is sent alone if no lines follow, and sent again with the next lines if the response is lost', async () => {
  const { sent, send } = openSender([cutBy('ECONNRESET'), cutBy('EPIPE'), null, cutBy(undefined), null])
  await expect(send([line('a')])).rejects.toMatchObject({ linesSent: 1 })
  await send([line('b'), line('c')])
  await expect(send([line('d'), line('e')])).rejects.toThrow('x')
  expect(sent).toEqual([['a'], [lost(1)], [lost(1), 'b', 'c'], ['d', 'e'], [lost(2)]])
})

test('skips batches that Port rejects, and throws the first error after the last batch', async () => {
  const [first, second] = [new PortError('refused', 'Too odd.'), new PortError('refused', 'Odd.')]
  const { sent, send } = openSender([first, null, second])
  await expect(send(BATCH)).rejects.toBe(first)
  expect(sent.flat()).toEqual(BATCH.map(({ message }) => message))
})

test('after the time limit, sends no batch, and throws an error that counts the remaining lines', async () => {
  const { sent, send } = openSender([], () => sent.length === 2)
  await expect(send(BATCH)).rejects.toMatchObject({
    message: `no time was left for the last ${BATCH.length - 2 * perBatch} lines of the log.`,
    linesSent: 2 * perBatch,
    temporary: true,
  })
})

// Tests how the final status is determined. outcomes.test.ts covers whole jobs.

test.each<[string, Record<string, string>, Record<string, string>, string[]]>([
  [
    'all jobs in needs were skipped after another job failed',
    { deploy: 'skipped' },
    { build: 'failure', lint: 'success', 'test (22)': 'cancelled' },
    ['build', 'test (22)', 'deploy'],
  ],
  [
    'only some of the jobs in needs were skipped',
    { test: 'success', prod: 'skipped' },
    { 'test (nightly)': 'failure' },
    ['test', 'prod'],
  ],
  ['no job was skipped', { deploy: 'success' }, { lint: 'failure' }, ['deploy']],
  ['needs is empty', {}, { lint: 'failure' }, []],
])('counts the relevant jobs if %s', (_, needs, others, counted) => {
  expect(Object.keys(countedJobs(needs, others))).toEqual(counted)
})

const summaryOf = (
  inputs: Parameters<typeof payloadFor>[1],
  more: Partial<Parameters<typeof summarize>[0]> = {},
  options?: Parameters<typeof payloadFor>[2],
) =>
  summarize({
    results: [{ level: 'INFO', message: '✓ Job' }],
    problems: [],
    payload: readClientPayload(payloadFor('r_1', inputs, options))!,
    outputs: {},
    steps: [],
    url: 'https://g/1',
    redact: createRedact(['top|secret`value', 'top_secret_']),
    ...more,
  })

test.each([
  ['a | b', 'a \\| b'],
  ['two\r\nlines\n\n| x |', 'two lines \\| x \\|'],
  ['C:\\.cache', '`C:\\.cache`'],
  ['a\\|b <c> &lt;', 'a\\\\\\|b &lt;c> &amp;lt;'],
  ['a `code` *b* | ~s~', '``a `code` *b* \\| ~s~``'],
  ['[l](u)', '`[l](u)`'],
  [['a', 'b'], '`["a","b"]`'],
  ['<img src=x onerror=alert(1)>', '`<img src=x onerror=alert(1)>`'],
  ['__proto__x', '`__proto__x`'],
  ['$HOME and $PATH', '`$HOME and $PATH`'],
  ['x'.repeat(300), `${'x'.repeat(120)}…`],
  ['with top|secret`value', '`with ***`'],
  [`${'x'.repeat(110)} top|secret\`value`, `\`${'x'.repeat(110)} ***\``],
  [['top|secret`value'], '`["***"]`'],
])('the value %j does not break the table and is shown as plain text', (value, cell) => {
  const rows = summaryOf({ value }).match(/^\|.*$/gm)!
  expect(rows).toHaveLength(3)
  expect(rows[2]!.replace(/ +\|$/, ' |')).toBe(`| value | ${cell} |`)
})

test('shows no values for secrets and omitted inputs, and counts the rows beyond a hundred', () => {
  const step = (index: number) => ({ name: `Step ${index}`, conclusion: 'success', durationMs: 1_000 })
  const summary = summaryOf(
    { token: 'cipher', large: 'L'.repeat(2_000), small: 1 },
    { steps: Array.from({ length: 103 }, (_, index) => step(index)) },
    { encrypted: ['token'], maxBytes: 1_500 },
  )
  expect(summary).toContain(
    '| token | (secret)            |\n| small | 1                   |\n| large | (too large to show) |',
  )
  expect(summary).not.toContain('cipher')
  expect(summary).toContain('\n\n… and 3 more.\n\n[Workflow run]')
})
