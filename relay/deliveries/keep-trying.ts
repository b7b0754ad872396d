import { setTimeout as sleep } from 'node:timers/promises'

const FIRST_WAIT_MS = 100
const LONGEST_WAIT_MS = 1_000
/** What a stop leaves of the patience. */
const STOPPING_MS = 15_000

/**
 * Writes what must not be forgotten while the store is away: again and again. What GitHub answered, once lost, can
 * only be guessed at.
 *
 * @param stopping aborted when the relay is to stop
 * @throws the last error, when it was never written
 */
export async function keepTrying<T>(
  write: () => Promise<T>,
  patienceMs: number,
  stopping?: AbortSignal,
): Promise<T> {
  let until = performance.now() + patienceMs
  let stops = false
  for (let wait = FIRST_WAIT_MS; ; wait = Math.min(LONGEST_WAIT_MS, wait * 2)) {
    try {
      return await write()
    } catch (error) {
      const now = performance.now()
      if (stopping?.aborted && !stops) {
        stops = true
        until = Math.min(until, now + STOPPING_MS)
      }
      if (now + wait > until) throw error
      await sleep(wait)
    }
  }
}
