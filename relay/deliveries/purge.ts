import { setTimeout as sleep } from 'node:timers/promises'
import type { Store } from '../store/store.ts'

/** So few at once that intake never waits long for the store. */
const STEP = 200
const PAUSE_MS = 50

/** Removes finished and failed deliveries that nobody touched for `retention` milliseconds. */
export async function purge(
  store: Pick<Store, 'purge'>,
  before: number,
  stopped: () => boolean = () => false,
): Promise<number> {
  let removed = 0
  while (!stopped()) {
    const step = await store.purge(before, STEP)
    removed += step
    if (step < STEP) break
    await sleep(PAUSE_MS)
  }
  return removed
}
