import { backOff } from '../retry.ts'
import { PortError } from './errors.ts'

/** The first and the longest pause if Port's response has no time. */
const FIRST_MS = 1_000
const LONGEST_MS = 32_000

/** The period in which Port accepts no requests. Port limits whole organizations, so a client pauses all requests. */
export interface RateLimitPause {
  /** ms since the epoch; 0 before the first pause */
  until(): number
  /** @throws PortError while requests are paused */
  check(what: string): void
  /** Resets the next pause to its first length, because Port accepts requests again. */
  accepted(): void
  /** @param retryAt the time in Port's response, in ms since the epoch */
  limited(retryAt: number | null): void
}

/**
 * @param clock returns ms since the epoch
 * @see https://docs.port.io/api-reference/rate-limits
 */
export function createRateLimitPause(clock: () => number): RateLimitPause {
  let until = 0
  /** Consecutive rejections without a time. */
  let rejections = 0
  return {
    until: () => until,
    check(what) {
      if (clock() >= until) return
      const sentence = `Port limits the organization's requests until ${new Date(until).toISOString()}: ${what} was not sent.`
      throw new PortError('later', sentence, { retryAt: until })
    },
    accepted() {
      rejections = 0
    },
    limited(retryAt) {
      const now = clock()
      // Responses to concurrent requests count as one rejection.
      if (retryAt === null && now < until) return
      until = Math.max(until, retryAt ?? now + backOff(rejections++, FIRST_MS, LONGEST_MS))
    },
  }
}
