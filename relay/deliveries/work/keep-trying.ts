import { setTimeout as sleep } from 'node:timers/promises'

const FIRST_WAIT_MS = 100
const LONGEST_WAIT_MS = 1_000
/** How long work is repeated after a stop was requested. */
const STOPPING_MS = 15_000

/**
 * Repeats work that must not be lost while the database is unavailable.
 *
 * @param patienceMs for how long, milliseconds
 * @param stopping aborted when the relay is to stop
 * @throws the last error, when the time is over
 */
export async function keepTrying<T>(
  work: () => Promise<T>,
  patienceMs: number,
  stopping?: AbortSignal,
): Promise<T> {
  const until = performance.now() + patienceMs
  let stopBy = Number.POSITIVE_INFINITY
  for (let wait = FIRST_WAIT_MS; ; wait = Math.min(LONGEST_WAIT_MS, wait * 2)) {
    try {
      return await work()
    } catch (error) {
      if (stopping?.aborted) stopBy = Math.min(stopBy, performance.now() + STOPPING_MS)
      if (performance.now() + wait > Math.min(until, stopBy)) throw error
      await sleep(wait)
    }
  }
}
