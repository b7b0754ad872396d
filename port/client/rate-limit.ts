import { backOff } from '../retry.ts'
import { PortError } from './errors.ts'

/** The pause if Port's response contains no time. */
const FIRST_MS = 1_000
const LONGEST_MS = 32_000

/**
 * A pause during which Port accepts no requests. It applies to all requests of a client, because Port limits whole
 * organizations.
 * @see https://docs.port.io/api-reference/rate-limits
 */
export function createRateLimitPause(clock: () => number) {
  let until = 0
  /** The number of consecutive rejections without a time in their responses. */
  let rejections = 0
  return {
    /** The end of the pause, in milliseconds since 1970; 0 before the first pause. */
    until: () => until,
    /** @throws PortError while requests are paused */
    check(what: string) {
      if (clock() >= until) return
      const sentence = `Port limits the organization's requests until ${new Date(until).toISOString()}: ${what} wasn't sent.`
      throw new PortError('later', sentence, { retryAt: until })
    },
    accepted() {
      rejections = 0
    },
    limited(retryAt: number | null) {
      const now = clock()
      // Rejections of concurrent requests count as one.
      if (retryAt === null && now < until) return
      until = Math.max(until, retryAt ?? now + backOff(rejections++, FIRST_MS, LONGEST_MS))
    },
  }
}
