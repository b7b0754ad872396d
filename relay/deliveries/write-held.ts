import { setTimeout as sleep } from 'node:timers/promises'
import type { Held } from '../store/store.ts'
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
  claimed: Held,
  write: () => Promise<boolean>,
  patienceMs: number,
  stopping?: AbortSignal,
): Promise<boolean> {
  const first = claimed.lease
  let isUncertain = false
  // A write spends its lease, so that a claim after it has a later one than the next.
  const wasWritten = () => isUncertain && claimed.lease > first + 1
  const attempt = async () => {
    try {
      return !wasWritten() && (await write())
    } catch (error) {
      isUncertain = true
      throw error
    }
  }
  for (;;) {
    const { lease } = claimed
    if (await keepTrying(attempt, patienceMs, stopping)) return true
    if (claimed.lease === lease) await sleep(SETTLE_MS)
    if (wasWritten()) claimed.spent = first
    if (claimed.lease === lease || wasWritten()) return false
  }
}
