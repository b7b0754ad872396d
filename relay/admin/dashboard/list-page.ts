import { html } from 'hono/html'
import {
  type Delivery,
  OPEN_STATES,
  OUTCOMES,
  type Outcome,
  REDELIVERABLE,
  STATES,
} from '../../delivery/delivery.ts'
import type { Hour } from '../../store/store.ts'
import type { Session } from '../auth.ts'
import type { GivenFilter } from '../filter.ts'
import { ago, counted, type Html, query } from './format.ts'
import { layout } from './layout.ts'

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
  outcomes: Record<Outcome, number>
  deliveries: Delivery[]
  /** Who started each, by id. */
  users: ReadonlyMap<string, string>
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

/** What an outcome is called on the pages. */
const outcomeText = (outcome: Outcome) => outcome.replace('_', ' ')

const counts = ({ counts, outcomes, given }: ListPage) => {
  const tab = (name: 'state' | 'outcome', value: string, amount: number) =>
    html`<li><a id="${name}-${value}" href="/${query({ [name]: value })}" class="count ${value}" ${given[name] === value ? html`aria-current="true"` : ''}><strong>${counted(amount)}</strong> ${value.replace('_', ' ')}</a></li>`
  return html`<ul class="counts">
${OPEN_STATES.map(state => tab('state', state, counts[state] ?? 0))}
${OUTCOMES.map(outcome => tab('outcome', outcome, outcomes[outcome]))}</ul>`
}

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
<div><label for="outcome">Outcome</label><select id="outcome" name="outcome"><option value="">any</option>${OUTCOMES.map(
    outcome =>
      html`<option value="${outcome}" ${given.outcome === outcome ? html`selected` : ''}>${outcomeText(outcome)}</option>`,
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
  const { deliveries, next, given, before, live, now, users: people } = page
  const off = live ? null : 'off'
  return html`${
    deliveries.length === 0
      ? html`<p class="empty">${next === null ? 'No delivery matches.' : 'No delivery matches among those that were read.'}</p>`
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

/** The outcome, or the state while it is open. */
export const badge = ({ state, outcome, waitingFor, cancelRequestedAt }: Delivery) =>
  html`<span class="state ${outcome || state}">${outcome ? outcomeText(outcome) : state}${waitingFor !== null && state === 'running' && ', waiting'}${cancelRequestedAt !== null && !outcome && ', cancelling'}</span>`

const HOURS = 24
const NOTHING = { accepted: 0, succeeded: 0, failed: 0, cancelled: 0, not_started: 0, unknown: 0 }
const HOUR_MS = 3_600_000
const [WIDTH, HEIGHT] = [480, 72]
const STEP = WIDTH / HOURS

/** The last 24 hours: accepted and failed deliveries. */
export function chart(given: readonly Hour[], now: number) {
  const last = Math.floor(now / HOUR_MS)
  const hours = Array.from({ length: HOURS }, (_, i) => {
    const hour = (last - HOURS + 1 + i) * HOUR_MS
    return given.find(each => each.hour === hour) ?? { hour, ...NOTHING }
  })
  const sum = (of: 'accepted' | Outcome) => hours.reduce((all, each) => all + each[of], 0)
  const most = Math.max(1, ...hours.map(({ accepted, failed }) => Math.max(accepted, failed)))
  const high = (amount: number) => (amount === 0 ? 0 : Math.max(2, (amount / most) * (HEIGHT - 4)))
  const bar = (kind: string, i: number, amount: number, inset: number) => {
    const height = high(amount)
    return html`<rect class="${kind}" x="${(i * STEP + inset).toFixed(1)}" y="${(HEIGHT - height).toFixed(1)}" width="${(STEP - 2 * inset).toFixed(1)}" height="${height.toFixed(1)}" rx="1.5"></rect>`
  }
  const summary = `Last 24 hours: ${sum('accepted')} accepted, ${OUTCOMES.map(each => `${sum(each)} ${outcomeText(each)}`).join(', ')}.`
  return html`<figure class="chart">
<figcaption>${summary}</figcaption>
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" aria-hidden="true" focusable="false">
<line class="base" x1="0" y1="${HEIGHT - 0.5}" x2="${WIDTH}" y2="${HEIGHT - 0.5}"></line>
${hours.map(({ accepted, failed }, i) => html`${bar('accepted', i, accepted, 2.5)}${failed > 0 ? bar('failed', i, failed, 2.5) : ''}`)}
</svg>
<p class="legend"><span class="key accepted"></span> accepted <span class="key failed"></span> failed <span class="axis">from 24 h ago to now</span></p>
<details><summary>Each hour</summary>
<table><caption class="away">Deliveries of the last 24 hours, by hour</caption>
<thead><tr><th scope="col">Hour (UTC)</th><th scope="col">accepted</th>${OUTCOMES.map(each => html`<th scope="col">${outcomeText(each)}</th>`)}</tr></thead>
<tbody>${hours
    .toReversed()
    .map(
      each =>
        html`<tr><th scope="row">${new Date(each.hour).toISOString().slice(0, 13).replace('T', ' ')}:00</th><td>${each.accepted}</td>${OUTCOMES.map(of => html`<td>${each[of]}</td>`)}</tr>`,
    )}</tbody></table></details>
</figure>`
}
