import { html } from 'hono/html'
import type { DeliveryRun, Listed, Outcome } from '../../delivery/delivery.ts'
import { OPEN_STATES, OUTCOMES, REDELIVERABLE } from '../../delivery/delivery.ts'
import { boundRun } from '../../delivery/match.ts'
import { type Shown, WAITS } from '../../delivery/shown-wait.ts'
import type { Hour } from '../../store/store.ts'
import { FILTERS, type GivenFilter, isBulk } from '../filter.ts'
import type { Session } from '../sessions.ts'
import { ago, amount, at, counted, type Html, link, number, query, span, withTimes } from './format.ts'
import type { Page } from './layout.ts'

export interface ListPage {
  session: Session
  given: GivenFilter
  problem: string | null
  isOldestFirst: boolean
  /** The `seq` after which the page starts; undefined for the first page. */
  from: number | undefined
  live: boolean
  redelivered: number | null
  chart: Html
  counts: Record<string, number>
  outcomes: Record<Outcome, number>
  deliveries: Shown[]
  users: ReadonlyMap<string, string | null>
  next: number | null
  webhookUrl: string
  portRunUrl: (runId: string) => string | null
  serverUrl: string
  now: number
}

const SINCE = { '1h': 'last hour', '24h': 'last 24 hours', '7d': 'last 7 days' }

export function listPage(page: ListPage): Page {
  const { session, live } = page
  return {
    title: 'Deliveries',
    session,
    live: { on: live, toggle: `/${query({ ...listFrom(page, page.from), live: live ? 'off' : null })}` },
    body: html`<h1 class="away">Deliveries</h1>
${page.redelivered !== null && html`<p class="notice" role="status">${amount(page.redelivered)} queued again.</p>`}
<section class="overview" aria-label="Overview">
<nav id="tabs" data-live aria-label="State and outcome">${tabs(page)}</nav>
<div id="chart" data-live>${page.chart}</div>
</section>
${filters(page)}
<section id="list" data-live aria-label="List of deliveries">${rows(page)}</section>`,
  }
}

/** Returns the parameters of a page with the same filter and order, but another start. */
const listFrom = ({ given, isOldestFirst, live }: ListPage, from?: number) => ({
  ...given,
  ...(isOldestFirst ? { order: 'oldest', after: from } : { before: from }),
  live: live ? null : 'off',
})

const words = (value: string) => value.replace('_', ' ').replace('cancelled', 'canceled')

const FIELDS = FILTERS.filter(name => name !== 'state' && name !== 'outcome')

/** Describes a filter, for example `repository acme/shop, in the last hour`. */
export const filterText = (given: GivenFilter, names: readonly (keyof GivenFilter)[] = FILTERS) =>
  names.flatMap(name => (given[name] ? [term(name, given[name])] : [])).join(', ')

function term(name: keyof GivenFilter, value: string): string {
  if (name === 'since' && value in SINCE) return `in the ${SINCE[value as keyof typeof SINCE]}`
  if (name === 'q') return `contains "${value}"`
  return `${name === 'run_id' ? 'run' : name} ${name === 'outcome' ? words(value) : value}`
}

/** Returns one tab for each open state and each outcome. The tabs show counts if no other filter is set. */
function tabs(page: ListPage) {
  const { counts, outcomes, given } = page
  const isNarrowed = FIELDS.some(name => given[name])
  const tab = (name: 'state' | 'outcome', value: string, amount: number | null) => {
    const isCurrent = value === '' ? !given.state && !given.outcome : given[name] === value
    const address = query({ ...listFrom(page), state: null, outcome: null, [name]: value })
    return html`<a id="${name}-${value || 'all'}" href="/${address}" class="tab ${amount !== 0 && value}" ${isCurrent ? html`aria-current="true"` : ''}>${amount !== null && !isNarrowed && html`<strong>${counted(amount)}</strong> `}${words(value) || 'all'}</a>`
  }
  return html`${tab('state', '', null)}
${OPEN_STATES.map(state => tab('state', state, counts[state] ?? 0))}
${OUTCOMES.map(outcome => tab('outcome', outcome, outcomes[outcome]))}`
}

