import { createHash } from 'node:crypto'
import type { Context } from 'hono'
import { html } from 'hono/html'
import { LIMITS } from '../../config/limits.ts'
import type { Listed } from '../../delivery/delivery.ts'
import type { Shown } from '../../delivery/shown-wait.ts'
import { Problem } from '../../http/problem.ts'
import type { Store } from '../../store/store.ts'
import { type GivenFilter, givenIn, readBulkFilter } from '../filter.ts'
import type { Redelivery } from '../redelivery.ts'
import { knownDelivery, mustBeOpen, mustBeRedeliverable } from '../redelivery.ts'
import type { Session } from '../sessions.ts'
import { ago, amount, type Html, number, query } from './format.ts'
import type { Guard } from './guard.ts'
import { badge, filterText, reason } from './list-page.ts'

interface ChangesDeps {
  store: Store
  redelivery: Redelivery
  show: (delivery: Listed, heads: ReadonlyMap<string, Listed>) => Shown
}

export function addChanges({ get, post }: Guard, { store, redelivery, show }: ChangesDeps): void {
  const bulkFilter = (given: GivenFilter) => readBulkFilter(given, store.clock())
  const known = async (c: Context) => {
    const delivery = await knownDelivery(c, store)
    return show(delivery, await store.heads([delivery]))
  }

  get('/deliveries/:id/redeliver', 'admin', async (c, session) => {
    const delivery = await known(c)
    mustBeRedeliverable(delivery)
    const ended = (await redelivery.readEnds([delivery])).get(delivery.id) ?? null
    return confirmPage(session, delivery, 'redeliver', resultOfPortRun(ended), store.clock())
  })
  get('/deliveries/:id/cancel', 'admin', async (c, session) => {
    const delivery = await known(c)
    mustBeOpen(delivery)
    const isSent = delivery.state === 'queued' && delivery.awaitingResponseSince !== null
    const state = isSent ? 'dispatched' : (delivery.state as keyof typeof CANCELING)
    return confirmPage(session, delivery, 'cancel', CANCELING[state], store.clock())
  })
  for (const change of ['redeliver', 'cancel'] as const)
    post(`/deliveries/:id/${change}`, async c => {
      const delivery = await knownDelivery(c, store)
      await redelivery[change](delivery)
      return `/deliveries/${encodeURIComponent(delivery.id)}`
    })
  get('/redeliver', 'admin', async (c, session) => {
    const given = givenIn(name => c.req.query(name))
    const found = await redelivery.find(bulkFilter(given), LIMITS.redeliveredAtOnce)
    return bulkPage(session, given, found, await redelivery.readEnds(found.deliveries), store.clock())
  })
  post('/redeliver', async (_, form) => {
    const given = givenIn(name => (typeof form[name] === 'string' ? form[name] : undefined))
    const { deliveries } = await redelivery.find(bulkFilter(given), LIMITS.redeliveredAtOnce)
    const chosen = deliveries.filter(each => fieldOf(each) in form)
    if (chosen.length === 0)
      throw new Problem(409, 'No selected delivery matches: select at least one group.')
    const { length: redelivered } = await redelivery.redeliverAll(chosen)
    return `/${query({ repository: given.repository, action: given.action, redelivered })}`
  })
}

const CANCELING = {
  queued: html`The delivery won't be dispatched.`,
  dispatched: html`GitHub may have started a workflow run. The relay searches for the run, and cancels it.`,
  running: html`The relay cancels the workflow run on GitHub. The delivery finishes when the workflow run has finished.`,
}

const RISK =
  'A workflow runs twice if GitHub has already started it, or if a user has started the action in Port again.'

export const csrf = (session: Session) => html`<input type="hidden" name="csrf" value="${session.csrf}">`

