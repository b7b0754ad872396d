import { duration } from '../../port/text.ts'
import { clockTime } from '../delivery/outcome.ts'
import type { GitHub } from '../github/client.ts'
import type { ClockDifference, Store } from '../store/store.ts'

/** If the clocks differ by more than this, no delivery times out. */
const MOST_MS = 300_000
/** Timeouts apply again after STABLE_MS in which the difference has changed by at most UNCHANGED_MS. */
const UNCHANGED_MS = 60_000
const STABLE_MS = 3_600_000
/** The clock difference that causes a warning. GitHub rejects an App's tokens if the clocks differ by a minute. */
const FAR_MS = 30_000

export type Timeouts = ReturnType<typeof createTimeouts>

/** Compares GitHub's clock with the store's clock, by which deliveries time out. `stored`: the last recorded difference. */
export function createTimeouts(deps: {
  store: Pick<Store, 'clock' | 'saveClockDifference'>
  clockOffset: GitHub['clockOffset']
  stored: ClockDifference
  log: { warn: (fields: object, message: string) => void }
}) {
  const { store, clockOffset, log } = deps
  let known = deps.stored

  /** Returns the time from which timeouts count, in milliseconds since 1970 by the store's clock; Infinity before GitHub's first response. */
  function from(): number {
    const offset = clockOffset()
    if (offset === null) return Number.POSITIVE_INFINITY
    const difference = Math.abs(offset) > MOST_MS ? offset : 0
    if (Math.abs(difference - known.difference) > UNCHANGED_MS) note({ difference, since: store.clock() })
    return known.since + (known.difference === 0 ? 0 : STABLE_MS)
  }

  function note(changed: ClockDifference): void {
    const before = known
    known = changed
    const fields = { offset_seconds: Math.round((clockOffset() ?? 0) / 1000) }
    const isRight = changed.difference === 0
    log.warn(fields, isRight ? 'timeouts apply again' : 'timeouts are suspended: a clock is wrong')
    // If the write fails, the next check writes the difference again.
    store.saveClockDifference(changed).catch(() => {
      if (known === changed) known = before
    })
  }

  return {
    from,
    /** Explains to operators that a clock is wrong; null if it isn't, or if GitHub hasn't responded. */
    problem(): string | null {
      const [now, offset, countedFrom] = [store.clock(), clockOffset(), from()]
      if (offset === null || Math.abs(offset) <= FAR_MS) return null
      const side = offset > 0 ? 'behind' : 'ahead of'
      const wrong = `The clock of the database's machine is ${duration(Math.abs(offset))} ${side} GitHub's. Synchronize it with NTP.`
      if (countedFrom <= now) return wrong
      return `${wrong} Until the clocks agree, no delivery times out. If the difference doesn't change, timeouts start again at ${clockTime(countedFrom)}.`
    },
  }
}
