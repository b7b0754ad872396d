/** The maximum delay before a request to Port, even if a response requests a longer delay. */
export const LONGEST_WAIT_MS = 600_000

/** Returns the delay before the next attempt, in milliseconds. The delay doubles with each failure, and varies by 10%. */
export const backOff = (failures: number, firstMs: number, longestMs: number): number =>
  Math.round(Math.min(longestMs, firstMs * 2 ** Math.max(0, failures)) * (0.9 + Math.random() / 5))

const SOONEST_MS = 1_000
const NUMBER = /^\d+(\.\d+)?$/

/**
 * Returns when a rate-limiting server accepts the next request, in milliseconds since 1970; null if the time isn't in
 * the future. Reads `Retry-After`: seconds or a date. Without this header, and if no requests remain, reads
 * `x-ratelimit-reset`: seconds or milliseconds since 1970, or seconds from now.
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
  // A valid date starts with the day of the week. `Date.parse` alone accepts many other strings.
  return /^[a-z]/i.test(after) ? Date.parse(after) : Number.NaN
}

function resetTime(reset: string | null, now: number): number {
  if (!reset || !NUMBER.test(reset)) return Number.NaN
  const value = Number(reset)
  if (value < 1e9) return now + value * 1000
  return value < 1e11 ? value * 1000 : value
}
