import { Problem } from './problem.ts'

/** A token bucket for each key: it bounds calls to a number a minute, and twice as many at once. */
export interface TokenBuckets {
  /** @returns how long to wait, milliseconds; 0 where the call is allowed */
  take(key: string): number
}

/** Beyond this number, the keys that were used longest ago are forgotten. */
const MAX_KEYS = 10_000

/** @param timer milliseconds, monotonic */
export function createTokenBuckets(perMinute: number, timer = () => performance.now()): TokenBuckets {
  const burst = 2 * perMinute
  const buckets = new Map<string, { tokens: number; at: number }>()
  return {
    take(key) {
      const at = timer()
      const known = buckets.get(key) ?? { tokens: burst, at }
      const tokens = Math.min(burst, known.tokens + ((at - known.at) * perMinute) / 60_000)
      buckets.delete(key)
      buckets.set(key, { tokens: tokens >= 1 ? tokens - 1 : tokens, at })
      const oldest = buckets.size > MAX_KEYS ? buckets.keys().next().value : undefined
      if (oldest !== undefined) buckets.delete(oldest)
      return tokens >= 1 ? 0 : ((1 - tokens) * 60_000) / perMinute
    },
  }
}

export const refuseOverRate = (sentence: string, waitMs: number) =>
  new Problem(429, sentence, { 'retry-after': String(Math.ceil(waitMs / 1000)) })