function filters({ given, problem, deliveries, session, live, isOldestFirst }: ListPage) {
  const since = given.since ?? ''
  const other = since && !(since in SINCE) && { [since]: `since ${since}` }
  const periods = Object.entries({ ...SINCE, ...other })
  const { q, since: _, ...rest } = given
  const kept = { ...rest, live: live ? undefined : 'off' }
  const others = (['repository', 'action', 'run_id'] as const).filter(name => given[name])
  return html`<form class="filters" method="get" action="/" role="search" aria-label="Search the deliveries">
<label class="away" for="q">Search</label><input id="q" name="q" type="search" value="${given.q ?? ''}" placeholder="ID, repository, or action" autocapitalize="off" spellcheck="false">
<label class="away" for="since">Received</label><select id="since" name="since"><option value="">at any time</option>${periods.map(
    ([time, label]) =>
      html`<option value="${time}" ${since === time ? html`selected` : ''}>${label}</option>`,
  )}</select>
<label class="away" for="order">Order</label><select id="order" name="order"><option value="">newest first</option><option value="oldest" ${isOldestFirst ? html`selected` : ''}>oldest first</option></select>
${Object.entries(kept).map(([name, kept]) => kept && html`<input type="hidden" name="${name}" value="${kept}">`)}
<button>Search</button>${(filterText(given) || isOldestFirst) && html` <a class="button" href="/">Clear</a>`}
${others.length > 0 && html`<p>${filterText(given, others)}</p>`}
${problem && html`<p class="problem" role="alert">${problem}</p>`}
</form>
${session.role === 'admin' && isBulk(given) && deliveries.some(({ state }) => REDELIVERABLE.includes(state)) && html`<p class="bulk"><a class="button" href="/redeliver${query({ ...given })}">Redeliver all that match…</a></p>`}
${given.outcome === 'failed' && RERUN}`
}

export const RERUN = html`<p class="quiet">The relay doesn't redeliver after a failed workflow run: re-run the workflow on GitHub, or start the action in Port again.</p>`

function rows(page: ListPage) {
  const { deliveries, next, from, isOldestFirst } = page
  return html`${
    deliveries.length === 0
      ? nothing(page)
      : html`<div class="headings" aria-hidden="true"><span>State or outcome</span><span>Action</span><span>Target</span><span>Runs</span><span>Who</span><span>Took</span><span>Received</span></div>
<ol class="rows">${deliveries.map(each => row(each, page))}</ol>`
  }
<p class="pages">${from !== undefined && html`<a id="first" href="/${query(listFrom(page))}">${isOldestFirst ? 'Oldest' : 'Newest'}</a>`}
${next !== null && html`<a id="next" href="/${query(listFrom(page, next))}">${isOldestFirst ? 'Newer' : 'Older'}</a>`}</p>`
}

function nothing({ given, problem, from, next, webhookUrl }: ListPage) {
  const filter = filterText(given)
  if (problem)
    return html`<p class="empty">The filter isn't valid. <a id="clear" href="/">Clear the filter</a></p>`
  if (filter || from !== undefined)
    return html`<p class="empty">No delivery matches${filter && html`: <strong>${filter}</strong>`}${next !== null && ', among the deliveries searched so far'}. <a id="clear" href="/">${filter ? 'Clear the filter' : 'All deliveries'}</a></p>`
  return html`<div class="empty"><p>No webhook has been accepted yet. Use this URL as the webhook of an action in Port:</p>
<p><code data-copy>${webhookUrl}</code></p>
<p>Or send a test webhook:</p>
<p><code data-copy>npx port-webhook-relay send --action NAME</code></p></div>`
}

function row(d: Shown, { users, now, portRunUrl, serverUrl }: ListPage) {
  const who = users.get(d.id)
  const run = boundRun(d)
  return html`<li class="${d.outcome || d.state}">
${badge(d)}
<a class="main" id="d-${d.seq}" href="/deliveries/${encodeURIComponent(d.id)}">${d.action ?? 'no action'}</a>
<span class="target">${d.repository} <span class="what">${d.workflow ?? d.eventType}${d.ref !== null && `@${d.ref}`}</span></span>
<span class="links">${d.runId !== null && html`${link(portRunUrl(d.runId), d.runId)} `}${run && link(runUrl(d, run, serverUrl), 'GitHub')}</span>
<span class="by">${who && html`<span class="away">by </span>${who}`}</span>
<span class="took">${d.outcome && d.dispatchedAt !== null && html`<span class="away">took </span>${span(d.updatedAt - d.queuedAt)}`}</span>
<span class="age">${ago(d.receivedAt, now)}</span>
${reason(d)}
</li>`
}

