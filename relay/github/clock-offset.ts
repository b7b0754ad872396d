/** How far GitHub's clock is from this relay's, by the `Date` header of its answers. */
export interface ClockOffset {
  /**
   * @param date the header
   * @param sentAt when the request was sent, by the monotonic clock, ms
   */
  observe(date: string | null, sentAt: number): void
  /** GitHub's clock minus the relay's, ms; null before the first answer. */
  read(): number | null
}

/** The header has whole seconds. */
const RESOLUTION_MS = 1_000

/**
 * Each answer bounds the difference from both sides: GitHub wrote its time between the request and the answer. The
 * intersection of all bounds is kept; bounds that contradict it (GitHub's clock was set, this machine slept) replace
 * it. Time is measured monotonically, so that a jump of the relay's own clock shows at once.
 *
 * @param monotonic ms since any moment
 */
export function createClockOffset(clock: () => number, monotonic = () => performance.now()): ClockOffset {
  let bounds: { least: number; most: number } | null = null
  return {
    observe(date, sentAt) {
      const at = Date.parse(date ?? '')
      if (!Number.isFinite(at)) return
      const least = at - monotonic()
      const most = at + RESOLUTION_MS - sentAt
      const common = bounds && {
        least: Math.max(bounds.least, least),
        most: Math.min(bounds.most, most),
      }
      bounds = common && common.least <= common.most ? common : { least, most }
    },
    read: () => bounds && Math.round((bounds.least + bounds.most) / 2 + monotonic() - clock()),
  }
}
