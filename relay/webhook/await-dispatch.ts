import { setTimeout as sleep } from 'node:timers/promises'
import { Problem } from '../http/problem.ts'
import type { State } from '../store/delivery.ts'
import type { Store } from '../store/store.ts'

/** Port's agent waits 30 s for an answer; this leaves room for the way back. */
const PATIENCE_MS = 20_000
const LOOK_MS = 100

/**
 * For a synchronous action, whose result is the answer to its webhook: waits until GitHub has accepted
 * the dispatch. Any relay may send it, so the store is asked.
 *
 * @param options.stopping ends the wait
 * @returns its state; still `queued` when GitHub has not answered in 20 s, or the database is unavailable
 * @throws Problem 502 with the reason when GitHub rejected it
 */
export async function awaitDispatch(
  id: string,
  store: Pick<Store, 'get'>,
  { stopping, patience = PATIENCE_MS }: { stopping?: AbortSignal | undefined; patience?: number } = {},
): Promise<State> {
  for (const until = performance.now() + patience; ; await sleep(LOOK_MS)) {
    // The delivery is persisted, so it is accepted even if the database is unavailable now.
    const delivery = await store.get(id).catch(() => null)
    const state = delivery?.state ?? 'queued'
    // GitHub had accepted a delivery that failed later.
    if (state === 'failed' && !delivery?.dispatchedAt)
      throw new Problem(502, delivery?.reason ?? 'The delivery failed.')
    if (state !== 'queued' || stopping?.aborted || performance.now() >= until) return state
  }
}
