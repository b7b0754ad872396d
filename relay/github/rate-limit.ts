import { readRetryAt } from '../../port/client/retry-after.ts'
import { findResponse, readMessage } from './github-answer.ts'
import { LONGEST_CLOSED_MS } from './rate-limit-gate.ts'

/** The clause for GitHub's limits in Port's log; GitHub's answer follows in brackets. */
export const LIMITED = 'GitHub limits how fast this credential may work'

/**
 * The limit of GitHub that an error stands for, if it is one; `until`: milliseconds since 1970.
 *
 * @param tries how often in a row GitHub asked to wait before
 * @see https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api
 */
export function readLimit(
  error: unknown,
  now: number,
  tries: number,
): { until: number; answer: string } | null {
  const response = findResponse(error)
  if (!response) return null
  const { status, data } = response
  const headers = { get: (name: string) => (response.headers as Named)[name] ?? null }
  if (status !== 429 && !(status === 403 && isLimit(headers, data))) return null
  // GitHub's times are by its own clock, which may differ from this one.
  const offset = (Date.parse(headers.get('date') ?? '') || now) - now
  const asked = readRetryAt(headers, now + offset, LONGEST_CLOSED_MS)
  const until = asked === null ? now + 60_000 * 2 ** Math.min(tries, 5) : asked - offset
  return { until: Math.min(until, now + LONGEST_CLOSED_MS), answer: `${status}: ${readMessage(data)}` }
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
