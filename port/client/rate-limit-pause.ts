import { PortError } from './errors.ts'

/** If Port names no time: the first pause, doubled each time, and the longest one. */
const FIRST_MS = 1_000
const LONGEST_MS = 32_000

/** The period in which Port accepts no requests. Limits apply to an organization, so one pause applies to all requests of a client. */
export interface RateLimitPause {
  /** ms epoch; 0 before the first one */
  until(): number
  /** @throws PortError while Port accepts nothing */
  check(what: string): void
  /** Port accepts requests. */
  accepted(): void
  /** @param retryAt the time that Port named, ms epoch */
  limited(retryAt: number | null): void
}

/**
 * @param clock ms epoch
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
      // Responses to concurrent requests count as one refusal.
      if (retryAt === null && now < until) return
      until = Math.max(until, retryAt ?? now + nextMs)
      if (retryAt === null) nextMs = Math.min(2 * nextMs, LONGEST_MS)
    },
  }
}
