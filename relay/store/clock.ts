/**
 * A database's time: what it said last, and what a timer that no clock change moves has counted since. Relays that
 * share a database so share its time, whatever their own clocks say.
 */
export interface DatabaseClock {
  /** Milliseconds since 1970. */
  now(): number
  /** Takes the database's time, with the moment on the timer at which it was so. */
  set(time: number, at: number): void
}

/** @param timer milliseconds, always growing */
export function createDatabaseClock(timer: () => number = () => performance.now()): DatabaseClock {
  let base = { time: Date.now(), at: timer() }
  return {
    now: () => Math.round(base.time + timer() - base.at),
    set(time, at) {
      base = { time, at }
    },
  }
}
