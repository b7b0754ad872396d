import { setTimeout as sleep } from 'node:timers/promises'

const FIRST_WAIT_MS = 100
const LONGEST_WAIT_MS = 1_000

/**
 * Writes what must not be forgotten while the store is away: again and again, for as long as the lease
 * surely holds. What GitHub answered, once lost, can only be guessed at.
 *
 * @throws the last error, when it was never written
 */
export async function keepTrying<T>(write: () => Promise<T>, patienceMs: number): Promise<T> {
  const until = performance.now() + patienceMs
  for (let wait = FIRST_WAIT_MS; ; wait = Math.min(LONGEST_WAIT_MS, wait * 2)) {
    try {
      return await write()
    } catch (error) {
      if (performance.now() + wait > until) throw error
      await sleep(wait)
    }
  }
}
