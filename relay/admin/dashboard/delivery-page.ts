import { html } from 'hono/html'
import { type Listed, OPEN_STATES, REDELIVERABLE } from '../../delivery/delivery.ts'
import { boundRun } from '../../delivery/match.ts'
import type { Shown } from '../../delivery/shown-wait.ts'
import type { WaitingMessages } from '../../store/store.ts'
import type { Session } from '../sessions.ts'
import { ago, at, type Html, id, link, query, span, withTimes } from './format.ts'
import type { Page } from './layout.ts'
import { badge, RERUN, reason, runUrl } from './list-page.ts'
import { durations, type Step } from './timeline.ts'

export interface DeliveryPage {
  session: Session
  delivery: Shown
  timeline: Step[]
  who: string | null
  messages: WaitingMessages | null
  isReported: boolean
  steps: Html | null
  portUrl: string | null
  serverUrl: string
  live: boolean
  now: number
}

export function deliveryPage(page: DeliveryPage): Page {
  const { session, delivery, live } = page
  const path = `/deliveries/${encodeURIComponent(delivery.id)}`
  const steps = page.steps === null ? null : 1
  return {
    title: `${delivery.action ?? 'Delivery'} to ${delivery.repository}`,
    session,
    live: { on: live, toggle: `${path}${query({ live: live ? 'off' : null, steps })}` },
    body: html`<p class="back"><a id="back" href="/">Back to the deliveries</a></p>
<div class="overview"><h1 id="list">${delivery.action ?? 'Delivery'} <span class="target">to ${delivery.repository}</span></h1>
${session.role === 'admin' && html`<div id="actions" data-live class="buttons">${actions(delivery, path)}</div>`}</div>
<div id="facts" data-live class="card">${facts(page)}</div>
<h2>Timeline</h2>
<div id="timeline" data-live>${timelineOf(page)}
${page.steps ?? (boundRun(delivery) && html`<p><a id="steps" href="${path}${query({ steps: 1, live: live ? null : 'off' })}">Show the steps of the workflow run</a></p>`)}
</div>`,
  }
}

const fact = (name: string, value: Html | string | null) =>
  value === null || value === '' ? '' : html`<div><dt>${name}</dt><dd>${value}</dd></div>`

function facts(page: DeliveryPage) {
  const { delivery: d, who, portUrl, serverUrl, now } = page
  const run = boundRun(d)
  return html`<p class="lead">${badge(d)} ${durations(d)}</p>
<div class="${d.outcome || d.state}">${reason(d)}</div>
${d.outcome === 'failed' && RERUN}
<dl>
${fact('Received', html`${ago(d.receivedAt, now)}, ${at(d.receivedAt)}`)}
${fact('Started by', who)}
${fact('Run in Port', d.runId === null ? 'none' : id(link(portUrl, d.runId)))}
${fact('Repository', link(`${serverUrl}/${d.repository}`, d.repository))}
${fact('Event type', d.eventType)}
${fact('Workflow', d.workflow)}
${fact('Ref', d.ref)}
${fact('Workflow run', run ? id(link(runUrl(d, run, serverUrl), String(run.id))) : null)}
${fact('Attempts', String(d.attempts))}
${fact('Messages to Port', sent(page))}
${fact('Delivery', id(d.id))}
</dl>`
}

function sent({ messages, isReported, delivery, now }: DeliveryPage): string {
  if (!isReported)
    return `none: ${delivery.runId === null ? 'the delivery has no run in Port' : "PORT_CLIENT_ID isn't set"}`
  if (messages === null) return 'all sent'
  const { amount, attempts, dueAt, reason } = messages
  const waiting = amount === 1 ? '1 waits' : `${amount} wait`
  if (attempts === 0) return `${waiting} to be sent`
  return `${waiting}: Port accepted no message in ${attempts} ${attempts === 1 ? 'attempt' : 'attempts'}${dueAt > now ? `, next attempt in ${span(dueAt - now)}` : ''}${reason === null ? '' : `. ${reason}`}`
}

function actions({ state, cancelRequestedAt }: Listed, path: string) {
  const isCancellable = OPEN_STATES.includes(state) && cancelRequestedAt === null
  return html`${REDELIVERABLE.includes(state) && html`<a id="redeliver" class="button" href="${path}/redeliver">Redeliver…</a>`}
${isCancellable && html`<a id="cancel" class="button danger" href="${path}/cancel">Cancel…</a>`}`
}

const timelineOf = ({ timeline }: DeliveryPage) =>
  html`<ol class="timeline">${timeline.map(
    ({ at: time, title, lines, tone }) => html`<li class="${time === null ? 'todo' : tone}">
<div class="when">${time === null ? 'to come' : at(time)}</div>
<div><h3>${title}</h3>${lines.map(line => html`<p>${withTimes(line)}</p>`)}</div>
</li>`,
  )}</ol>`
