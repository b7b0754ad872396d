import { html } from 'hono/html'
import { ownerOf } from '../../github/rate-limit-pause.ts'
import { BACKLOG_MS, findProblems, type Health, MESSAGES_MS, PROBLEMS } from '../problems.ts'
import { NAMES } from '../sides.ts'
import { ago, at, counted, type Html, number, withTimes } from './format.ts'

/** The maximum number of lines about problems of one type, such as repositories without a runner. */
const MOST_LINES = 3

/** Lists the current problems, the worst first, and how to fix them. Omits the problems that the page at `path` lists. */
export function banner(health: Health, path: string): Html {
  const isListed = (page: string) => page === path && page !== '/status'
  const found = findProblems(health, 'banner').filter(({ type }) => !isListed(PROBLEMS[type].page))
  const shown = [...Map.groupBy(found, ({ type }) => type).values()].flatMap(all => all.slice(0, MOST_LINES))
  if (shown.length === 0) return html``
  return html`<ul class="banner" aria-label="Problems">${shown.map(({ type, text, advice, link }) => {
    const { severity, section } = PROBLEMS[type]
    return html`<li class="${severity}"><strong>${withTimes(text)}</strong>${advice && html` ${withTimes(advice)}`}${link && html` <a href="${link[0]}">${link[1]}</a>`} <a href="${RUNBOOK}#${section.toLowerCase()}">What to do</a></li>`
  })}</ul>`
}

export const RUNBOOK = 'https://github.com/org/port-webhook-action/blob/main/docs/runbook.md'

/** The colors of the states on the status page, as in the banner. */
const LOOKS = { ok: 'succeeded', off: '', active: 'dispatched', late: 'waiting', problem: 'failed' }

const ADDRESS = { relay: 'ok', unknown: 'off', failed: 'problem' } as const

/** Shows whether each part on which the relay depends works, and when the part last worked. */
export function statusTable(health: Health): Html {
  const { now, problems, limits, queued, queuedSince, rateLimitRemaining, oldestMessage, oldestReason } =
    health
  const database = health.database ?? health.outdated
  const row = (name: string, state: keyof typeof LOOKS, text: Html | string) =>
    html`<div><dt>${name} <span class="state ${LOOKS[state]}">${state}</span></dt><dd>${text}</dd></div>`
  const isLate = (since: number | null, ms: number) => since !== null && now - since >= ms
  const isPortUsed = health.sides.some(({ side }) => side === 'port')
  const limited = limits.map(
    limit =>
      html`${limit.reason}${ownerOf(limit) && ` (${ownerOf(limit)})`}: next request at ${at(limit.pausedUntil)}. `,
  )
  return html`<dl class="card">${health.sides.map(({ side, lastSuccess }) => {
    const found = problems.filter(each => each.side === side)
    const last =
      lastSuccess === null ? 'No request has succeeded yet.' : html`Last success ${ago(lastSuccess, now)}.`
    const state = found.length === 0 ? 'ok' : 'problem'
    return row(NAMES[side], state, html`${found.map(({ text }) => html`${withTimes(text)} `)}${last}`)
  })}
${row('Database', database === null ? 'ok' : 'problem', database ?? 'Accepts writes.')}
${health.isRead && row('Queue', health.stalled.length > 0 || isLate(queuedSince, BACKLOG_MS) ? 'late' : 'ok', html`${counted(queued)} queued${health.frozen > 0 && `, and ${counted(health.frozen)} frozen`}${queuedSince !== null && html`. The oldest due delivery has waited since ${at(queuedSince)}`}.`)}
${isPortUsed ? health.isRead && row('Messages to Port', oldestReason !== null || isLate(oldestMessage, MESSAGES_MS) ? 'late' : 'ok', oldestMessage === null ? 'No message is waiting.' : html`The oldest message has waited since ${at(oldestMessage)}.${oldestReason !== null && ` ${oldestReason}.`}`) : row('Port', 'off', "PORT_CLIENT_ID isn't set: the relay sends nothing to Port.")}
${health.address && row('Public address', ADDRESS[health.address.kind ?? 'unknown'], withTimes(health.address.text))}
${row('Deploy freezes', health.freezes.length > 0 ? 'active' : 'off', html`${health.freezes.length === 0 ? 'None.' : html`${health.freezes.map(({ repositories, since }) => html`${repositories} since ${at(since)}. `)}${health.isRead && html`${counted(health.frozen)} frozen.`}`}`)}
${row("GitHub's rate limit", limits.length > 0 ? 'active' : 'ok', html`${limited}${rateLimitRemaining !== null ? `${number(rateLimitRemaining)} requests left${limits.length > 0 ? ' in the hourly limit' : ''}.` : limits.length === 0 && 'Not known yet.'}`)}
</dl>`
}
