import { html } from 'hono/html'
import type { Delivery } from '../../store/delivery.ts'
import type { Store } from '../../store/store.ts'
import { type GivenFilter, givenIn, readBulkFilter } from '../filter.ts'
import {
  knownDelivery,
  MAX_REDELIVERED,
  mustBeOpen,
  mustBeRedeliverable,
  type Redelivery,
} from '../redelivery.ts'
import { bulkPage, confirmPage, endOfPortRun } from './confirm-pages.ts'
import { query } from './format.ts'
import type { Guard } from './guard.ts'

export interface ChangesDeps {
  organisations: string[]
  store: Pick<Store, 'get' | 'clock'>
  redelivery: Redelivery
}

/** What an admin may change, each with the question before it. */
export function addChanges({ get, post }: Guard, deps: ChangesDeps): void {
  const { organisations, store, redelivery } = deps
  const bulkFilter = (given: GivenFilter) => readBulkFilter(given, organisations, store.clock())
  const pathOf = ({ id }: Delivery) => `/deliveries/${encodeURIComponent(id)}`

  get('/deliveries/:id/redeliver', 'admin', async (c, session) => {
    const delivery = await knownDelivery(c, store)
    mustBeRedeliverable(delivery)
    const ended = (await redelivery.readEnds([delivery])).get(delivery.id) ?? null
    const lines = [endOfPortRun(ended)]
    return confirmPage(session, delivery, {
      title: 'Redeliver?',
      verb: 'Redeliver',
      path: 'redeliver',
      lines,
    })
  })
  get('/deliveries/:id/cancel', 'admin', async (c, session) => {
    const delivery = await knownDelivery(c, store)
    mustBeOpen(delivery)
    const lines = [CANCELLING[delivery.state === 'queued' ? 'queued' : 'running']]
    return confirmPage(session, delivery, {
      title: 'Cancel?',
      verb: 'Cancel the delivery',
      path: 'cancel',
      lines,
    })
  })
  post('/deliveries/:id/redeliver', async c => {
    const delivery = await knownDelivery(c, store)
    await redelivery.redeliver(delivery)
    return pathOf(delivery)
  })
  post('/deliveries/:id/cancel', async c => {
    const delivery = await knownDelivery(c, store)
    await redelivery.cancel(delivery)
    return pathOf(delivery)
  })
  get('/redeliver', 'admin', async (c, session) => {
    const given = givenIn(name => c.req.query(name))
    const { deliveries, more } = await redelivery.find(bulkFilter(given), MAX_REDELIVERED)
    const ends = await redelivery.readEnds(deliveries)
    return bulkPage({ session, given, deliveries, more, ends })
  })
  post('/redeliver', async (_, form) => {
    const given = givenIn(name => (typeof form[name] === 'string' ? form[name] : undefined))
    const { deliveries } = await redelivery.find(bulkFilter(given), MAX_REDELIVERED)
    const { length: redelivered } = await redelivery.redeliverAll(deliveries)
    return `/${query({ repository: given.repository, action: given.action, redelivered })}`
  })
}

const CANCELLING = {
  queued: html`The delivery will not be dispatched.`,
  running: html`Its workflow run is cancelled on GitHub; the delivery ends when that has ended.`,
}
