import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { progressFolder } from '../../action/progress/process.ts'
import { readLinesFrom } from '../../action/remaining.ts'
import { markAt, nextMark, readLogFile, START, splitLines } from '../../action/runner/files.ts'
import { createMasks, createRedact } from '../../action/secrets/redact.ts'
import { PortError } from '../../port/client/client.ts'
import type { LogLine } from '../../port/types.ts'
import { temporaryFolder } from '../support/relay.ts'
import { withoutJitter } from '../support/without-jitter.ts'
import { follow, jobFor, openFolder, textsOf } from './open-progress-reporter.ts'
import { openRunner } from './open-runner.ts'
import { startSystem } from './play.ts'

function openLog(content: string | Buffer = ''): string {
  const path = join(temporaryFolder(), 'port-log.txt')
  writeFileSync(path, content)
  return path
}

const linesFrom = (path: string, from: number) => readLinesFrom(path, from).lines
const texts = (lines: { text: string }[]) => lines.map(({ text }) => text)

test('sends the lines of the first and last megabyte of a large log, and the size of the omitted part', () => {
  const lines = Array.from({ length: 50_000 }, (_, index) => `line ${index} ${'x'.repeat(200)}`)
  const shown = linesFrom(openLog(`${lines.join('\n')}\n`), 0)
  const gap = shown.findIndex(line => line.includes('left out'))
  expect(shown[gap]).toMatch(/^… 8,\d{3} KB of \$PORT_LOG left out here$/)
  expect(shown.slice(0, gap)).toEqual(lines.slice(0, gap))
  expect(shown.slice(gap + 1)).toEqual(lines.slice(-(shown.length - gap - 1)))
  for (const end of [gap, shown.length - gap - 1]) expect(end).toBeGreaterThan(4_000)
  expect(shown.join('\n').length).toBeLessThan(2_000_100)
})

