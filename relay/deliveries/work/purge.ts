import { setTimeout as sleep } from 'node:timers/promises'
import type { Store } from '../../store/store.ts'

/** Few at once, so that intake never waits long for the store. */
const STEP = 200
const PAUSE_MS = 50

/**
 * Removes ended deliveries that did not change for `retention` milliseconds, but none whose webhook would be accepted
 * again: it may be signed `tolerance` ahead of the relay's clock, and arrive as much later.
 */
export async function purge(
  store: Pick<Store, 'purge'>,
  { now, retention, tolerance }: { now: number; retention: number; tolerance: number },
  stopped: () => boolean = () => false,
): Promise<number> {
  const before = now - Math.max(retention, 2 * tolerance)
  let removed = 0
  while (!stopped()) {
    const step = await store.purge(before, STEP)
    removed += step
    if (step < STEP) break
    await sleep(PAUSE_MS)
  }
  return removed
}
