import { html } from 'hono/html'
import type { Delivery } from '../../delivery/delivery.ts'
import type { Store } from '../../store/store.ts'
import { type GivenFilter, givenIn, readBulkFilter } from '../filter.ts'
import type { Redelivery } from '../redelivery.ts'
import { knownDelivery, MAX_REDELIVERED, mustBeOpen, mustBeRedeliverable } from '../redelivery.ts'
import type { Session } from '../sessions.ts'
import { ago, type Html, query } from './format.ts'
import type { Guard } from './guard.ts'
import { amount, filterText } from './list-page.ts'

export function addChanges({ get, post }: Guard, store: Store, redelivery: Redelivery): void {
  const bulkFilter = (given: GivenFilter) => readBulkFilter(given, store.clock())

  get('/deliveries/:id/redeliver', 'admin', async (c, session) => {
    const delivery = await knownDelivery(c, store)
    mustBeRedeliverable(delivery)
    const ended = (await redelivery.readEnds([delivery])).get(delivery.id) ?? null
    return confirmPage(session, delivery, 'redeliver', resultOfPortRun(ended))
  })
  get('/deliveries/:id/cancel', 'admin', async (c, session) => {
    const delivery = await knownDelivery(c, store)
    mustBeOpen(delivery)
    const isSent = delivery.state === 'queued' && delivery.awaitingResponseSince !== null
    const state = isSent ? 'dispatched' : (delivery.state as keyof typeof CANCELING)
    return confirmPage(session, delivery, 'cancel', CANCELING[state])
  })
  for (const change of ['redeliver', 'cancel'] as const)
    post(`/deliveries/:id/${change}`, async c => {
      const delivery = await knownDelivery(c, store)
      await redelivery[change](delivery)
      return `/deliveries/${encodeURIComponent(delivery.id)}`
    })
  get('/redeliver', 'admin', async (c, session) => {
    const given = givenIn(name => c.req.query(name))
    const found = await redelivery.find(bulkFilter(given), MAX_REDELIVERED)
    return bulkPage(session, given, found, await redelivery.readEnds(found.deliveries), store.clock())
  })
  post('/redeliver', async (_, form) => {
    const given = givenIn(name => (typeof form[name] === 'string' ? form[name] : undefined))
    const { deliveries } = await redelivery.find(bulkFilter(given), MAX_REDELIVERED)
    const { length: redelivered } = await redelivery.redeliverAll(deliveries)
    return `/${query({ repository: given.repository, action: given.action, redelivered })}`
  })
}

const CANCELING = {
  queued: html`The delivery won't be dispatched.`,
  dispatched: html`GitHub may have started a workflow run. The relay searches for the run, and cancels it.`,
  running: html`The relay cancels the workflow run on GitHub. The delivery finishes when the workflow run has finished.`,
}

export const csrf = (session: Session) => html`<input type="hidden" name="csrf" value="${session.csrf}">`

function confirmPage(session: Session, delivery: Delivery, change: 'redeliver' | 'cancel', line: Html) {
  const [title, verb, look] = QUESTIONS[change]
  const page = `/deliveries/${encodeURIComponent(delivery.id)}`
  return {
    title,
    session,
    body: html`<section class="card narrow"><h1>${title}</h1>
<p><strong>${delivery.action ?? 'Delivery'}</strong> to ${delivery.repository}${delivery.runId !== null && `, run in Port ${delivery.runId}`}</p>
<p>${line}</p>
<form method="post" action="${page}/${change}" class="buttons">${csrf(session)}<button class="${look}">${verb}</button> <a class="button" href="${page}">Back</a></form>
</section>`,
  }
}
const QUESTIONS = {
  redeliver: ['Redeliver?', 'Redeliver', 'primary'],
  cancel: ['Cancel?', 'Cancel the delivery', 'danger'],
} as const

const resultOfPortRun = (ended: boolean | null) =>
  ended === true
    ? html`<span class="problem">The run in Port has finished: Port won't show the new workflow run.</span>`
    : html`${ended === false ? 'The run in Port is open and will show the new workflow run.' : "The relay couldn't check whether the run in Port has finished."}`

const SHOWN = 100

function bulkPage(
  session: Session,
  given: GivenFilter,
  { deliveries, more }: Awaited<ReturnType<Redelivery['find']>>,
  ends: ReadonlyMap<string, boolean | null>,
  now: number,
) {
  const ended = deliveries.filter(({ id }) => ends.get(id) === true).length
  const back = `/${query({ ...given })}`
  return {
    title: 'Redeliver all that match',
    session,
    body: html`<section class="card"><h1>Redeliver all that match</h1>
<p>Filter: ${filterText(given)}</p>
${
  deliveries.length === 0
    ? html`<p class="empty">No delivery matches.</p><p><a class="button" href="${back}">Back</a></p>`
    : html`<p><strong>${amount(deliveries.length)}</strong> would be queued again${deliveries.length > 1 && ', the oldest first'}.${more && ' Older deliveries match as well: repeat the redelivery for them.'}</p>
${ended > 0 && html`<p class="problem">For ${ended} of them, the run in Port has finished: Port won't show the new workflow run.</p>`}
<form method="post" action="/redeliver" class="buttons">${csrf(session)}${Object.entries(given).map(
        ([name, value]) => value && html`<input type="hidden" name="${name}" value="${value}">`,
      )}<button class="primary">Redeliver ${amount(deliveries.length)}</button> <a class="button" href="${back}">Back</a></form>
${byReason(deliveries).map(
  ([
    reason,
    group,
  ]) => html`<details class="group"><summary><strong>${amount(group.length)}</strong> ${reason}</summary>
<ul class="plain">${group
    .slice(0, SHOWN)
    .map(
      d =>
        html`<li><a href="/deliveries/${encodeURIComponent(d.id)}">${d.action ?? 'no action'}</a> to ${d.repository}, ${ago(d.receivedAt, now)}${ends.get(d.id) === true && html` <span class="problem">finished in Port</span>`}</li>`,
    )}</ul>${group.length > SHOWN && html`<p>… and ${group.length - SHOWN} more.</p>`}</details>`,
)}`
}
</section>`,
  }
}

/** Groups failures with the same reason across repositories, largest group first. */
function byReason(deliveries: Delivery[]): [string, Delivery[]][] {
  const groups = Map.groupBy(deliveries, ({ reason, outcome, repository }) =>
    (reason ?? outcome.replace('_', ' ')).replaceAll(repository, 'the repository'),
  )
  return [...groups].sort(([, a], [, b]) => b.length - a.length)
}