export const runUrl = ({ repository }: Listed, run: DeliveryRun, serverUrl: string) =>
  run.url || `${serverUrl}/${repository}/actions/runs/${run.id}`

export function reason({ outcome, reason, waits, blocker, frozenBy, runs }: Shown) {
  const text = outcome ? reason : waits
  if (!text) return ''
  const url = / behind (https?:\S+)$/.exec(text)?.[1]
  const [end, href] = blocker
    ? [blocker.runId ?? blocker.id, `/deliveries/${encodeURIComponent(blocker.id)}`]
    : [url, url]
  const shown =
    end && text.endsWith(end)
      ? html`${text.slice(0, -end.length)}<a href="${href}">${end}</a>`
      : withTimes(text)
  const page = boundRun({ runs })?.url
  const cure = text.startsWith(WAITS.runner)
    ? '. If this lasts, start a runner with the labels in runs-on, or correct runs-on.'
    : text.startsWith(WAITS.approval) && page && html`. <a href="${page}">Review it on GitHub</a>`
  return html`<p class="reason ${!outcome && reason !== null && frozenBy === 0 && 'late'}">${shown}${!outcome && cure}</p>`
}

export const badge = ({ state, outcome, cancelRequestedAt, frozenBy, waits }: Shown) => {
  const isWaiting = state === 'running' && waits !== null
  return html`<span class="state ${isWaiting ? 'waiting' : outcome || state}">${words(outcome || state)}${isWaiting && ', waiting'}${frozenBy > 0 && state === 'queued' && ', frozen'}${cancelRequestedAt !== null && !outcome && ', being canceled'}</span>`
}

const HOURS = 24
const NOTHING = { accepted: 0, succeeded: 0, failed: 0, cancelled: 0, not_started: 0, unknown: 0 }
const HOUR_MS = 3_600_000
const [WIDTH, HEIGHT, STEP] = [240, 32, 240 / HOURS]

export function chart(given: readonly Hour[], now: number) {
  const hours = Array.from({ length: HOURS }, (_, i) => {
    const hour = (Math.floor(now / HOUR_MS) - HOURS + 1 + i) * HOUR_MS
    return given.find(each => each.hour === hour) ?? { hour, ...NOTHING }
  })
  const sum = (of: 'accepted' | Outcome) => hours.reduce((all, each) => all + each[of], 0)
  const most = Math.max(1, ...hours.map(each => Math.max(each.accepted, notDone(each))))
  const bar = (kind: string, i: number, amount: number) => {
    const height = amount && Math.max(2, (amount / most) * (HEIGHT - 2))
    return html`<rect class="${kind}" x="${i * STEP + 1}" y="${(HEIGHT - height).toFixed(1)}" width="${STEP - 2}" height="${height.toFixed(1)}" rx="1.5"></rect>`
  }
  return html`<details class="chart"><summary>
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" aria-hidden="true" focusable="false">
<line class="base" x1="0" y1="${HEIGHT - 0.5}" x2="${WIDTH}" y2="${HEIGHT - 0.5}"></line>
${hours.map((each, i) => html`${bar('accepted', i, each.accepted)}${bar('failed', i, notDone(each))}`)}
</svg>
${number(sum('accepted'))} in 24 h: ${number(sum('failed'))} failed, ${number(sum('not_started'))} not started</summary>
<table><caption class="away">Deliveries of the last 24 hours, by hour</caption>
<thead><tr><th scope="col">Hour</th><th scope="col">accepted</th>${OUTCOMES.map(each => html`<th scope="col">${words(each)}</th>`)}</tr></thead>
<tbody>${hours
    .toReversed()
    .map(
      each =>
        html`<tr><th scope="row">${at(each.hour)}</th><td>${each.accepted}</td>${OUTCOMES.map(of => html`<td>${each[of]}</td>`)}</tr>`,
    )}</tbody></table>
</details>`
}

const notDone = ({ failed, not_started }: Hour) => failed + not_started
