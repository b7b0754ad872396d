import { html } from 'hono/html'
import type { Stalled } from '../../delivery/delivery.ts'
import { OTHERS_FIRST } from '../../delivery/waiting.ts'
import type { RateLimitPause } from '../../github/rate-limit-pause.ts'
import { ownerOf } from '../../github/rate-limit-pause.ts'
import type { Refusals } from '../../http/refusals.ts'
import { SOON_MS } from '../../workers/maintenance.ts'
import type { SideProblem, Text } from '../sides.ts'
import { at, counted, type Html, span, withTimes } from './format.ts'

/** The banner's input. Times are milliseconds since 1970 by the store's clock. */
export interface Health {
  problems: readonly SideProblem[]
  isDatabaseOk: boolean
  limits: readonly RateLimitPause[]
  queued: number
  /** Queues from which nothing was dispatched for a minute, without a pause; the longest first. */
  stalled: readonly Stalled[]
  /** When the oldest queued delivery was queued; null if none is queued. */
  queuedSince: number | null
  /** When the oldest waiting message to Port was written; null if no message is waiting. */
  oldestMessage: number | null
  /** End of the pause for messages to Port; 0 if there is no pause. */
  portPausedUntil: number
  tokenExpiresAt: number | null
  clock: string | null
  refused: ReturnType<Refusals['recent']>
}

export const BACKLOG_MS = 60_000
const MESSAGES_MS = 120_000

/** Lists current problems and how to fix them. Empty without problems. */
export function banner(health: Health, now: number): Html {
  const { problems, limits, queued, queuedSince, oldestMessage, portPausedUntil } = health
  const { tokenExpiresAt, clock, refused } = health
  const waits = (since: number | null, atLeast: number) => since !== null && now - since >= atLeast
  const isExplained = {
    github: limits.length > 0 || problems.some(({ side }) => side === 'github'),
    port: portPausedUntil > now || problems.some(({ side }) => side === 'port'),
  }
  const inQueue = queued > 0 && html` ${counted(queued)} queued.`
  const items = [
    !health.isDatabaseOk &&
      html`<strong>The database (RELAY_DATABASE) doesn't accept writes.</strong> Webhooks are refused with 503.`,
    ...problems.map(
      problem =>
        html`<strong>${show(problem.text)}</strong>${problem.advice && ` ${problem.advice}`}${problem.side === 'github' ? inQueue : oldest()}`,
    ),
    ...limits.map(
      limit =>
        html`<strong>${limit.reason}${ownerOf(limit) && ` (${ownerOf(limit)})`}.</strong> Next request at ${at(limit.pausedUntil)}.${inQueue}`,
    ),
    portPausedUntil > now &&
      html`<strong>Port is rate limiting the relay.</strong> Next message at ${at(portPausedUntil)}.`,
    tokenExpiresAt !== null &&
      tokenExpiresAt - now < SOON_MS &&
      html`<strong>GITHUB_TOKEN ${tokenExpiresAt > now ? html`expires on ${at(tokenExpiresAt)}` : 'has expired'}.</strong> Set a new token.`,
    clock !== null && html`<strong>${withTimes(clock)}</strong>`,
    !isExplained.port &&
      waits(oldestMessage, MESSAGES_MS) &&
      html`<strong>Messages to Port are delayed.</strong>${oldest()} The relay's log has Port's responses.`,
    ...health.stalled.map(
      ({ id, runId, repository, reason, stalledSince }) =>
        html`<strong>Nothing was dispatched to ${repository} for ${span(now - stalledSince)}</strong>, because <a href="/deliveries/${encodeURIComponent(id)}">${runId ?? id}</a> waits: ${reason ?? OTHERS_FIRST}.`,
    ),
    !isExplained.github &&
      health.stalled.length === 0 &&
      waits(queuedSince, BACKLOG_MS) &&
      html`<strong>Dispatches are delayed.</strong>${inQueue} The oldest delivery has waited for ${span(now - (queuedSince ?? now))}. GitHub is slow or failing, or RELAY_DISPATCH_RATE is too low.`,
    refused.count > 0 &&
      html`<strong>${counted(refused.count)} ${refused.count === 1 ? 'webhook was' : 'webhooks were'} refused in the last hour</strong> (${refused.statuses.join(', ')}). ${refused.count > 1 && 'The last one: '}${refused.reason} <a href="/refused">Refused webhooks</a>`,
  ].filter(item => item !== false)
  if (items.length === 0) return html``
  return html`<ul class="banner" aria-label="Problems">${items.map(item => html`<li>${item}</li>`)}</ul>`

  function oldest() {
    return oldestMessage !== null && html` The oldest message has waited for ${span(now - oldestMessage)}.`
  }
}

const show = (text: Text) => text.map(part => (typeof part === 'string' ? part : at(part)))
