/** Allows a fixed number of requests within any time window. */
export interface RequestBudget {
  /** Takes requests (1 by default) if that leaves at least `leave` requests for urgent work. */
  take(requests?: number, leave?: number): boolean
  /** When the next request is allowed, milliseconds since 1970. */
  freeAt(): number
}

export function createRequestBudget(limit: number, windowMs: number, clock: () => number): RequestBudget {
  const taken: number[] = []
  const forget = (now: number) => {
    // A time in the future means that the clock was set back.
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
