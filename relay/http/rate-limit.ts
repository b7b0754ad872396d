import { BoundedMap } from '../cache.ts'
import { Problem } from './problem.ts'

/** A token bucket per key. Limits calls to a number per minute, with bursts of twice that number. */
export interface TokenBuckets {
  /** @returns the wait in milliseconds; 0 if the call is allowed */
  take(key: string): number
}

/** Beyond this number of keys, the least recently used keys are forgotten. */
const MAX_KEYS = 10_000

/** @param timer monotonic time in milliseconds */
export function createTokenBuckets(perMinute: number, timer = () => performance.now()): TokenBuckets {
  const burst = 2 * perMinute
  const buckets = new BoundedMap<string, { tokens: number; at: number }>(MAX_KEYS)
  return {
    take(key) {
      const at = timer()
      const known = buckets.get(key) ?? { tokens: burst, at }
      const tokens = Math.min(burst, known.tokens + ((at - known.at) * perMinute) / 60_000)
      buckets.set(key, { tokens: tokens >= 1 ? tokens - 1 : tokens, at })
      return tokens >= 1 ? 0 : ((1 - tokens) * 60_000) / perMinute
    },
  }
}

export const refuseOverRate = (sentence: string, waitMs: number) =>
  new Problem(429, sentence, { 'retry-after': String(Math.ceil(waitMs / 1000)) })
