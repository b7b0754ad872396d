const SOONEST_MS = 1_000
const NUMBER = /^\d+(\.\d+)?$/

/**
 * When a server that refused a request takes the next one, ms epoch in whole milliseconds; null where it does not
 * name a time: `Retry-After` (seconds or a date), then `x-ratelimit-reset` (epoch seconds or milliseconds, or a delta when
 * below 1e9) unless requests remain. A time in the past is ignored; others are bounded, from one second ahead.
 *
 * @param longestMs how far ahead at most, ms
 * @see https://www.rfc-editor.org/rfc/rfc9110#name-retry-after
 * @see https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api
 * @see https://docs.port.io/api-reference/rate-limits
 */
export function readRetryAt(
  headers: { get(name: string): string | null },
  now: number,
  longestMs: number,
): number | null {
  const remaining = headers.get('x-ratelimit-remaining')
  const reset = remaining === null || remaining === '0' ? headers.get('x-ratelimit-reset') : null
  const at = [afterTime(headers.get('retry-after'), now), resetTime(reset, now)].find(time => time > now)
  return at === undefined ? null : Math.ceil(Math.min(now + longestMs, Math.max(now + SOONEST_MS, at)))
}

function afterTime(after: string | null, now: number): number {
  if (!after) return Number.NaN
  if (NUMBER.test(after)) return now + Number(after) * 1000
  // A date begins with the day of the week; `Date.parse` takes much else for one.
  return /^[a-z]/i.test(after) ? Date.parse(after) : Number.NaN
}

function resetTime(reset: string | null, now: number): number {
  if (!reset || !NUMBER.test(reset)) return Number.NaN
  const value = Number(reset)
  if (value < 1e9) return now + value * 1000
  return value < 1e11 ? value * 1000 : value
}
