import { RequestError } from '@octokit/request-error'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createLog, createThrottledLog } from '../../relay/log.ts'
import { createReminders } from '../../relay/workers/maintenance.ts'

const MINUTE = 60_000

type Line = { message: string; [field: string]: unknown }

function openLog() {
  const lines: Line[] = []
  const write = (fields: object, message: string) => void lines.push({ ...fields, message })
  return { lines, log: { info: write, warn: write, error: write } }
}

describe('a repeated error', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  test('is logged immediately, then once a minute with the latest fields and a count', () => {
    const { lines, log } = openLog()
    const throttled = createThrottledLog(log, 20)
    for (let i = 0; i < 180; i++) {
      throttled.warn({ i }, 'Port is down')
      vi.advanceTimersByTime(1_000)
    }
    expect(lines).toEqual([
      { i: 0, count: 1, message: 'Port is down' },
      { i: 59, count: 59, message: 'Port is down' },
      { i: 119, count: 60, message: 'Port is down' },
      { i: 179, count: 60, message: 'Port is down' },
    ])
  })

  test('is logged immediately if it recurs after a pause, and separately from different messages', () => {
    const { lines, log } = openLog()
    const throttled = createThrottledLog(log, 20)
    throttled.warn({}, 'Port is down')
    throttled.error({}, 'the database is down')
    vi.advanceTimersByTime(2 * MINUTE)
    throttled.warn({}, 'Port is down')
    expect(lines.map(({ message, count }) => [message, count])).toEqual([
      ['Port is down', 1],
      ['the database is down', 1],
      ['Port is down', 1],
    ])
    expect(vi.getTimerCount()).toBe(1)
  })

  test('shows how often each of at most 20 reasons occurred, at the latest when the relay stops', () => {
    const { lines, log } = openLog()
    const throttled = createThrottledLog(log, 20)
    for (let i = 0; i < 100; i++) throttled.info({ reason: i % 2 ? `path ${i}` : 'no token' }, 'refused')
    throttled.flush()
    throttled.flush()
    expect(lines).toHaveLength(2)
    const { reasons, ...line } = lines.at(-1)!
    expect(line).toEqual({ reason: 'path 99', count: 99, message: 'refused' })
    expect(reasons).toMatchObject({ 'no token': 49, 'path 1': 1, others: 31 })
    expect(Object.keys(reasons as object)).toHaveLength(21)
  })
})

test('warns once a day about a token that expires soon and about clock skew', () => {
  const { lines, log } = openLog()
  const day = 24 * 60 * MINUTE
  let now = Date.UTC(2026, 0, 1)
  const expiresAt = now + 15 * day
  const facts = {
    tokenExpiresAt: () => expiresAt,
    rateLimitRemaining: () => null,
    limitOf: () => '',
    perMinute: () => 0,
  }
  const remind = createReminders({ facts }, { problem: () => 'It is wrong.' }, { clock: () => now, log })
  for (const end = now + 4 * day; now < end; now += MINUTE) remind()
  const count = (text: string) => lines.filter(({ message }) => message.includes(text)).length
  expect([count('GITHUB_TOKEN expires soon'), count('a clock is wrong')]).toEqual([3, 4])
})

test("logs an error with its causes, but without the HTTP client's request and response", () => {
  const printed: string[] = []
  const log = createLog('info', { write: line => void printed.push(line) })
  const headers = { authorization: 'hunter2' }
  const request = { method: 'POST' as const, url: 'https://api.example', headers, body: 'hunter2' }
  const cause = new RequestError('Validation failed: hunter2', 422, { request })
  const error = new Error('failed twice', { cause })
  log.error({ err: Object.assign(error, { code: 'EX', parameters: ['hunter2'] }) }, 'failed')
  expect(printed.join()).not.toContain('hunter2')
  const { err } = JSON.parse(printed[0]!)
  expect(err).toMatchObject({ type: 'Error', message: 'failed twice', code: 'EX' })
  expect(err.stack).toMatch(/^ +at .*repeated-errors\.test\.ts/)
  expect(err.cause).toMatchObject({ type: 'HttpError', message: 'the response was 422' })
  log.error({ err: 'hunter2' }, 'failed')
  expect(printed.join()).not.toContain('hunter2')
})