function confirmPage(
  session: Session,
  delivery: Shown,
  change: 'redeliver' | 'cancel',
  line: Html,
  now: number,
) {
  const [title, verb, look] = QUESTIONS[change]
  const page = `/deliveries/${encodeURIComponent(delivery.id)}`
  return {
    title,
    session,
    body: html`<section id="list" class="card narrow"><h1>${title}</h1>
<p><strong>${delivery.action ?? 'Delivery'}</strong> to ${delivery.repository}${delivery.runId !== null && `, run in Port ${delivery.runId}`}</p>
<p>${badge(delivery)} received ${ago(delivery.receivedAt, now)}</p>
<div class="${delivery.outcome || delivery.state}">${reason(delivery)}</div>
<p>${line}</p>
${change === 'redeliver' && html`<p class="risk">${RISK}</p>`}
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

const SHOWN = 10
const LINKED = 10

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
    body: html`<section id="list" class="card"><h1>Redeliver all that match</h1>
<p>Filter: ${filterText(given)}</p>
${
  deliveries.length === 0
    ? html`<p class="empty">No delivery matches.</p><p><a class="button" href="${back}">Back</a></p>`
    : html`<p><strong>${more && 'The newest '}${amount(deliveries.length)}</strong> ${deliveries.length > 1 ? 'match' : 'matches'}. The relay queues the selected deliveries again, the oldest first.${more && ' Older deliveries match as well: repeat the redelivery for them.'}</p>
${ended > 0 && html`<p class="problem">For ${number(ended)} of these deliveries, the run in Port has finished: Port won't show the new workflow run.</p>`}
${narrower('repository', given, deliveries)}${narrower('action', given, deliveries)}
<p class="risk">${RISK}</p>
<form method="post" action="/redeliver" id="bulk">${csrf(session)}${Object.entries(given).map(
        ([name, value]) => value && html`<input type="hidden" name="${name}" value="${value}">`,
      )}<p class="buttons"><button class="primary">Redeliver the selected</button> <a class="button" href="${back}">Back</a></p>
${byReason(deliveries).map(
  ([
    why,
    group,
  ]) => html`<div class="group"><label><input type="checkbox" name="${fieldOf(group[0]!)}" checked data-amount="${group.length}"> <span><strong>${amount(group.length)}</strong> ${why}</span></label>
<details><summary>Show ${group.length === 1 ? 'it' : 'them'}</summary>
<ul class="ruled">${group
    .slice(0, SHOWN)
    .map(
      d =>
        html`<li><a href="/deliveries/${encodeURIComponent(d.id)}">${d.action ?? 'no action'}</a> to ${d.repository}, ${ago(d.receivedAt, now)}${ends.get(d.id) === true && html` <span class="problem">finished in Port</span>`}</li>`,
    )}</ul>${group.length > SHOWN && html`<p>… and ${number(group.length - SHOWN)} more.</p>`}</details></div>`,
)}</form>`
}
</section>`,
  }
}

/** Returns links to this page, each with a filter for one of the repositories or actions. */
function narrower(name: 'repository' | 'action', given: GivenFilter, deliveries: Listed[]) {
  const groups = [...Map.groupBy(deliveries, each => each[name])].sort(([, a], [, b]) => b.length - a.length)
  if (groups.length < 2) return ''
  return html`<p class="buttons">Only one ${name}: ${groups
    .slice(0, LINKED)
    .map(
      ([value, { length }]) =>
        value !== null &&
        html`<a class="tab" href="/redeliver${query({ ...given, [name]: value })}"><strong>${number(length)}</strong> ${value}</a> `,
    )}</p>`
}

/** Groups failures of all repositories by their reason, the largest group first. */
const byReason = (deliveries: Listed[]) =>
  [...Map.groupBy(deliveries, whyOf)].sort(([, a], [, b]) => b.length - a.length)

const whyOf = ({ reason, outcome, repository }: Listed) =>
  (reason ?? outcome.replace('_', ' ')).replaceAll(repository, 'the repository')

/** Returns the name of the checkbox for a delivery's group. The name is short, because a form can have at most 16 KiB. */
const fieldOf = (delivery: Listed) =>
  createHash('sha256').update(whyOf(delivery)).digest('base64url').slice(0, 8)
