import { html } from 'hono/html'
import type { Listed, Stalled } from '../../delivery/delivery.ts'
import { describeWithoutRunner, OTHERS_FIRST } from '../../delivery/waiting.ts'
import { ownerOf, type RateLimitPause } from '../../github/rate-limit-pause.ts'
import { describeRefused, type Refusals } from '../../http/refusals.ts'
import type { Freeze } from '../../store/store.ts'
import { SOON_MS } from '../../workers/maintenance.ts'
import { NAMES, RESTART, type Side, type SideProblem, type Text } from '../sides.ts'
import { ago, amount, at, counted, type Html, number, span, withTimes } from './format.ts'

/** The banner's input. Times are milliseconds since 1970 by the store's clock. */
export interface Health {
  problems: readonly SideProblem[]
  /** The services that the relay uses, and the time of the last successful request to each service. */
  sides: readonly { side: Side; lastSuccess: number | null }[]
  /** Why the database doesn't accept writes; null if it does. */
  database: string | null
  /** What to do if a newer relay has upgraded the database; otherwise null. */
  outdated: string | null
  limits: readonly RateLimitPause[]
  rateLimitRemaining: number | null
  freezes: readonly Freeze[]
  /** Whether the database could be read. If not, the following numbers, lists, and times are empty. */
  isRead: boolean
  frozen: number
  queued: number
  /** Queues that aren't paused, but from which nothing was dispatched for a minute; the longest wait first. */
  stalled: readonly Stalled[]
  /** Deliveries whose workflow runs have waited too long for a runner, the longest wait first. */
  waiting: readonly Listed[]
  /** When the oldest queued delivery was queued; null for an empty queue. */
  queuedSince: number | null
  /** When the oldest waiting message to Port was written; null if no message is waiting. */
  oldestMessage: number | null
  /** The end of the pause for messages to Port; 0 without a pause. */
  portPausedUntil: number
  tokenExpiresAt: number | null
  clock: string | null
  refused: ReturnType<Refusals['recent']>
}

export const RUN_AGAIN = 'Afterwards, run the Port actions of refused webhooks again.'
export const BACKLOG_MS = 60_000
/** The maximum number of lines about stalled queues, and about repositories without a runner. */
export const MOST_LINES = 3
const MESSAGES_MS = 120_000
const isLate = (since: number | null, ms: number, now: number) => since !== null && now - since >= ms

/** An outage, a problem that an operator must fix, or a wait that ends by itself. `section`: the section of docs/runbook.md. */
type Item = false | [severity: 'outage' | 'warning' | 'note', section: string, text: Html]

