import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { describeMistake } from '../../action/runner/runner.ts'
import { readRunFile } from '../../action/steps/run.ts'
import { temporaryFolder } from '../support/relay.ts'

function read(text: string | Buffer, final = true) {
  const path = join(temporaryFolder(), 'run')
  writeFileSync(path, text)
  const { problems, ...file } = readRunFile(path, { final })
  return { ...file, problems: problems.map(each => describeMistake(each, '$PORT_RUN', shown => shown)) }
}

const NOTHING = { statusLabel: '', links: [], summary: '', conclusion: null, outputs: {}, problems: [] }

test('reads values and multiline text; a repeated name replaces the value, but links accumulate', () => {
  expect(readRunFile('/nowhere', { final: true })).toEqual(NOTHING)
  const text = [
    'status-label=Rolling out = 1',
    'link=https://a.example/1',
    'summary<<END',
    '# First',
    'a=b<<c',
    'END',
    '',
    'link=https://a.example/2?x=y<<z',
    'link=https://a.example/1',
    'status-label = Done ',
    'conclusion=failure',
  ]
  const expected = {
    ...NOTHING,
    statusLabel: 'Done',
    links: ['https://a.example/1', 'https://a.example/2?x=y<<z'],
    summary: '# First\na=b<<c',
    conclusion: 'failure',
  }
  const ofWindows = `${text.join('\r\n')}\r\n`
  expect(read(ofWindows)).toEqual(expected)
  // Windows PowerShell 5 writes UTF-16 with `>>`.
  expect(read(Buffer.from(`\ufeff${ofWindows}`, 'utf16le'))).toEqual(expected)
})

test('ignores incomplete lines while the job runs', () => {
  expect(read('status-label=a\nlink=https://a.exa', false)).toMatchObject({ statusLabel: 'a', links: [] })
  expect(read('status-label=a\nsummary<<END\nfirst\n', false)).toMatchObject({ summary: '', problems: [] })
})

test.each([
  [
    'status-lable=x',
    'Line 1 of $PORT_RUN: unknown name; valid names are status-label, link, summary, conclusion and output.NAME: "status-lable".',
  ],
  ['no entry', 'Line 1 of $PORT_RUN: neither name=value nor name<<DELIMITER: "no entry".'],
  [
    '\n\nlink=pull/7',
    'Line 3 of $PORT_RUN: link must be a URL such as https://github.com/acme/shop/pull/7: "pull/7".',
  ],
  [
    'summary<<END\ntext\n',
    'Line 1 of $PORT_RUN: no later line consists of only the delimiter: "summary<<END".',
  ],
])('omits %j and describes the mistake', (text, problem) => {
  expect(read(text)).toEqual({ ...NOTHING, problems: [problem] })
})

test.each([
  ['success', ['SUCCESS', 'Success', 'succeeded']],
  ['failure', ['FAILURE', 'failed', 'FAILED']],
  ['cancelled', ['CANCELLED', 'canceled']],
])('a conclusion of %s can be written with the values of GitHub or Port', (conclusion, words) => {
  for (const word of words) expect(read(`Conclusion=${word}`)).toMatchObject({ conclusion, problems: [] })
})

test('a space after the delimiter does not hide the conclusion in a later line', () => {
  expect(read('summary<<EOF\nhi\nEOF \nconclusion=failure')).toMatchObject({ conclusion: 'failure' })
})

test('uses only the start of a file that is too large, and reports the ignored rest', () => {
  const line = `${'x'.repeat(99)}\n`
  const text = `conclusion=failure\nsummary<<END\n${line.repeat(100_000)}END\nstatus-label=late\n`
  const problems = ['$PORT_RUN: everything after the first 10 MB has no effect.']
  expect(read(text)).toEqual({ ...NOTHING, conclusion: 'failure', problems })
  expect(read(text.replace(line.repeat(90_000), ''))).toMatchObject({ statusLabel: 'late', problems: [] })
  // The file is read repeatedly while the job runs.
  expect(read(`status-label=early\n${text}`, false)).toEqual({
    ...NOTHING,
    ...{ statusLabel: 'early', conclusion: 'failure' },
  })
})

test('reads at most nine links', () => {
  const lines = Array.from({ length: 11 }, (_, index) => `link=https://a.example/${index}`)
  const { links, problems } = read(lines.join('\n'))
  expect([links.length, problems.length]).toEqual([9, 2])
})
