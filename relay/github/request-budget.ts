/** Allows a number of requests in any window of time. */
export interface RequestBudget {
  /** Takes so many requests, one if none is given, if that many are left, and `leave` more for what is more urgent. */
  take(requests?: number, leave?: number): boolean
  /** When one is left again, milliseconds since 1970. */
  freeAt(): number
}

export function createRequestBudget(limit: number, windowMs: number, clock: () => number): RequestBudget {
  const taken: number[] = []
  const forget = (now: number) => {
    // What was taken later than now was taken before the clock was set back.
    while (taken[0] !== undefined && (taken[0] <= now - windowMs || taken[0] > now)) taken.shift()
  }
  return {
    take(requests = 1, leave = 0) {
      const now = clock()
      forget(now)
      if (taken.length + Math.min(requests, limit) + leave > limit) return false
      for (let n = 0; n < requests; n++) taken.push(now)
      return true
    },
    freeAt() {
      const now = clock()
      forget(now)
      return taken.length < limit ? now : (taken[taken.length - limit] as number) + windowMs
    },
  }
}
