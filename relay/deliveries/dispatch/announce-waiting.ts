import type { Pauses } from '../github/pauses.ts'
import { LIMITED } from '../github/rate-limit.ts'
import type { Queued, Store } from '../store/store.ts'
import { whileWaiting } from './decide.ts'
import type { Work } from './worker.ts'

const LEASE_MS = 30_000
/** How many are told at once; further ones when those are written. */
const AT_ONCE = 50
/** A `seq` is given before its delivery is committed: one a little lower may show later. */
const MARGIN = 500

/**
 * Tells the deliveries that stand behind the first of their repository that they wait, since nothing else
 * will before it is their turn, however many there are and whenever they come. What was told stands with the
 * delivery's attempts, so that each is told once, by whichever relay, over restarts.
 */
export function tellQueue({
  store,
  pauses,
  clock,
}: {
  store: Pick<Store, 'claimWaiting' | 'record'>
  pauses: Pauses
  clock: () => number
}): Work<Queued> {
  let known = ''
  let after = 0
  let restartAt = 0
  return {
    name: 'tell who waits',
    concurrency: AT_ONCE,
    async claim(limit) {
      const active = pauses.active()
      if (active.length === 0) return []
      const scopes = active.map(({ scope }) => scope).join()
      // From the start again, too, for what a relay had claimed that is gone.
      if (scopes !== known || clock() >= restartAt) {
        known = scopes
        after = 0
        restartAt = clock() + LEASE_MS
      }
      const claimed = await store.claimWaiting(clock(), LEASE_MS, limit, { scope: pauses.shared, after })
      const last = claimed.at(-1)
      if (last) after = Math.max(after, last.seq - MARGIN)
      return claimed
    },
    async step(delivery) {
      const { change, reports } = whileWaiting(delivery, LIMITED, delivery.pausedUntil, clock())
      try {
        await store.record(delivery, change, clock(), reports)
      } catch (error) {
        after = 0
        throw error
      }
    },
  }
}
