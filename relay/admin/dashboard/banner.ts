import { html } from 'hono/html'
import type { Gate } from '../../store/store.ts'
import { at, counted, span } from './format.ts'

/** What is known of the relay's sides. Times are milliseconds since 1970. */
export interface Health {
  /** Until when nothing is sent to GitHub, and why. */
  gates: Gate[]
  queued: number
  /** Since when the oldest dispatch that could be sent waits. */
  dispatchDueSince: number | null
  /** When the oldest message that waits for Port was written. */
  oldestMessage: number | null
  /** Until when nothing is sent to Port; 0 for not paused. */
  portPausedUntil: number
  /** Whether Port accepts the relay's credentials; null where it is not known, or there are none. */
  portAccepts: boolean | null
  /** When GITHUB_TOKEN expires, where GitHub said so. */
  tokenExpiresAt: number | null
}

const BACKLOG_MS = 60_000
const PORT_AWAY_MS = 120_000
const EXPIRY_MS = 14 * 86_400_000

/** What is wrong now: a limit, a credential, Port away, a backlog. Nothing where all is well. */
export function banner(health: Health, now: number) {
  const { gates, queued, dispatchDueSince, oldestMessage, portPausedUntil, portAccepts, tokenExpiresAt } =
    health
  const waits = (since: number | null, atLeast: number) => since !== null && now - since >= atLeast
  const problems = [
    ...gates.map(
      ({ scope, reason, closedUntil }) =>
        html`<strong>GitHub takes nothing${scope.startsWith('owner:') && ` for ${scope.slice('owner:'.length)}`} until ${at(closedUntil)}:</strong> ${reason}. ${counted(queued)} queued.`,
    ),
    portAccepts === false &&
      html`<strong>Port rejects the relay's credentials:</strong> correct PORT_CLIENT_ID and PORT_CLIENT_SECRET. Messages to Port wait.`,
    portPausedUntil > now &&
      html`<strong>Port limits the relay:</strong> nothing is sent to it until ${at(portPausedUntil)}.`,
    tokenExpiresAt !== null &&
      tokenExpiresAt - now < EXPIRY_MS &&
      html`<strong>GITHUB_TOKEN ${tokenExpiresAt > now ? html`expires on ${at(tokenExpiresAt)}` : 'has expired'}:</strong> give the relay a new one.`,
    waits(oldestMessage, PORT_AWAY_MS) &&
      html`<strong>Messages to Port wait:</strong> the oldest for ${span(now - oldestMessage!)}. Port is away, or takes less than is sent; the relay's log shows its answers.`,
    gates.length === 0 &&
      waits(dispatchDueSince, BACKLOG_MS) &&
      html`<strong>Dispatches are behind:</strong> ${counted(queued)} queued, the oldest that could be sent for ${span(now - dispatchDueSince!)}. RELAY_DISPATCH_RATE may be too low, or GitHub slow.`,
  ].filter(problem => problem !== false)
  if (problems.length === 0) return html``
  return html`<ul class="banner" aria-label="Problems">${problems.map(problem => html`<li>${problem}</li>`)}</ul>`
}
