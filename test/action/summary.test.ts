import { expect, test } from 'vitest'
import { createRedact } from '../../action/secrets/redact.ts'
import { summarize } from '../../action/summary.ts'
import { readClientPayload } from '../../port/payload.ts'
import { payloadFor } from './play.ts'

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
  ['C:\\temp', 'C:\\temp'],
  ['C:\\.cache', '`C:\\.cache`'],
  ['a\\|b <c> &lt;', 'a\\\\\\|b &lt;c> &amp;lt;'],
  ['a `code` *b* | ~s~', '``a `code` *b* \\| ~s~``'],
  ['`', '`` ` ``'],
  ['[l](u)', '`[l](u)`'],
  [['a', 'b'], '`["a","b"]`'],
  ['<img src=x onerror=alert(1)>', '`<img src=x onerror=alert(1)>`'],
  ['&lt; & co', '`&lt; & co`'],
  ['here & there, 3 > 2 #7', 'here & there, 3 > 2 #7'],
  ['dry_run', 'dry_run'],
  ['__proto__x', '`__proto__x`'],
  ['$HOME and $PATH', '`$HOME and $PATH`'],
  ['5 $ < 6 $<', '`5 $ < 6 $<`'],
  ['[x] a < b, ~1 _ $5', '[x] a < b, ~1 _ $5'],
  ['~a~', '`~a~`'],
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

test('shows the result and its reason above the tables, and a long value does not widen the tables', () => {
  const results: Parameters<typeof summarize>[0]['results'] = [
    { level: 'ERROR', message: '✗ Job build: failure' },
    { level: 'INFO', message: '✓ Job report (*, <b>): success after 1 s' },
  ]
  const problems = ['Port said "a_b" & `c` of top_secret_.']
  const text = summaryOf({ plan: 'P'.repeat(500), size: 'L' }, { results, problems })
  expect(text.split('\n')).toEqual([
    '✗ Job build: failure',
    '',
    '✓ Job report (\\*, &lt;b>): success after 1 s',
    '',
    'Port said "a_b" & \\`c\\` of \\*\\*\\*.',
    '',
    `| Input | Value${' '.repeat(35)} |`,
    `| ----- | ${'-'.repeat(40)} |`,
    `| plan  | ${'P'.repeat(120)}… |`,
    `| size  | L${' '.repeat(39)} |`,
    '',
    '[Workflow run](https://g/1)',
  ])
})

test('a message with a hundred thousand brackets is processed quickly, and truncated only after redaction', () => {
  const problems = [`${'x'.repeat(1_990)} top_secret_ ${'[~'.repeat(50_000)}`, '['.repeat(100_000)]
  const text = summaryOf({}, { results: [], problems })
  expect(text.split('\n\n')).toEqual([
    `${'x'.repeat(1_990)} \\*\\*\\* [\\~[~[…`,
    `${'['.repeat(2_000)}…`,
    '[Workflow run](https://g/1)',
  ])
})
