import type { RateLimitGate } from '../../github/rate-limit-gate.ts'
import type { Store } from '../../store/store.ts'
import type { ApplyEvent } from '../apply-event.ts'

/** How many are announced at once; the next ones follow when those are persisted. */
const AT_ONCE = 50
/** A `seq` is assigned before its delivery is committed: a slightly lower one may become visible later. */
const MARGIN = 500

/**
 * Writes into Port's log that a delivery waits, for each delivery behind a closed gate: once each, by whichever relay,
 * over restarts. Deliveries that wait behind others of their repository are not claimed, so nothing else announces them.
 */
export function createAnnounceWaiting({
  store,
  gate,
  apply,
}: {
  store: Pick<Store, 'findUnannounced' | 'clock'>
  gate: RateLimitGate
  apply: ApplyEvent
}): (stopped: () => boolean) => Promise<void> {
  let after = 0
  let known = ''
  return async stopped => {
    const closed = gate.allClosed()
    const scopes = closed.map(({ scope }) => scope).join()
    if (scopes !== known) after = 0
    known = scopes
    if (closed.length === 0) return
    let found: Awaited<ReturnType<Store['findUnannounced']>>
    do {
      found = await store.findUnannounced(store.clock(), AT_ONCE, gate.shared, after)
      await Promise.all(
        found.map(delivery => {
          const closed = gate.closed(delivery.repository)
          if (!closed) return null
          const { closedUntil: until, reason } = closed
          return apply(delivery, { type: 'waitingAnnounced', reason, until })
        }),
      )
      const last = found.at(-1)
      if (last) after = Math.max(0, last.seq - MARGIN)
    } while (found.length === AT_ONCE && !stopped())
  }
}
