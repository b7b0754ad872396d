import { RequestError } from '@octokit/request-error'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createLog, createThrottledLog } from '../../relay/log.ts'
import { createReminders } from '../../relay/workers/maintenance.ts'

const MINUTE = 60_000

type Line = { message: string; [field: string]: unknown }

function openLog() {
  const lines: Line[] = []
  const write = (fields: object, message: string) => void lines.push({ ...fields, message })
  return { lines, log: { warn: write, error: write } }
}

describe('trouble that repeats itself', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  test('is a line at once, then one a minute with the last fields and how often it was', () => {
    const { lines, log } = openLog()
    const throttled = createThrottledLog(log)
    for (let i = 0; i < 180; i++) {
      throttled.warn({ i }, 'Port is away')
      vi.advanceTimersByTime(1_000)
    }
    expect(lines).toEqual([
      { i: 0, count: 1, message: 'Port is away' },
      { i: 59, count: 59, message: 'Port is away' },
      { i: 119, count: 60, message: 'Port is away' },
      { i: 179, count: 60, message: 'Port is away' },
    ])
  })

  test('that ends and begins again is a line at once again; each sentence has its own', () => {
    const { lines, log } = openLog()
    const throttled = createThrottledLog(log)
    throttled.warn({}, 'Port is away')
    throttled.error({}, 'the database is away')
    vi.advanceTimersByTime(2 * MINUTE)
    throttled.warn({}, 'Port is away')
    expect(lines.map(({ message, count }) => [message, count])).toEqual([
      ['Port is away', 1],
      ['the database is away', 1],
      ['Port is away', 1],
    ])
    expect(vi.getTimerCount()).toBe(1)
  })

  test('is counted to the end when the relay stops', () => {
    const { lines, log } = openLog()
    const throttled = createThrottledLog(log)
    for (let i = 0; i < 5; i++) throttled.error({ i }, 'the database is away')
    throttled.flush()
    throttled.flush()
    expect(lines.map(({ count }) => count)).toEqual([1, 4])
  })
})

test('what stops the relay soon is warned of once a day: a token that expires, a clock that is far off', () => {
  const { lines, log } = openLog()
  const day = 24 * 60 * MINUTE
  let now = Date.UTC(2026, 0, 1)
  let offset = 0
  const expiresAt = now + 15 * day
  const facts = { tokenExpiresAt: () => expiresAt, rateLimitRemaining: () => null, isAccepted: () => true }
  const remind = createReminders({ facts, clockOffset: () => offset }, { clock: () => now, log })
  const pass = (ms: number) => {
    for (const end = now + ms; now < end; now += MINUTE) remind()
  }
  pass(day - MINUTE)
  expect(lines).toEqual([])
  pass(3 * day)
  const expiry = 'GITHUB_TOKEN expires soon: set a new one, and restart the relay'
  expect(lines).toEqual(Array(3).fill({ expires_at: '2026-01-16T00:00:00.000Z', message: expiry }))
  offset = -31_000
  lines.length = 0
  remind()
  remind()
  expect(lines.filter(({ message }) => message !== expiry)).toEqual([
    { offset_seconds: -31, message: "this machine's clock differs from GitHub's: correct it" },
  ])
})

test('an error is logged without what its client has sent and got, and with its causes', () => {
  let printed = ''
  const log = createLog('info', {
    write(line) {
      printed += line
    },
  })
  const cause = new RequestError('Validation failed: hunter2', 422, {
    request: {
      method: 'POST',
      url: 'https://api.example',
      headers: { authorization: 'hunter2' },
      body: 'hunter2',
    },
  })
  log.error(
    { err: Object.assign(new Error('no luck', { cause }), { code: 'EX', parameters: ['hunter2'] }) },
    'failed',
  )
  expect(printed).not.toContain('hunter2')
  const { err } = JSON.parse(printed)
  expect(err).toMatchObject({ type: 'Error', message: 'no luck', code: 'EX' })
  expect(err.stack).toMatch(/^ +at .*trouble\.test\.ts/)
  expect(err.cause).toMatchObject({ type: 'HttpError', message: 'the response was 422' })
  log.error({ err: 'hunter2' }, 'failed')
  expect(printed).not.toContain('hunter2')
})
