import { PortError } from './errors.ts'

/** If Port names no time: the first pause, which doubles each time, and the longest pause. */
const FIRST_MS = 1_000
const LONGEST_MS = 32_000

/** The period in which Port accepts no requests. Port limits organizations, so a client pauses all of its requests. */
export interface RateLimitPause {
  /** ms since the epoch; 0 before the first pause */
  until(): number
  /** @throws PortError while requests are paused */
  check(what: string): void
  /** Ends the pause because Port accepts requests again. */
  accepted(): void
  /** @param retryAt the time that Port named, in ms since the epoch */
  limited(retryAt: number | null): void
}

/**
 * @param clock returns ms since the epoch
 * @see https://docs.port.io/api-reference/rate-limits
 */
export function createRateLimitPause(clock: () => number): RateLimitPause {
  let until = 0
  let nextMs = FIRST_MS
  return {
    until: () => until,
    check(what) {
      if (clock() >= until) return
      const sentence = `Port limits the organization's requests until ${new Date(until).toISOString()}: ${what} was not sent.`
      throw new PortError('later', sentence, { retryAt: until })
    },
    accepted() {
      nextMs = FIRST_MS
    },
    limited(retryAt) {
      const now = clock()
      // Responses to concurrent requests count as one rejection.
      if (retryAt === null && now < until) return
      until = Math.max(until, retryAt ?? now + nextMs)
      if (retryAt === null) nextMs = Math.min(2 * nextMs, LONGEST_MS)
    },
  }
}