test('both the progress reporter and post send a rewritten log from its start', () => {
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

test('a mask in an omitted line applies to the lines that are sent', () => {
  const filler = `${'x'.repeat(99)}\n`.repeat(20_000)
  const narrow = Buffer.from(`first\n${filler}::add-mask::of-a-step\n::add-mask::e\n`)
  const wide = Buffer.from('::add-mask::wide%0Asecret\r\n', 'utf16le')
  const path = openLog(Buffer.concat([narrow, wide, Buffer.from(`${filler}last`)]))
  const { lines, masks } = readLinesFrom(path, 0)
  expect([lines[0], lines.at(-1)]).toEqual(['first', 'last'])
  expect(masks).toEqual(['of-a-step', 'wide\nsecret'])
})

withoutJitter()

// Tests the progress reporter with a simulated clock. live.test.ts runs the bundle.

const { execPath } = process
afterEach(() => {
  process.execPath = execPath
  vi.restoreAllMocks()
  vi.useRealTimers()
})

const REFUSED = new PortError('refused', 'No.', { status: 422 })

test('even if Port rejects the log, a masked value never reaches Port in a label or an entity', async () => {
  const { logFile } = openFolder()
  const job = jobFor(await startSystem(), logFile, { github: null })
  const masks = createMasks([])
  const [labels, entities]: [string[], string[]] = [[], []]
  writeFileSync(logFile, 'one\n')
  const lines: string[] = []
  const run: Parameters<typeof follow>[1] = {
    update: async ({ statusLabel }) => {
      labels.push(masks.redact(statusLabel!))
      appendFileSync(logFile, '::add-mask::t0ken\n')
      writeFileSync(job.files.entities, '{"blueprint":"b","identifier":"t0ken"}\n{}\n')
    },
    log: async sent => {
      lines.push(...textsOf(sent))
      throw REFUSED
    },
    upsertEntity: async (_, { identifier }) => void entities.push(masks.redact(String(identifier))),
  }
  const act = (sleeps: number) => {
    if (sleeps === 3) {
      appendFileSync(logFile, '::add-mask::s3cr3t\n')
      writeFileSync(job.files.run, 'status-label=at s3cr3t\n')
    }
    return sleeps === 10
  }
  await follow(job, run, act, { masks, clock: () => 0 })
  expect([labels, entities]).toEqual([['at ***'], ['***']])
  // After a refusal, only post sends the log.
  expect(lines.filter(text => text === 'one')).toHaveLength(1)
})

test('sends at most thirty log requests per minute to Port, even if a step writes faster', async () => {
  const system = await startSystem()
  const { logFile } = openFolder()
  writeFileSync(logFile, `${'x'.repeat(7_000)}\n`.repeat(28 * 40))
  let now = 0
  const sent: number[] = []
  const run = { log: async () => void sent.push(now) }
  const advance = (_: number, ms: number) => {
    now += ms
    return now > 90_000
  }
  await follow(jobFor(system, logFile, { github: null }), run, advance, { clock: () => now })
  expect(sent.filter(at => at < 60_000)).toHaveLength(30)
  expect(sent.filter(at => at >= 60_000)).toHaveLength(10)
})

test("lines that Port has or may have received aren't sent again", async () => {
  const system = await startSystem()
  const { logFile, folder } = openFolder()
  writeFileSync(logFile, 'one\n\ntwo\nthree\n')
  const shown: string[][] = []
  /** For each request: how many lines post would count as possibly sent if it started during the request. */
  const lost: number[] = []
  const log = async (lines: readonly LogLine[]) => {
    shown.push(textsOf(lines))
    lost.push(folder.sent().lost)
    const error = new PortError('unreachable', 'Lost.', { retryAt: 0 })
    if (shown.length === 1) throw Object.assign(error, { linesSent: 2, linesLost: 1 })
  }
  await follow(jobFor(system, logFile, { github: null }), { log }, sleeps => sleeps === 4)
  expect(shown).toEqual([['one', 'two', 'three'], ['three']])
  expect(lost).toEqual([3, 2])
  expect(folder.sent()).toMatchObject({ offset: 15, lost: 0 })
})

test("the progress reporter gets its keys through standard input, and inherits nothing from the action's environment", async () => {
  const system = await startSystem()
  const { root } = openFolder()
  const file = join(root, 'given.json')
  // Replaces the progress reporter's bundle.
  const script = join(root, 'progress.cjs')
  const source = `
    const { readFileSync, writeFileSync } = require('node:fs')
    const given = { job: JSON.parse(readFileSync(0, 'utf8')), env: process.env, cwd: process.cwd() }
    writeFileSync(${JSON.stringify(file)}, JSON.stringify(given))`
  writeFileSync(script, source)
  const more = { RUNNER_TRACKING_ID: 'github_1', ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'request-token' }
  const runner = openRunner(system, { live: 'true', 'check-run-id': '7' }, more, script)
  await runner.run('main')
  await vi.waitFor(() => expect(existsSync(file) && readFileSync(file, 'utf8')).toMatch(/}$/), {
    timeout: 10_000,
  })
  const { job, env, cwd } = JSON.parse(readFileSync(file, 'utf8'))
  expect(job).toMatchObject({
    runId: system.run.id,
    credentials: { portApiUrl: system.port.url, portClientSecret: system.port.clientSecret },
    relay: null,
    github: { token: system.github.token, checkRunId: '7' },
    worker: process.ppid,
  })
  const hidden = [system.port.clientSecret, system.github.token, 'request-token']
  expect(job.secrets).toEqual(expect.arrayContaining(hidden))
  expect(env.RUNNER_TRACKING_ID).toBe('github_1')
  expect(Object.keys(env).filter(name => /^(INPUT|STATE|ACTIONS|GITHUB)_/.test(name))).toEqual([])
  for (const secret of hidden) expect(JSON.stringify(env)).not.toContain(secret)
  expect(cwd).toBe('/')
  expect(progressFolder(job.files.log).pid()).toBeGreaterThan(0)
})