/** Lists the current problems, the worst first, and how to fix them. Omits the problems that the page at `path` lists. */
export function banner(health: Health, now: number, path: string): Html {
  const { problems, limits, queued, queuedSince, oldestMessage, portPausedUntil } = health
  const { tokenExpiresAt, clock, refused } = health
  const [title, details] = describeRefused(refused, now)
  // If the database or GitHub is unavailable, nothing is dispatched.
  const isDown =
    health.database !== null || problems.some(({ type, side }) => type === 'unreachable' && side === 'github')
  const isExplained = {
    github: isDown || limits.length > 0 || problems.some(({ side }) => side === 'github'),
    port: portPausedUntil > now || problems.some(({ side }) => side === 'port'),
  }
  const inQueue = queued > 0 && html` ${counted(queued)} queued.`
  const oldest =
    oldestMessage !== null && html` The oldest message has waited for ${span(now - oldestMessage)}.`
  const items: Item[] = [
    health.database !== null && [
      'outage',
      'PortRelayDatabaseUnavailable',
      html`<strong>${health.database}</strong> Webhooks are refused with 503.${inQueue} ${RUN_AGAIN}`,
    ],
    health.outdated !== null && ['warning', 'Health', html`<strong>${health.outdated}</strong>`],
    ...problems.map(
      ({ type, side, text, advice }): Item => [
        'outage',
        type === 'unreachable' ? 'PortRelayUnreachable' : 'PortRelayCredentialRejected',
        html`<strong>${show(text)}</strong>${advice && ` ${advice}`}${side === 'github' ? inQueue : oldest}`,
      ],
    ),
    clock !== null && ['outage', 'PortRelayClockOff', html`<strong>${withTimes(clock)}</strong>`],
    tokenExpiresAt !== null &&
      tokenExpiresAt - now < SOON_MS && [
        'warning',
        'PortRelayTokenExpires',
        html`<strong>GITHUB_TOKEN ${tokenExpiresAt > now ? html`expires on ${at(tokenExpiresAt)}` : 'has expired'}.</strong> Set a new token. ${RESTART}`,
      ],
    !isExplained.port &&
      isLate(oldestMessage, MESSAGES_MS, now) && [
        'warning',
        'PortRelayMessagesWait',
        html`<strong>Messages to Port are delayed.</strong>${oldest} The relay's log shows Port's responses.`,
      ],
    ...(isDown ? [] : health.stalled).map(
      ({ id, runId, repository, reason, stalledSince }): Item => [
        'warning',
        'PortRelayQueueStalled',
        html`<strong>Nothing was dispatched to ${repository} for ${span(now - stalledSince)}</strong>, because <a href="/deliveries/${encodeURIComponent(id)}">${runId ?? id}</a> waits: ${reason ?? OTHERS_FIRST}.${reason !== null && html` If this delivery isn't needed, cancel it.`}`,
      ],
    ),
    !isExplained.github &&
      health.stalled.length === 0 &&
      isLate(queuedSince, BACKLOG_MS, now) && [
        'warning',
        'PortRelayQueueIsOld',
        html`<strong>Dispatches are delayed.</strong>${inQueue} The oldest delivery has waited for ${span(now - (queuedSince ?? now))}. GitHub is slow or failing, or RELAY_DISPATCH_RATE is too low.`,
      ],
    // Without writes, the relay doesn't poll, so the listed runs may have a runner by now.
    ...describeWithoutRunner(health.database === null ? health.waiting : [])
      .slice(0, MOST_LINES)
      .map(({ text }): Item => ['warning', 'PortRelayNoRunner', html`<strong>${withTimes(text)}</strong>`]),
    refused.count > 0 &&
      path !== '/refused' && [
        'warning',
        'PortRelayWebhooksRefused',
        html`<strong>${withTimes(title)}</strong> <span class="more">${details}</span> <a href="/refused">Refused webhooks</a>`,
      ],
    health.freezes.length > 0 &&
      path !== '/freezes' && [
        'note',
        'PortRelayFrozen',
        html`<strong>Frozen: ${health.freezes.map(({ repositories, reason }) => `${repositories} (${reason})`).join(', ')}.</strong>${health.isRead && ` ${amount(health.frozen)} frozen.`} <a href="/freezes">Freezes</a>`,
      ],
    ...limits.map(
      (limit): Item => [
        'note',
        'PortRelayPaused',
        html`<strong>${limit.reason}${ownerOf(limit) && ` (${ownerOf(limit)})`}.</strong> Next request at ${at(limit.pausedUntil)}.${inQueue}`,
      ],
    ),
    portPausedUntil > now && [
      'note',
      'PortRelayPaused',
      html`<strong>Port is rate limiting the relay.</strong> Next message at ${at(portPausedUntil)}.`,
    ],
  ]
  const shown = items.filter(item => item !== false)
  if (shown.length === 0) return html``
  return html`<ul class="banner" aria-label="Problems">${shown.map(
    ([severity, section, text]) =>
      html`<li class="${severity}">${text} <a href="${RUNBOOK}#${section.toLowerCase()}">What to do</a></li>`,
  )}</ul>`
}

export const RUNBOOK = 'https://github.com/org/port-webhook-action/blob/main/docs/runbook.md'

/** The colors of the states on the status page, as in the banner. */
const LOOKS = { ok: 'succeeded', off: '', active: 'dispatched', late: 'waiting', problem: 'failed' }

/** For each part that the relay depends on, shows whether the part works, and when it last worked. */
export function statusTable(health: Health, now: number): Html {
  const { problems, limits, queued, queuedSince, rateLimitRemaining, oldestMessage } = health
  const database = health.database ?? health.outdated
  const row = (name: string, state: keyof typeof LOOKS, text: Html | string) =>
    html`<div><dt>${name} <span class="state ${LOOKS[state]}">${state}</span></dt><dd>${text}</dd></div>`
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
    return row(NAMES[side], state, html`${found.map(({ text }) => html`${show(text)} `)}${last}`)
  })}
${row('Database', database === null ? 'ok' : 'problem', database ?? 'Accepts writes.')}
${health.isRead && row('Queue', health.stalled.length > 0 || isLate(queuedSince, BACKLOG_MS, now) ? 'late' : 'ok', html`${counted(queued)} queued${queuedSince !== null && html`. The oldest due delivery has waited since ${at(queuedSince)}`}.`)}
${isPortUsed ? health.isRead && row('Messages to Port', isLate(oldestMessage, MESSAGES_MS, now) ? 'late' : 'ok', oldestMessage === null ? 'No message is waiting.' : html`The oldest message has waited since ${at(oldestMessage)}.`) : row('Port', 'off', "PORT_CLIENT_ID isn't set: the relay sends nothing to Port.")}
${row('Deploy freezes', health.freezes.length > 0 ? 'active' : 'off', html`${health.freezes.length === 0 ? 'None.' : html`${health.freezes.map(({ repositories, since }) => html`${repositories} since ${at(since)}. `)}${health.isRead && html`${counted(health.frozen)} frozen.`}`}`)}
${row("GitHub's rate limit", limits.length > 0 ? 'active' : 'ok', html`${limited}${rateLimitRemaining !== null ? `${number(rateLimitRemaining)} requests left.` : limits.length === 0 && 'Not known yet.'}`)}
</dl>`
}

const show = (text: Text) => text.map(part => (typeof part === 'string' ? part : at(part)))
