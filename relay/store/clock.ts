/**
 * A database's time: the time it returned last, plus what a monotonic timer has counted since. Relays that share a
 * database share its time, whatever their own clocks show.
 */
export interface DatabaseClock {
  /** Milliseconds since 1970. */
  now(): number
  /** Sets the database's time, with the moment on the timer at which it was read. */
  set(time: number, at: number): void
}

/** @param timer milliseconds, monotonic */
export function createDatabaseClock(timer: () => number = () => performance.now()): DatabaseClock {
  let base = { time: Date.now(), at: timer() }
  return {
    now: () => Math.round(base.time + timer() - base.at),
    set(time, at) {
      base = { time, at }
    },
  }
}
