import type { Context } from 'hono'
import { Problem } from '../../http/problem.ts'
import type { Delivery } from '../../store/delivery.ts'
import type { Store } from '../../store/store.ts'
import { FILTERS, type GivenFilter } from '../filter.ts'

/** An empty field of a form is no filter. */
export const givenIn = (read: (name: string) => string | undefined): GivenFilter =>
  Object.fromEntries(FILTERS.map(name => [name, read(name)?.trim() || undefined]))

/** @throws Problem 404 */
export async function knownDelivery(c: Context, store: Pick<Store, 'get'>): Promise<Delivery> {
  const delivery = await store.get(c.req.param('id') ?? '')
  if (delivery) return delivery
  throw new Problem(
    404,
    'There is no such delivery: it was purged after RELAY_RETENTION, or it never existed.',
  )
}
