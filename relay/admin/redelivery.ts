import type { Context } from 'hono'
import { type Delivery, type Listed, OPEN_STATES, REDELIVERABLE } from '../delivery/delivery.ts'
import { Problem } from '../http/problem.ts'
import type { RouteDeps } from '../route-deps.ts'
import type { Filter, Store } from '../store/store.ts'

const PAGE = 200
/** How many Port runs are read concurrently, and the time limit for reading all of them. */
const READS = 10
const READING_MS = 5_000

export type Redelivery = ReturnType<typeof createRedelivery>

/** @throws Problem 404 */
export async function knownDelivery(c: Context, store: Pick<Store, 'get'>): Promise<Delivery> {
  const id = c.req.param('id') ?? ''
  const delivery = await store.get(id)
  if (!delivery) throw unknown(id)
  return delivery
}

export function mustBeRedeliverable({ id, state }: Pick<Delivery, 'id' | 'state'>): void {
  if (REDELIVERABLE.includes(state)) return
  throw new Problem(409, `Delivery ${id} is ${state}: only failed or canceled deliveries can be redelivered.`)
}

export function mustBeOpen({ id, state }: Pick<Delivery, 'id' | 'state'>): void {
  if (OPEN_STATES.includes(state)) return
  throw new Problem(409, `Delivery ${id} is ${state}: only open deliveries can be canceled.`)
}

const unknown = (id: string) =>
  new Problem(404, `Delivery ${id} doesn't exist, or was purged after RELAY_RETENTION.`)

export function createRedelivery({ store, apply, port }: Pick<RouteDeps, 'store' | 'apply' | 'port'>) {
  return {
    /** Returns the newest matching deliveries, oldest first. `more`: whether older deliveries match as well. */
    async find(filter: Filter, limit: number): Promise<{ deliveries: Listed[]; more: boolean }> {
      const deliveries: Listed[] = []
      let before: number | undefined | null
      while (before !== null && deliveries.length <= limit) {
        const page: Listed[] = await store.list(filter, { limit: PAGE, before })
        deliveries.push(...page)
        before = page.length === PAGE ? page.at(-1)!.seq : await store.listedTo(filter, { before })
      }
      return { deliveries: deliveries.slice(0, limit).reverse(), more: deliveries.length > limit }
    },
    /** Returns for each delivery whether its Port run has finished; null if there is no Port run, or reading it takes too long. */
    async readEnds(deliveries: readonly Listed[]): Promise<Map<string, boolean | null>> {
      const ends = new Map<string, boolean | null>(deliveries.map(({ id }) => [id, null]))
      const waiting = deliveries.filter(port.canReport)
      const deadline = performance.now() + READING_MS
      const reader = async () => {
        for (let next = waiting.shift(); next && performance.now() < deadline; next = waiting.shift()) {
          const run = await port.read(next)
          if (run !== 'unread' && (run.finished || run.status !== 'unknown')) ends.set(next.id, run.finished)
        }
      }
      await Promise.all(Array.from({ length: READS }, reader))
      return ends
    },
    /** @throws Problem 409 */
    async redeliver(delivery: Delivery): Promise<void> {
      const applied = await apply(delivery, { type: 'redelivered' })
      if (applied.outcome === 'gone') throw unknown(delivery.id)
      if (applied.outcome === 'applied') return
      mustBeRedeliverable(applied.delivery)
      throw new Problem(
        409,
        `Delivery ${delivery.id} changed during this request: check its state, and retry.`,
      )
    },
    /** @returns the deliveries that were redelivered */
    async redeliverAll(deliveries: readonly Listed[]): Promise<Listed[]> {
      const redelivered: Listed[] = []
      for (const each of deliveries) {
        const delivery = await store.get(each.id)
        const applied = delivery && (await apply(delivery, { type: 'redelivered' }))
        if (applied?.outcome === 'applied') redelivered.push(each)
      }
      return redelivered
    },
    /** @throws Problem 409 if the delivery isn't open */
    async cancel(delivery: Delivery): Promise<Delivery> {
      const applied = await apply(delivery, { type: 'cancelRequested', by: 'api' })
      if (applied.outcome === 'gone') throw unknown(delivery.id)
      if (applied.outcome !== 'applied') mustBeOpen(applied.delivery)
      return applied.delivery
    },
  }
}
