import { setTimeout as sleep } from 'node:timers/promises'
import { BOUNDS } from '../../config/bounds.ts'
import type { Store } from '../../store/store.ts'

/** Few at once, so that intake never waits long for the store. */
const STEP = 200
const SIGNATURES_STEP = 2_000
const PAUSE_MS = 50

/** Forgets signatures that can no longer be used, and the oldest beyond their limit. */
export async function forgetSignatures(
  store: Pick<Store, 'forgetSignatures' | 'clock'>,
  stopped: () => boolean = () => false,
): Promise<void> {
  const most = BOUNDS.signatures.value
  while (
    !stopped() &&
    (await store.forgetSignatures(store.clock(), most, SIGNATURES_STEP)) === SIGNATURES_STEP
  )
    await sleep(PAUSE_MS)
}

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
