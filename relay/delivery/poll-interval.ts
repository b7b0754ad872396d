import type { Delivery } from './delivery.ts'

// When a delivery is polled. Times are milliseconds since 1970.

/** At these times after a job's last report, the relay reads the run by its ID, because most runs finish shortly after the report. */
export const QUICK_READS_MS = [2_000, 4_000, 8_000, 16_000, 32_000] as const
/** The shortest and the longest poll interval. Not every poll reads the list of runs. */
const SOONEST_MS = 3_000
const LATEST_MS = 15_000
/** The longest poll interval if Port is all that the relay can read. Each of these polls costs a request. */
const LATEST_BLIND_MS = 60_000
const LATEST_PORT_MS = 300_000

/** Returns the time until the relay reads the run ID in Port again. The time grows, because the action usually writes the ID early. */
export const portInterval = (delivery: Delivery, now: number): number =>
  Math.max(SOONEST_MS, Math.min(LATEST_PORT_MS, (now - startedAt(delivery)) / 3))

/** Returns the times at which to read a delivery's run by its ID, in milliseconds since 1970. */
export const quickReads = ({ finishingAt }: Pick<Delivery, 'finishingAt'>): number[] =>
  finishingAt === null ? [] : QUICK_READS_MS.map(ms => finishingAt + ms)

/** Returns the time until a delivery's next poll, which grows with the time since the dispatch or cancellation. */
export const pollInterval = (delivery: Delivery, now: number, blind = false): number => {
  const since = Math.max(startedAt(delivery), delivery.cancelRequestedAt ?? 0)
  return Math.max(SOONEST_MS, Math.min(blind ? LATEST_BLIND_MS : LATEST_MS, (now - since) / 6))
}

/** Returns when the delivery was dispatched; before the dispatch, when it was queued. */
export const startedAt = (delivery: Delivery) => delivery.dispatchedAt ?? delivery.queuedAt
