import type { Context } from 'hono'
import { html } from 'hono/html'
import { isObject, type JsonObject } from '../../../port/types.ts'
import type { Delivery } from '../../delivery/delivery.ts'
import { Problem } from '../../http/problem.ts'
import type { Refusal, Refusals } from '../../http/refusals.ts'
import type { Filter, RateLimitPause, Store } from '../../store/store.ts'
import type { PortAccess } from '../../workers/port-access.ts'
import type { Session } from '../auth.ts'
import { type GivenFilter, givenIn, readFilter, readWhole } from '../filter.ts'
import { knownDelivery, MAX_REDELIVERED } from '../redelivery.ts'
import { deliveryPage } from './delivery-page.ts'
import { ago, at, counted, type Html, span } from './format.ts'
import type { Guard } from './guard.ts'
import { layout } from './layout.ts'
import { chart, listPage } from './list-page.ts'
import { timeline } from './timeline.ts'

export interface PagesDeps {
  organizations: string[]
  store: Pick<
    Store,
    | 'get'
    | 'list'
    | 'listedTo'
    | 'history'
    | 'clock'
    | 'invocation'
    | 'invocations'
    | 'counts'
    | 'hours'
    | 'waitingMessages'
  >
  port: Pick<PortAccess, 'canReport'>
  refusals: Refusals
  health: () => Promise<Health>
  steps: (delivery: Delivery) => Promise<Html>
  /** GitHub's pages. */
  serverUrl: string
  /** The page of a run in Port; null where it is not known. */
  portRunUrl: (runId: string) => string | null
}

const PAGE = 50
const DAY_MS = 86_400_000
/** Of larger ones, the list does not show who started them. */
const MAX_INVOCATION = 65_536

/** The pages that show what there is. */
export function addPages({ get }: Guard, deps: PagesDeps): void {
  const { organizations, store, refusals } = deps

  get('/', 'view', async (c, session) => {
    const given = givenIn(name => c.req.query(name))
    const [filter, problem] = tryFilter(given)
    const before = readWhole('before', c.req.query('before'), Number.MAX_SAFE_INTEGER)
    const now = store.clock()
    const options = { ...(before !== undefined && { before }), limit: PAGE }
    const deliveries = filter ? await store.list(filter, options) : []
    const isFull = deliveries.length === PAGE
    const [health, hours, counts, invocations, continued] = await Promise.all([
      deps.health(),
      store.hours(now - DAY_MS),
      store.counts(),
      store.invocations(
        deliveries.map(({ id }) => id),
        MAX_INVOCATION,
      ),
      isFull || !filter ? null : store.listedTo(filter, before),
    ])
    const users = [...invocations].map(([id, text]) => [id, whoIn(parse(text))] as const)
    return listPage({
      ...{ session, given, problem, before, counts, deliveries, now },
      live: isLive(c),
      redelivered: readWhole('redelivered', c.req.query('redelivered'), MAX_REDELIVERED) ?? null,
      banner: banner(health, now),
      chart: chart(hours, now),
      users: new Map(users.filter((entry): entry is [string, string] => entry[1] !== null)),
      next: isFull ? deliveries.at(-1)!.seq : continued,
    })
  })
  get('/deliveries/:id', 'view', async (c, session) => {
    const delivery = await knownDelivery(c, store)
    const [history, invocation, messages, health, steps] = await Promise.all([
      store.history(delivery.id),
      store.invocation(delivery.id),
      store.waitingMessages(delivery.id),
      deps.health(),
      c.req.query('steps') ? deps.steps(delivery) : null,
    ])
    const asked = parse(invocation)
    const from = typeof asked.targetFrom === 'string' ? asked.targetFrom : null
    return deliveryPage({
      ...{ session, delivery, messages, steps, live: isLive(c), now: store.clock() },
      timeline: timeline(delivery, history, from),
      who: whoIn(asked),
      isReported: deps.port.canReport(delivery),
      banner: banner(health, store.clock()),
      portUrl: delivery.runId === null ? null : deps.portRunUrl(delivery.runId),
      serverUrl: deps.serverUrl,
    })
  })
  get('/refused', 'view', (c, session) => {
    const { since } = refusals
    return refusedPage(session, { refused: refusals.list(1_000), since, now: store.clock(), live: isLive(c) })
  })

  /** @returns the filter, or why it is none */
  function tryFilter(given: GivenFilter): [Filter | null, string | null] {
    try {
      return [readFilter(given, organizations, store.clock()), null]
    } catch (error) {
      if (error instanceof Problem) return [null, error.message]
      throw error
    }
  }
}

const isLive = (c: Context) => c.req.query('live') !== 'off'

/** Names and addresses are in the dashboard alone. */
function whoIn({ trigger }: JsonObject): string | null {
  const by = isObject(trigger) && isObject(trigger.by) ? trigger.by : {}
  const who = by.name ?? by.email
  return typeof who === 'string' ? who : null
}

function parse(text: string | null): JsonObject {
  const value: unknown = text === null ? null : JSON.parse(text)
  return isObject(value) ? value : {}
}

/** Why webhooks were refused: what "Port says 401" is about. */
const refusedPage = (
  session: Session,
  { refused, since, now, live }: { refused: Refusal[]; since: number; now: number; live: boolean },
) =>
  layout({
    title: 'Refused webhooks',
    session,
    live: { on: live, toggle: live ? '/refused?live=off' : '/refused' },
    body: html`<h1>Refused webhooks</h1>
<p>What this relay has refused since ${at(since)}, when it was started; the same again is counted. Senders got these sentences as answers.</p>
<section id="list" data-live aria-label="List of refused webhooks">${
      refused.length === 0
        ? html`<p class="empty">No webhook was refused.</p>`
        : html`<ol class="plain refused">${refused.map(
            each => html`<li>
<p><span class="state failed">${each.status}</span> ${ago(each.lastAt, now)}${each.count > 1 && html`, <strong>${each.count} times</strong> since ${at(each.firstAt)}`}</p>
<p>${each.reason}</p>
<p class="quiet">from <code>${each.sender}</code>${each.repository !== null && html` for ${each.repository}`}</p>
</li>`,
          )}</ol>`
    }</section>`,
  })

/** What is known of the relay's sides. Times are milliseconds since 1970. */
export interface Health {
  /** Until when nothing is sent to GitHub, and why. */
  pauses: RateLimitPause[]
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
  const {
    pauses: gates,
    queued,
    dispatchDueSince,
    oldestMessage,
    portPausedUntil,
    portAccepts,
    tokenExpiresAt,
  } = health
  const waits = (since: number | null, atLeast: number) => since !== null && now - since >= atLeast
  const problems = [
    ...gates.map(
      ({ scope, reason, pausedUntil }) =>
        html`<strong>GitHub takes nothing${scope.startsWith('owner:') && ` for ${scope.slice('owner:'.length)}`} until ${at(pausedUntil)}:</strong> ${reason}. ${counted(queued)} queued.`,
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
