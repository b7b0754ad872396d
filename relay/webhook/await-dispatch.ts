import { setTimeout as sleep } from 'node:timers/promises'
import { Problem } from '../http/problem.ts'
import type { State } from '../store/delivery.ts'
import type { Store } from '../store/store.ts'

/** Port's agent waits 30 s for an answer; this leaves room for the way back. */
const PATIENCE_MS = 20_000
const LOOK_MS = 100

/**
 * For a synchronous action, whose result is the answer to its webhook: waits until GitHub has taken the
 * delivery. Any relay may be the one that sends it, so the store is asked.
 *
 * @param options.stopping ends the wait
 * @returns its state; still `queued` when GitHub has not answered in 20 s, or the store does not say
 * @throws Problem 502 with the reason when GitHub refused for good
 */
export async function awaitDispatch(
  id: string,
  store: Pick<Store, 'get'>,
  { stopping, patience = PATIENCE_MS }: { stopping?: AbortSignal | undefined; patience?: number } = {},
): Promise<State> {
  for (const until = performance.now() + patience; ; await sleep(LOOK_MS)) {
    // It is written, so whatever the store says now, it is accepted.
    const delivery = await store.get(id).catch(() => null)
    const state = delivery?.state ?? 'queued'
    // One that failed later was taken by GitHub all the same.
    if (state === 'failed' && !delivery?.dispatchedAt)
      throw new Problem(502, delivery?.reason ?? 'The delivery failed.')
    if (state !== 'queued' || stopping?.aborted || performance.now() >= until) return state
  }
}
