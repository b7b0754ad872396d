import type { NewDelivery } from '../../relay/delivery/delivery.ts'
import type { DeliveryEvent } from '../../relay/delivery/events.ts'
import { openStore } from '../../relay/store/open.ts'
import { createApplyEvent } from '../../relay/workers/apply.ts'
import { type Address, aDelivery } from '../store/place.ts'

export type Placed = Partial<NewDelivery> & { events?: DeliveryEvent[] }

const POLICY = { startTimeout: 600_000, runTimeout: 86_400_000, serverUrl: 'https://github.com' }

/** The events of a delivery whose dispatch GitHub rejects. */
export const REJECTED: DeliveryEvent[] = [
  { type: 'attemptStarted' },
  {
    ...{ type: 'dispatchRejected', attempt: 1, response: { status: 404, requestId: 'C0DE:1F' } },
    reason: 'GitHub rejected the dispatch: no such repository.',
  },
]

/** Returns the events of a delivery that is bound to an unfinished workflow run. */
export const running = (runId: number): DeliveryEvent[] => [
  { type: 'attemptStarted' },
  { type: 'dispatchAccepted', attempt: 1, run: null },
  {
    type: 'runsSeen',
    runs: [
      {
        ...{ id: runId, attempt: 1, evidence: 'title', past: false, status: 'in_progress', conclusion: null },
        url: `https://github.com/acme/shop/actions/runs/${runId}`,
      },
    ],
    pollAt: 4_000_000_000_000,
  },
]

/** Writes deliveries and their events into a database that no relay has open. Returns their ids. */
export async function placeDeliveries(database: string | Address, placed: Placed[]): Promise<string[]> {
  const store = await openStore(
    typeof database === 'string' ? { kind: 'sqlite', path: database } : database,
    0,
  )
  const log = { info() {}, debug() {} }
  const apply = createApplyEvent({ store, policy: POLICY, canReport: () => false, onTransition() {}, log })
  const ids: string[] = []
  for (const { events = [], ...given } of placed) {
    const { id } = await store.accept(aDelivery({ receivedAt: store.clock(), ...given }))
    ids.push(id)
    for (const event of events) {
      const delivery = await store.get(id)
      const { outcome } = await apply(delivery!, event)
      if (outcome !== 'applied') throw new Error(`${event.type} was ${outcome}`)
    }
  }
  await store.close()
  return ids
}
