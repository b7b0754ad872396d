import { readRetryAt } from '../../port/client/retry-after.ts'
import { findResponse, readMessage } from './github-answer.ts'
import { LONGEST_CLOSED_MS } from './rate-limit-gate.ts'

const LIMITED = 'GitHub limits how fast this credential may work'
const OVERLOADED = 'GitHub fails for now, and asks to wait'

/**
 * How long GitHub asks to wait, where an error is its limit, or a failure for which it names a time. `until`:
 * milliseconds since 1970; `reason`: a clause for Port's log, which GitHub's answer follows in brackets.
 *
 * @param tries how often in a row GitHub asked to wait before
 * @see https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api
 */
export function readLimit(
  error: unknown,
  now: number,
  tries: number,
): { until: number; reason: string; answer: string } | null {
  const response = findResponse(error)
  if (!response) return null
  const { status, data } = response
  const headers = { get: (name: string) => (response.headers as Named)[name] ?? null }
  const isFailure = status >= 500 && headers.get('retry-after') !== null
  if (!isFailure && status !== 429 && !(status === 403 && isLimit(headers, data))) return null
  // GitHub's times are by its own clock, which may differ from this one.
  const offset = (Date.parse(headers.get('date') ?? '') || now) - now
  const asked = readRetryAt(headers, now + offset, LONGEST_CLOSED_MS)
  const until = asked === null ? now + 60_000 * 2 ** Math.min(tries, 5) : asked - offset
  return {
    until: Math.min(until, now + LONGEST_CLOSED_MS),
    reason: isFailure ? OVERLOADED : LIMITED,
    answer: `${status}: ${readMessage(data)}`,
  }
}

type Named = Record<string, string | undefined>

function isLimit(headers: { get(name: string): string | null }, data: unknown): boolean {
  const text = typeof data === 'string' ? data : readMessage(data)
  return (
    headers.get('retry-after') !== null ||
    headers.get('x-ratelimit-remaining') === '0' ||
    /rate limit|abuse detection|too quickly/i.test(text)
  )
}
