import { html } from 'hono/html'
import { type Delivery, REDELIVERABLE, STATES } from '../../store/delivery.ts'
import type { GivenFilter } from '../filter.ts'
import { ago, counted, type Html, query } from './format.ts'
import { layout } from './layout.ts'
import type { Session } from './sessions.ts'

export interface ListPage {
  session: Session
  given: GivenFilter
  /** What is wrong with the filter. */
  problem: string | null
  before: number | undefined
  live: boolean
  /** How many deliveries have just been redelivered. */
  redelivered: number | null
  banner: Html
  chart: Html
  counts: Record<string, number>
  deliveries: Delivery[]
  /** Who started each, by id. */
  people: ReadonlyMap<string, string>
  next: number | null
  now: number
}

const SINCE = { '1h': 'last hour', '24h': 'last 24 hours', '7d': 'last 7 days' }

export function listPage(page: ListPage) {
  const { session, given, before, live } = page
  const here = { ...given, before, live: live ? null : 'off' }
  return layout({
    title: 'Deliveries',
    session,
    live: { on: live, toggle: `/${query({ ...here, live: live ? 'off' : null })}` },
    body: html`<h1>Deliveries</h1>
${page.redelivered !== null && html`<p class="notice" role="status">${amount(page.redelivered)} queued again.</p>`}
<div id="banner" data-live>${page.banner}</div>
<section class="card overview" aria-label="Overview">
<div id="counts" data-live>${counts(page)}</div>
<div id="chart" data-live>${page.chart}</div>
</section>
${filters(page)}
<section id="list" data-live aria-label="List of deliveries">${rows(page)}</section>`,
  })
}

export const amount = (number: number) => (number === 1 ? '1 delivery' : `${number} deliveries`)

const counts = ({ counts, given }: ListPage) =>
  html`<ul class="counts">${['queued', 'dispatched', 'running', 'failed'].map(
    state =>
      html`<li><a id="count-${state}" href="/${query({ state })}" class="count ${state}" ${given.state === state ? html`aria-current="true"` : ''}><strong>${counted(counts[state] ?? 0)}</strong> ${state}</a></li>`,
  )}</ul>`

function filters({ given, problem, session, live }: ListPage) {
  const value = (name: keyof GivenFilter) => given[name] ?? ''
  const since = value('since')
  const periods = Object.entries({
    ...SINCE,
    ...(since && !(since in SINCE) && { [since]: `since ${since}` }),
  })
  const isBulk = session.role === 'admin' && REDELIVERABLE.some(state => state === given.state)
  return html`<form class="filters" method="get" action="/" role="search" aria-label="Filter the deliveries">
${problem && html`<p class="problem" role="alert">${problem}</p>`}
<div><label for="state">State</label><select id="state" name="state"><option value="">any</option>${STATES.map(
    state => html`<option ${given.state === state ? html`selected` : ''}>${state}</option>`,
  )}</select></div>
<div><label for="repository">Repository</label><input id="repository" name="repository" value="${value('repository')}" placeholder="owner/name" autocapitalize="off" spellcheck="false"></div>
<div><label for="action">Action</label><input id="action" name="action" value="${value('action')}" autocapitalize="off" spellcheck="false"></div>
<div><label for="run_id">Run in Port</label><input id="run_id" name="run_id" value="${value('run_id')}" placeholder="r_…" autocapitalize="off" spellcheck="false"></div>
<div><label for="since">Received</label><select id="since" name="since"><option value="">at any time</option>${periods.map(
    ([time, label]) =>
      html`<option value="${time}" ${since === time ? html`selected` : ''}>${label}</option>`,
  )}</select></div>
${!live && html`<input type="hidden" name="live" value="off">`}
<div class="buttons"><button class="primary">Filter</button> <a class="button" href="/">Clear</a>
${isBulk && html`<a class="button" href="/redeliver${query({ ...given })}">Redeliver all that match…</a>`}</div>
</form>`
}

function rows(page: ListPage) {
  const { deliveries, next, given, before, live, now, people } = page
  const off = live ? null : 'off'
  return html`${
    deliveries.length === 0
      ? html`<p class="empty">${next === null ? 'No delivery matches.' : 'No delivery matches among those that were looked at.'}</p>`
      : html`<div class="headings" aria-hidden="true"><span>State</span><span>Action</span><span>Target</span><span>Who</span><span>Received</span></div>
<ol class="rows">${deliveries.map(each => row(each, people.get(each.id) ?? null, now))}</ol>`
  }
<p class="pages">${before !== undefined && html`<a id="newest" href="/${query({ ...given, live: off })}">Newest</a>`}
${next !== null && html`<a id="older" href="/${query({ ...given, before: next, live: off })}">Older</a>`}</p>`
}

const row = (d: Delivery, who: string | null, now: number) => html`<li class="${d.state}">
${badge(d)}
<a class="main" id="d-${d.seq}" href="/deliveries/${encodeURIComponent(d.id)}">${d.action ?? 'no action'}</a>
<span class="target">${d.repository} <span class="what">${d.workflow ?? d.eventType}${d.ref !== null && `@${d.ref}`}</span></span>
<span class="by"><span class="away">by </span>${who ?? '–'}</span>
<span class="age">${ago(d.receivedAt, now)}</span>
${d.reason !== null && html`<p class="reason">${d.reason}</p>`}
</li>`

/** The state, in words; what it waits for as well. */
export const badge = ({ state, waitingFor, cancelRequestedAt }: Delivery) =>
  html`<span class="state ${state}">${state}${waitingFor !== null && state === 'running' && ', waiting'}${cancelRequestedAt !== null && state !== 'cancelled' && ', cancelling'}</span>`
