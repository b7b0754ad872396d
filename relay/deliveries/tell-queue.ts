import type { Store } from '../store/store.ts'
import { waitingWords } from './decide.ts'
import type { Pauses } from './pauses.ts'

const MOST = 200

/**
 * Tells the deliveries that stand behind the first of their repository that they wait, since nothing else
 * will before it is their turn; the first ones hear it when they are taken up. Each is told once.
 */
export async function tellQueue(
  limit: { reason: string },
  { store, pauses, clock }: { store: Pick<Store, 'list' | 'report'>; pauses: Pauses; clock: () => number },
): Promise<void> {
  const queued = (await store.list({ state: 'queued', limit: MOST })).reverse()
  const first = new Set(queued.filter((d, i) => queued.findIndex(e => e.repository === d.repository) === i))
  const ids = new Set(queued.map(each => each.id))
  for (const id of pauses.told) if (!ids.has(id)) pauses.told.delete(id)
  for (const delivery of queued) {
    const until = pauses.until(delivery.repository)
    if (first.has(delivery) || delivery.runId === null || delivery.attempts.length > 0 || until <= clock())
      continue
    if (pauses.told.has(delivery.id)) continue
    pauses.told.add(delivery.id)
    await store.report(delivery.id, [waitingWords(delivery, limit.reason, until)], clock())
  }
}
