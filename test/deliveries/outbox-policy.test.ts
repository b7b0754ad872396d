import { describe, expect, test } from 'vitest'
import type { Message } from '../../relay/delivery/delivery.ts'
import { coalesce, nextAttempt, nextStep, type PortFailure } from '../../relay/delivery/outbox-policy.ts'

const MINUTE = 60_000
const RETENTION = 30 * 1_440 * MINUTE
const LOG: Message = { log: [{ level: 'INFO', message: 'a line' }] }
const LABEL: Message = { update: { statusLabel: 'Waiting for GitHub' } }
const ENTITY: Message = { entity: { blueprint: 'service', properties: { identifier: 'shop' } } }
const END: Message = { update: { conclusion: 'failure', summary: 'It failed.' } }
const failure = (kind: PortFailure['kind'], status: number | null): PortFailure => ({
  ...{ kind, status, message: 'Port rejects it.', retryAt: null },
})

type Fate = 'drop' | 'retry' | 'replace'

function step(message: Message, response: PortFailure, age: number) {
  const [batch] = coalesce([{ seq: 1, message, createdAt: 0 }])
  return nextStep(batch!, response, { age, retention: RETENTION, maySplit: true })
}

/** Returns what happens to a message. Returns `drop` also if a log line about the rejection replaces the message. */
function fate(message: Message, response: PortFailure, age: number): Fate {
  const next = step(message, response, age)
  if (next.do === 'replace') return next.otherwise === 'drop' ? 'drop' : 'replace'
  return next.do as Fate
}

/** Columns: the response, the failure, the fates of a log line, label, or entity, and the fates of a conclusion. Each has two fates: new, and 16 minutes old. */
const FATES: [response: string, PortFailure, others: [Fate, Fate], end: [Fate, Fate]][] = [
  ['the run has finished', failure('finished', 422), ['drop', 'drop'], ['drop', 'drop']],
  ['the run is synchronous', failure('synchronized', 422), ['drop', 'drop'], ['drop', 'drop']],
  ['400, refused', failure('refused', 400), ['drop', 'drop'], ['retry', 'replace']],
  [
    '404, refused, such as an unknown blueprint',
    failure('refused', 404),
    ['drop', 'drop'],
    ['retry', 'replace'],
  ],
  ['413, refused', failure('refused', 413), ['drop', 'drop'], ['retry', 'replace']],
  ['422, refused', failure('refused', 422), ['drop', 'drop'], ['retry', 'replace']],
  ['403, refused', failure('refused', 403), ['retry', 'replace'], ['retry', 'replace']],
  ['410, refused', failure('refused', 410), ['retry', 'replace'], ['retry', 'replace']],
  ['404, no such run', failure('unknown_run', 404), ['retry', 'drop'], ['retry', 'replace']],
  ['401', failure('credentials', 401), ['retry', 'replace'], ['retry', 'replace']],
  ['500', failure('unreachable', 500), ['retry', 'replace'], ['retry', 'replace']],
  ['an HTML page with 200', failure('unreachable', 200), ['retry', 'replace'], ['retry', 'replace']],
  ['none', failure('unreachable', null), ['retry', 'retry'], ['retry', 'retry']],
  ['429', failure('later', 429), ['retry', 'retry'], ['retry', 'retry']],
]

describe.each(FATES)("Port's response: %s", (_, response, others, end) => {
  test('new messages and messages that are 16 minutes old are retried, replaced, or dropped as in the table', () => {
    const fates = (message: Message) => [fate(message, response, 0), fate(message, response, 16 * MINUTE)]
    for (const message of [LOG, LABEL, ENTITY]) expect(fates(message)).toEqual(others)
    expect(fates(END)).toEqual(end)
  })

  test('every message is dropped after RELAY_RETENTION', () => {
    for (const message of [LOG, LABEL, ENTITY, END]) {
      expect(fate(message, response, RETENTION + 1)).toBe('drop')
    }
  })
})

test('a replacement message keeps only the conclusion of the original', () => {
  const response = failure('unreachable', 500)
  const replaced = (message: Message) => step(message, response, 16 * MINUTE)
  const [by, otherwise] = [{ update: { conclusion: 'failure' } }, 'retry']
  expect(replaced(END)).toEqual({ do: 'replace', by, otherwise })
  const names = ['1 line', 'a status label or a link', 'an entity']
  for (const [n, message] of [LOG, LABEL, ENTITY].entries()) {
    const text = JSON.stringify(replaced(message))
    expect(text).toContain(`"… ${names[n]} may be missing here: Port keeps responding with 500."`)
    expect(text).not.toMatch(/a line|Waiting for GitHub|shop/)
  }
})

test('the retry delay varies and grows, to a minute before attempt 60 and then to 10 minutes, unless Port names a later time', () => {
  const longest = new Map(
    [0, 1, 2, 5, 6, 59, 60, 1_000].map((n, i) => [n, [1, 2, 4, 32, 60, 60, 600, 600][i]!]),
  )
  for (const [attempts, seconds] of longest) {
    const waits = Array.from({ length: 200 }, () => nextAttempt(0, attempts, null) / seconds)
    const [least, most] = [Math.min(...waits), Math.max(...waits)]
    expect([least >= 900, least < 950, most > 1_050, most <= 1_100]).toEqual([true, true, true, true])
  }
  expect(nextAttempt(0, 0, 30_000.5)).toBe(30_001)
  expect(nextAttempt(0, 0, 365 * 1_440 * MINUTE)).toBe(10 * MINUTE)
  expect(nextAttempt(0, 3, 1)).toBeGreaterThanOrEqual(7_200)
})
