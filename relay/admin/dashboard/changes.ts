import { html } from 'hono/html'
import type { Delivery } from '../../delivery/delivery.ts'
import type { Store } from '../../store/store.ts'
import type { Session } from '../auth.ts'
import { type GivenFilter, givenIn, readBulkFilter } from '../filter.ts'
import {
  knownDelivery,
  MAX_REDELIVERED,
  mustBeOpen,
  mustBeRedeliverable,
  type Redelivery,
} from '../redelivery.ts'
import { type Html, query } from './format.ts'
import type { Guard } from './guard.ts'
import { layout } from './layout.ts'
import { amount } from './list-page.ts'

export interface ChangesDeps {
  organizations: string[]
  store: Pick<Store, 'get' | 'clock'>
  redelivery: Redelivery
}

/** What an admin may change, each with a confirmation page. */
export function addChanges({ get, post }: Guard, deps: ChangesDeps): void {
  const { organizations, store, redelivery } = deps
  const bulkFilter = (given: GivenFilter) => readBulkFilter(given, organizations, store.clock())
  const pathOf = ({ id }: Delivery) => `/deliveries/${encodeURIComponent(id)}`

  get('/deliveries/:id/redeliver', 'admin', async (c, session) => {
    const delivery = await knownDelivery(c, store)
    mustBeRedeliverable(delivery)
    const ended = (await redelivery.readEnds([delivery])).get(delivery.id) ?? null
    const lines = [resultOfPortRun(ended)]
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
  running: html`The relay cancels its workflow run on GitHub. The delivery finishes when the workflow run has finished.`,
}

const csrf = (session: Session) => html`<input type="hidden" name="csrf" value="${session.csrf}">`

/** The confirmation before one delivery is redelivered or canceled. */
function confirmPage(
  session: Session,
  delivery: Delivery,
  question: { title: string; verb: string; path: string; lines: Html[] },
) {
  const { title, verb, path, lines } = question
  const page = `/deliveries/${encodeURIComponent(delivery.id)}`
  return layout({
    title,
    session,
    body: html`<section class="card narrow"><h1>${title}</h1>
<p><strong>${delivery.action ?? 'Delivery'}</strong> to ${delivery.repository}${delivery.runId !== null && `, run ${delivery.runId}`}</p>
${lines.map(line => html`<p>${line}</p>`)}
<form method="post" action="${page}/${path}" class="buttons">${csrf(session)}<button class="primary">${verb}</button> <a class="button" href="${page}">Back</a></form>
</section>`,
  })
}

/** Whether Port will show a new workflow run. */
const resultOfPortRun = (ended: boolean | null) =>
  ended === true
    ? html`<span class="problem">Its run in Port has finished: Port will not show the new workflow run.</span>`
    : html`${ended === false ? 'Its run in Port is open: it will show the new workflow run.' : 'It is unknown whether its run in Port has finished.'}`

interface BulkPage {
  session: Session
  given: GivenFilter
  deliveries: Delivery[]
  more: boolean
  ends: ReadonlyMap<string, boolean | null>
}

const SHOWN = 100

/** The confirmation before a bulk redelivery, with the deliveries that it queues. */
function bulkPage({ session, given, deliveries, more, ends }: BulkPage) {
  const ended = deliveries.filter(({ id }) => ends.get(id) === true).length
  const back = `/${query({ ...given })}`
  return layout({
    title: 'Redeliver all that match',
    session,
    body: html`<section class="card"><h1>Redeliver all that match</h1>
<p>${filterText(given)}</p>
${
  deliveries.length === 0
    ? html`<p class="empty">No delivery matches.</p><p><a class="button" href="${back}">Back</a></p>`
    : html`<p><strong>${amount(deliveries.length)}</strong> would be queued again, the oldest first.${more && ' Older ones match as well: repeat it for them.'}</p>
${ended > 0 && html`<p class="problem">The runs in Port of ${ended} of them have finished: Port will not show their new workflow runs.</p>`}
<form method="post" action="/redeliver" class="buttons">${csrf(session)}${Object.entries(given).map(
        ([name, value]) => value && html`<input type="hidden" name="${name}" value="${value}">`,
      )}<button class="primary">Redeliver ${amount(deliveries.length)}</button> <a class="button" href="${back}">Back</a></form>
<ul class="plain">${deliveries
        .slice(0, SHOWN)
        .map(
          d =>
            html`<li><a href="/deliveries/${encodeURIComponent(d.id)}">${d.action ?? 'no action'}</a> to ${d.repository} <span class="reason">${d.reason}</span>${ends.get(d.id) === true && html` <span class="problem">ended in Port</span>`}</li>`,
        )}</ul>${deliveries.length > SHOWN && html`<p>… and ${deliveries.length - SHOWN} more.</p>`}`
}
</section>`,
  })
}

const filterText = (given: GivenFilter) =>
  Object.entries(given)
    .filter(([, value]) => value)
    .map(([name, value]) => `${name.replace('_', ' ')} ${value}`)
    .join(', ')
