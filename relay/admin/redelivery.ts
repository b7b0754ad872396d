import type { ApplyEvent } from '../deliveries/apply-event.ts'
import type { PortAccess } from '../deliveries/port-access.ts'
import type { Delivery } from '../store/delivery.ts'
import type { Filter, Store } from '../store/store.ts'

/** How many deliveries one request redelivers at most. */
export const MAX_REDELIVERED = 1_000
const PAGE = 200
/** Runs in Port that are read at once, and for how long in all. */
const READS = 10
const READING_MS = 5_000

export interface RedeliveryDeps {
  store: Pick<Store, 'list' | 'listedTo'>
  apply: ApplyEvent
  port: Pick<PortAccess, 'canReport' | 'read'>
}

/** What is to be redelivered, oldest first, which keeps the order in each repository. */
interface Found {
  deliveries: Delivery[]
  /** Older ones match as well. */
  more: boolean
}

export interface Redelivery {
  /** The newest that match. */
  find(filter: Filter, limit: number): Promise<Found>
  /**
   * Whether the runs in Port of these deliveries have ended, by delivery: Port then shows nothing of what a new
   * workflow run reports. Null where there is none, or it could not be read in time.
   */
  readEnds(deliveries: readonly Delivery[]): Promise<Map<string, boolean | null>>
  /** @returns false where it has changed meanwhile, and cannot be redelivered */
  redeliver(delivery: Delivery): Promise<boolean>
}

export function createRedelivery({ store, apply, port }: RedeliveryDeps): Redelivery {
  return {
    async find(filter, limit) {
      const deliveries: Delivery[] = []
      let before: number | null | undefined
      while (before !== null && deliveries.length <= limit) {
        const page: Delivery[] = await store.list(filter, { limit: PAGE, ...(before && { before }) })
        deliveries.push(...page)
        before = page.length === PAGE ? page.at(-1)!.seq : await store.listedTo(filter, before)
      }
      return { deliveries: deliveries.slice(0, limit).reverse(), more: deliveries.length > limit }
    },
    async readEnds(deliveries) {
      const ends = new Map<string, boolean | null>(deliveries.map(({ id }) => [id, null]))
      const waiting = deliveries.filter(port.canReport)
      const deadline = performance.now() + READING_MS
      const reader = async () => {
        for (let next = waiting.shift(); next && performance.now() < deadline; next = waiting.shift()) {
          const run = await port.read(next)
          if (run !== 'unread' && (run.ended || run.status !== 'unknown')) ends.set(next.id, run.ended)
        }
      }
      await Promise.all(Array.from({ length: READS }, reader))
      return ends
    },
    redeliver: async delivery => (await apply(delivery, { type: 'redelivered' })).outcome === 'applied',
  }
}
