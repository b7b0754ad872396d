import { setTimeout as sleep } from 'node:timers/promises'
import { keepTrying } from './keep-trying.ts'

/** A claim of the same delivery that was answered before is seen by then. */
const SETTLE_MS = 100

/**
 * Writes what holds only under a lease. A process that stood still may have claimed the delivery anew itself
 * (see {@link startWorker}): then it is written under the new lease, rather than what was done being lost.
 *
 * @returns false, and nothing is written, when another relay has the lease, or a try was written whose answer was lost
 * @throws the last error, when it was never written
 */
export async function writeHeld(
  claimed: { lease: number },
  write: () => Promise<boolean>,
  patienceMs: number,
  stopping?: AbortSignal,
): Promise<boolean> {
  for (;;) {
    const { lease } = claimed
    if (await keepTrying(write, patienceMs, stopping)) return true
    if (claimed.lease === lease) await sleep(SETTLE_MS)
    if (claimed.lease === lease) return false
  }
}
