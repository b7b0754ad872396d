import { html } from 'hono/html'
import type { ApplyEvent } from '../../deliveries/apply-event.ts'
import { Problem } from '../../http/problem.ts'
import { type Delivery, OPEN_STATES, REDELIVERABLE } from '../../store/delivery.ts'
import type { Filter, Store } from '../../store/store.ts'
import { type GivenFilter, readFilter } from '../filter.ts'
import { MAX_REDELIVERED, type Redelivery } from '../redelivery.ts'
import { bulkPage, confirmPage, endOfPortRun } from './confirm-pages.ts'
import { query } from './format.ts'
import { givenIn, knownDelivery } from './given.ts'
import type { Guard } from './guard.ts'

export interface ChangesDeps {
  organisations: string[]
  store: Pick<Store, 'get' | 'clock'>
  apply: ApplyEvent
  redelivery: Redelivery
}

/** What an admin may change, each with the question before it. */
export function addChanges({ get, post }: Guard, deps: ChangesDeps): void {
  const { organisations, store, apply, redelivery } = deps
  const pathOf = ({ id }: Delivery) => `/deliveries/${encodeURIComponent(id)}`

  get('/deliveries/:id/redeliver', 'admin', async (c, session) => {
    const delivery = await knownDelivery(c, store)
    if (!REDELIVERABLE.includes(delivery.state)) throw notRedeliverable()
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
    if (!OPEN_STATES.includes(delivery.state)) throw notCancellable(delivery)
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
    const { outcome } = await apply(delivery, { type: 'redelivered' })
    if (outcome !== 'applied') throw notRedeliverable()
    return pathOf(delivery)
  })
  post('/deliveries/:id/cancel', async c => {
    const delivery = await knownDelivery(c, store)
    const applied = await apply(delivery, { type: 'cancelRequested', by: 'api' })
    if (applied.outcome !== 'applied' && !OPEN_STATES.includes(applied.delivery.state))
      throw notCancellable(applied.delivery)
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
    let redelivered = 0
    for (const each of deliveries) if (await redelivery.redeliver(each)) redelivered++
    return `/${query({ repository: given.repository, action: given.action, redelivered })}`
  })

  function bulkFilter(given: GivenFilter): Filter {
    if (!REDELIVERABLE.some(state => state === given.state))
      throw new Problem(
        400,
        `Choose the state ${REDELIVERABLE.join(' or ')}: only such deliveries can be redelivered.`,
      )
    return readFilter(given, organisations, store.clock())
  }
}

const CANCELLING = {
  queued: html`The delivery will not be dispatched.`,
  running: html`Its workflow run is cancelled on GitHub; the delivery ends when that has ended.`,
}

const notRedeliverable = () => new Problem(409, 'Only failed or cancelled deliveries can be redelivered.')
const notCancellable = ({ state }: Delivery) =>
  new Problem(409, `The delivery has ended as ${state}: nothing can be cancelled.`)
