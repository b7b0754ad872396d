import { expect, test } from 'vitest'
import { cleanLog, readTail } from '../../relay/github/jobs.ts'

test('removes control sequences and timestamps from a log', () => {
  const time = '2026-01-20T10:00:00.1234567Z'
  const raw = [
    `\uFEFF${time} ##[group]Run ./deploy.sh`,
    `${time} \u001b[36;1m./deploy.sh --token ***\u001b[0m`,
    `${time} ##[endgroup]`,
    `${time} ::add-mask::hunter2`,
    `${time} ##[add-mask]hunter2`,
    `${time} 10 %\r100 %`,
    `${time} \u001b]0;title\u0007done\u0000`,
    `${time} ${'x'.repeat(1_500)}`,
    `${time} ##[error]Process completed with exit code 1.`,
    '',
  ]
  expect(cleanLog(raw.join('\r\n'), null)).toEqual([
    'Run ./deploy.sh',
    './deploy.sh --token [masked]',
    '100 %',
    'done',
    `${'x'.repeat(1_000)}… (cut)`,
    'Error: Process completed with exit code 1.',
  ])
})

test('an unterminated escape sequence does not slow down parsing, and an overwritten line contains its last text', () => {
  const endless = '\x1b]8;;'.repeat(100_000)
  expect(cleanLog(`${endless}\nnext`, null).at(-1)).toBe('next')
  const bar = `${'\x1b[32m10 %\x1b[0m\r'.repeat(5_000)}\x1b[32m100 %\x1b[0m\r\x1b[K`
  expect(cleanLog(bar, null)).toEqual(['100 %'])
})

test('many lines with escape sequences do not slow down parsing, because only kept lines are parsed', () => {
  const line = `2026-10-01T12:00:00.0Z ${'\x1b]'.repeat(8_000)}`
  const log = [...Array.from({ length: 2_000 }, () => line), ...Array.from({ length: 100 }, (_, i) => `${i}`)]
  expect(cleanLog(log.join('\n'), null)).toEqual(log.slice(-100))
})

test('returns only the last complete lines of a long stream', async () => {
  async function* stream() {
    for (let i = 0; i < 1_000; i++) yield Buffer.from(`line ${i} ${'ü'.repeat(20)}\n`)
  }
  const tail = await readTail(stream(), 1_000)
  expect(tail.endsWith('line 999 üüüüüüüüüüüüüüüüüüüü\n')).toBe(true)
  expect(tail).toMatch(/^line \d+ ü/)
  expect(tail.length).toBeLessThan(1_000)
  expect(await readTail(stream(), 1e6)).toMatch(/^line 0 /)
})
