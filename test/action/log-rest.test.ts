import { spawn } from 'node:child_process'
import { appendFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { birthOf, isAlive, progressFolder, stopProgress } from '../../action/progress/process.ts'
import { readLinesFrom } from '../../action/remaining.ts'
import { markAt, nextMark, readLogFile, START, splitLines } from '../../action/runner/files.ts'
import { createRedact } from '../../action/secrets/redact.ts'
import { temporaryFolder } from '../support/relay.ts'

function openLog(content: string | Buffer = ''): string {
  const path = join(temporaryFolder(), 'port-log.txt')
  writeFileSync(path, content)
  return path
}

const linesFrom = (path: string, from: number) => readLinesFrom(path, from).lines
const texts = (lines: { text: string }[]) => lines.map(({ text }) => text)

test('sends whole lines of the first and last megabyte of a large log, and states the omitted size between them', () => {
  const lines = Array.from({ length: 50_000 }, (_, index) => `line ${index} ${'x'.repeat(200)}`)
  const shown = linesFrom(openLog(`${lines.join('\n')}\n`), 0)
  const gap = shown.findIndex(line => line.includes('left out'))
  expect(shown[gap]).toMatch(/^… 8,\d{3} KB of \$PORT_LOG left out here$/)
  expect(shown.slice(0, gap)).toEqual(lines.slice(0, gap))
  expect(shown.slice(gap + 1)).toEqual(lines.slice(-(shown.length - gap - 1)))
  for (const end of [gap, shown.length - gap - 1]) expect(end).toBeGreaterThan(4_000)
  expect(shown.join('\n').length).toBeLessThan(2_000_100)
})

test('a rewritten log is sent from its start, by the progress reporter and by post', () => {
  const path = openLog('a first, long line of the log\n')
  const sent = markAt(path, 30)
  expect(nextMark(path, sent)).toEqual(sent)
  for (const anew of ['', 'second\n', 'another line as long as first\n', `${'x'.repeat(100)}\n`]) {
    writeFileSync(path, anew)
    expect(nextMark(path, sent)).toEqual(START)
  }
  writeFileSync(path, 'second\n')
  const second = markAt(path, 7)
  appendFileSync(path, 'third\n')
  expect(nextMark(path, second)).toEqual(second)
  expect(texts(readLogFile(path, 7))).toEqual(['third'])
})

test('removes a zero byte from UTF-8 without losing the lines after it', () => {
  const bytes = Buffer.from('first\nsome\0thing\nodd\0\n3\0\nline4\n')
  expect(texts(splitLines(bytes, { rest: false }))).toEqual(['first', 'something', 'odd', '3', 'line4'])
  expect(texts(splitLines(Buffer.from('a\0b'), { rest: true }))).toEqual(['ab'])
})

test('sends no fragment of a secret that spans two read ranges', () => {
  const secret = 'hunter2-TOP-secret'
  const redact = createRedact([secret])
  const halves = /hunter2|secret/
  // The secret spans the start of the log's last megabyte.
  for (const more of ['', '\nlast']) {
    const path = openLog(`${'x'.repeat(1_500_000)}${secret}${'y'.repeat(999_990 - more.length)}${more}`)
    const shown = linesFrom(path, 0).map(redact)
    expect(shown.join('\n')).not.toMatch(halves)
    expect(shown.slice(1)).toEqual([expect.stringMatching(/^… 1,5\d\d KB of/), ...more.split('\n').slice(1)])
  }
  const path = openLog(`first\n${'x'.repeat(999_990)}${secret}\nlast\n`)
  const first = readLogFile(path, 0)
  const next = readLogFile(path, first.at(-1)!.end)
  const third = readLogFile(path, next.at(-1)!.end)
  const all = texts([...first, ...next, ...third])
  expect(all.map(text => redact(text).slice(0, 8_000)).join('\n')).not.toMatch(halves)
  expect(all.at(-1)).toBe('last')
})

test('recognizes UTF-16 without a byte order mark by its line breaks, even without Latin letters or with an odd last byte', () => {
  const wide = Buffer.from('zwei\n漢字\r\n\nfünf\n', 'utf16le')
  expect(texts(splitLines(wide, { rest: false }))).toEqual(['zwei', '漢字', '', 'fünf'])
  const cut = wide.subarray(0, -1)
  expect(texts(splitLines(cut, { rest: false }))).toEqual(['zwei', '漢字', ''])
  expect(texts(splitLines(Buffer.from('even\n'), { rest: false }))).toEqual(['even'])
})

test.each(['上传完成\r\n部署上海\r\nlast\r\n', 'deployed to 上海\r\n\nĊ is U+010A\nlast\n'])(
  'in UTF-16 no character is mistaken for a line break: %j',
  text => {
    const lines = text.split(/\r?\n/).slice(0, -1)
    const wide = Buffer.from(text, 'utf16le')
    expect(texts(splitLines(wide, { rest: false }))).toEqual(lines)
    expect(texts(splitLines(Buffer.from(`\ufeff${text}`, 'utf16le'), { rest: false }))).toEqual(lines)
    // UTF-8 lines of various lengths precede and follow the UTF-16 text.
    for (const narrow of ['ab\n', 'abc\n', '\n', '\n\n', '上海\n', 'ab\nc\n', 'odd\0\n']) {
      const mixed = Buffer.concat([Buffer.from(narrow), wide, Buffer.from(narrow), wide])
      const read = narrow.replace('\0', '').split('\n').slice(0, -1)
      const both = [...read, ...lines]
      expect(texts(splitLines(mixed, { rest: false })), narrow).toEqual([...both, ...both])
    }
  },
)

/** A log whose progress reporter's pid is that of another process, and a clock that only advances during sleeps. */
function openReusedPid(born: string) {
  const path = openLog()
  const folder = progressFolder(path)
  const innocent = spawn('sleep', ['60'])
  onTestFinished(() => void innocent.kill('SIGKILL'))
  folder.open(innocent.pid!)
  folder.setSent({ offset: 7, before: '', lost: 0 })
  writeFileSync(join(folder.path, 'born'), born)
  let now = 0
  const sleep = async (ms: number) => {
    now += ms
  }
  return { path, pid: innocent.pid!, time: { clock: () => now, sleep } }
}

test("post does not wait for or kill another process that has reused the progress reporter's pid", async () => {
  const { path, pid, time } = openReusedPid('1')
  expect(await stopProgress(path, time)).toMatchObject({ log: { offset: 7 } })
  expect(time.clock()).toBe(0)
  expect(isAlive(pid)).toBe(true)
})

test('if process start times are unavailable, post eventually stops waiting for the process, without killing it', async () => {
  const { path, pid, time } = openReusedPid('')
  await stopProgress(path, time)
  expect(time.clock()).toBeGreaterThan(12_000)
  expect(isAlive(pid)).toBe(true)
  expect(birthOf(pid)).toMatch(/^\d+$/)
  expect(birthOf(2 ** 22 + 7)).toBeNull()
  // An exited process cannot be identified as the progress reporter.
  writeFileSync(path, '')
  const again = progressFolder(path)
  again.open(process.pid)
  expect([again.isItself(process.pid), again.isItself(2 ** 22 + 7)]).toEqual([true, 'unknown'])
  again.open(2 ** 22 + 7)
  expect(again.isItself(process.pid)).toBe('unknown')
})

test('a mask that an omitted line sets also applies to the lines that are sent', () => {
  const filler = `${'x'.repeat(99)}\n`.repeat(20_000)
  const narrow = Buffer.from(`first\n${filler}::add-mask::of-a-step\n::add-mask::e\n`)
  const wide = Buffer.from('::add-mask::wide%0Asecret\r\n', 'utf16le')
  const path = openLog(Buffer.concat([narrow, wide, Buffer.from(`${filler}last`)]))
  const { lines, masks } = readLinesFrom(path, 0)
  expect([lines[0], lines.at(-1)]).toEqual(['first', 'last'])
  expect(masks).toEqual(['of-a-step', 'wide\nsecret'])
})
