import { expect, test } from 'vitest'
import { summarize } from '../../action/summarize.ts'
import { readClientPayload } from '../../port/client-payload.ts'
import { annotations, openStage, ownSteps, payloadFor, withoutTimes } from './play.ts'

test('the summary of the Port run and of the job says how it ended, with which inputs and steps', async () => {
  const { play, run, runUrl } = await openStage({
    inputs: { version: '1.4.2', replicas: 3, notes: null, tags: ['a', 'b'] },
  })
  const steps = `
- { name: Build image, run: echo building }
- { name: Deploy, run: exit 1 }
- { name: Notify, run: echo never }
`
  const played = await play({ steps })
  const { main, post } = ownSteps(played.jobs[0]!)
  expect([...annotations(main), ...annotations(post)]).toEqual([])
  const expected = `
✗ Job deploy: failure after N s

| Input    | Value       |
| -------- | ----------- |
| version  | 1.4.2       |
| replicas | 3           |
| tags     | \\["a","b"\\] |

| Step        | Result    | Time |
| ----------- | --------- | ---- |
| Build image | ✓ success | N s  |
| Deploy      | ✗ failure | N s  |
| Notify      | – skipped |      |

[Workflow run](${runUrl()})`.trim()
  expect(withoutTimes(run.summary!)).toBe(expected)
  expect(post.summary).toBe(`${run.summary}\n`)
})

test("a summary of the author's own takes its place, in both", async () => {
  const { play, run } = await openStage()
  const steps = '- { id: deploy, run: "echo url=https://shop.example >> $GITHUB_OUTPUT" }'
  const { post } = ownSteps(
    (await play({ with: { summary: 'Live at ${{ steps.deploy.outputs.url }}' }, steps })).jobs[0]!,
  )
  expect(run.summary).toBe('Live at https://shop.example')
  expect(post.summary).toBe('Live at https://shop.example\n')
})

const summaryOf = (
  inputs: Parameters<typeof payloadFor>[1],
  more?: Parameters<typeof payloadFor>[2],
  steps: string[] = [],
) =>
  summarize(
    { level: 'INFO', message: '✓ Job' },
    readClientPayload(payloadFor('r_1', inputs, more))!,
    steps.map(name => ({ name, conclusion: 'success', durationMs: 1_000 })),
    'https://g/1',
  )

test.each([
  ['a | b', 'a \\| b'],
  ['two\r\nlines\n\n| x |', 'two lines \\| x \\|'],
  ['`code` *b* ~s~ [l](u) \\', '\\`code\\` \\*b\\* \\~s\\~ \\[l\\](u) \\\\'],
  ['<img src=x onerror=alert(1)>', '&lt;img src=x onerror=alert(1)>'],
  ['&lt; & co', '&amp;lt; & co'],
  ['dry_run _em_', 'dry_run \\_em\\_'],
  ['x'.repeat(300), `${'x'.repeat(200)}…`],
])('a value %j cannot break the table', (value, cell) => {
  const rows = summaryOf({ value })
    .split('\n')
    .filter(line => line.startsWith('|'))
  expect(rows).toHaveLength(3)
  expect(rows[2]!.replace(/ +\|$/, ' |')).toBe(`| value | ${cell} |`)
})

test('secrets, and what was too large for the payload, are named without a value; beyond a hundred rows are counted', () => {
  const summary = summaryOf(
    { token: 'cipher', large: 'L'.repeat(2_000), small: 1 },
    { encrypted: ['token'], maxBytes: 1_500 },
    Array.from({ length: 103 }, (_, index) => `Step ${index}`),
  )
  expect(summary).toContain(
    '| token | (secret)            |\n| small | 1                   |\n| large | (too large to show) |',
  )
  expect(summary).not.toContain('cipher')
  expect(summary).toContain('\n\n… and 3 more.\n\n[Workflow run]')
})
