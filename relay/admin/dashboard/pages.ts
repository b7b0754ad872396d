import type { Context, Hono } from 'hono'
import { html } from 'hono/html'
import { isObject, type JsonObject } from '../../../port/types.ts'
import { LIMITS } from '../../config/limits.ts'
import type { Listed } from '../../delivery/delivery.ts'
import type { Shown } from '../../delivery/shown-wait.ts'
import { Problem } from '../../http/problem.ts'
import type { Refusals } from '../../http/refusals.ts'
import type { RouteDeps } from '../../route-deps.ts'
import type { Filter } from '../../store/store.ts'
import { type GivenFilter, givenIn, readFilter, readWhole } from '../filter.ts'
import type { HealthReader } from '../health.ts'
import { knownDelivery, type Redelivery } from '../redelivery.ts'
import type { Session } from '../sessions.ts'
import { banner, RUNBOOK, statusTable } from './banner.ts'
import { addChanges } from './changes.ts'
import { deliveryPage } from './delivery-page.ts'
import { ago, at, type Html } from './format.ts'
import { addFreezes } from './freeze-page.ts'
import { createGuard, type Guard, type GuardDeps, SECURITY } from './guard.ts'
import { ICON, STYLE } from './layout.ts'
import { chart, listPage } from './list-page.ts'
import { SCRIPT } from './script.ts'
import { timeline } from './timeline.ts'

interface DashboardDeps extends Omit<GuardDeps, 'banner'>, Pick<RouteDeps, 'store' | 'port' | 'freezes'> {
  redelivery: Redelivery
  refusals: Refusals
  health: Pick<HealthReader, 'read'>
  steps: (delivery: Listed) => Promise<Html>
  /** Returns the URL for Port's webhooks, with the given origin if RELAY_PUBLIC_URL isn't set. */
  webhookUrl: (origin: string) => string
  serverUrl: string
  show: (delivery: Listed, heads: ReadonlyMap<string, Listed>) => Shown
  portRunUrl: (runId: string) => string | null
}

const PAGE = 50
const DAY_MS = 86_400_000

const CACHED = { ...SECURITY, 'cache-control': 'max-age=300' }

export function createDashboard(deps: DashboardDeps): Hono {
  const { health } = deps
  const guard = createGuard({ ...deps, banner: async path => banner(await health.read(), path) })
  const asset = (name: string, type: string, text: string) =>
    guard.app.get(`/dashboard/${name}`, c => c.body(text, 200, { ...CACHED, 'content-type': type }))
  asset('style.css', 'text/css; charset=utf-8', STYLE)
  asset('live.js', 'text/javascript; charset=utf-8', SCRIPT)
  asset('icon.svg', 'image/svg+xml', ICON)
  addPages(guard, deps)
  addChanges(guard, deps)
  addFreezes(guard, deps)
  return guard.app
}

function addPages({ get }: Guard, deps: DashboardDeps): void {
  const { store, refusals, show } = deps

  get('/', 'view', async (c, session) => {
    const given = givenIn(name => c.req.query(name))
    const [filter, problem] = tryFilter(given)
    const isOldestFirst = c.req.query('order') === 'oldest'
    const name = isOldestFirst ? 'after' : 'before'
    const from = readWhole(name, c.req.query(name), Number.MAX_SAFE_INTEGER)
    const bound = isOldestFirst ? { after: from ?? 0 } : { before: from }
    const now = store.clock()
    const deliveries = filter ? await store.list(filter, { ...bound, limit: PAGE }) : []
    const ids = deliveries.map(({ id }) => id)
    const isFull = deliveries.length === PAGE
    const [heads, hours, counts, outcomes, invocations, continued] = await Promise.all([
      store.heads(deliveries),
      store.hours(now - DAY_MS),
      store.counts(),
      store.outcomes(),
      store.invocations(ids, LIMITS.shownInvocation),
      isFull || !filter ? null : store.listedTo(filter, bound),
    ])
    return listPage({
      ...{ session, given, problem, isOldestFirst, from, counts, outcomes, now },
      deliveries: deliveries.map(each => show(each, heads)),
      ...{ portRunUrl: deps.portRunUrl, serverUrl: deps.serverUrl },
      webhookUrl: deps.webhookUrl(new URL(c.req.url).origin),
      live: isLive(c),
      redelivered: readWhole('redelivered', c.req.query('redelivered'), LIMITS.redeliveredAtOnce) ?? null,
      chart: chart(hours, now),
      users: new Map([...invocations].map(([id, text]) => [id, whoIn(parse(text))])),
      next: isFull ? deliveries.at(-1)!.seq : continued,
    })
  })
  get('/deliveries/:id', 'view', async (c, session) => {
    const delivery = await knownDelivery(c, store)
    const [heads, history, invocation, messages, steps] = await Promise.all([
      store.heads([delivery]),
      store.history(delivery.id),
      store.invocation(delivery.id),
      store.waitingMessages(delivery.id),
      c.req.query('steps') ? deps.steps(delivery) : null,
    ])
    const asked = parse(invocation)
    const from = typeof asked.targetFrom === 'string' ? asked.targetFrom : null
    return deliveryPage({
      ...{ session, messages, steps, live: isLive(c), now: store.clock() },
      delivery: show(delivery, heads),
      timeline: timeline(delivery, history, from),
      who: whoIn(asked),
      isReported: deps.port.canReport(delivery),
      portUrl: delivery.runId === null ? null : deps.portRunUrl(delivery.runId),
      serverUrl: deps.serverUrl,
    })
  })
  get('/status', 'view', async (c, session) => {
    const [health, live] = [await deps.health.read(), isLive(c)]
    return {
      title: 'Status',
      session,
      live: { on: live, toggle: live ? '/status?live=off' : '/status' },
      body: html`<h1>Status</h1>
<section id="list" data-live aria-label="Status of each part">${statusTable(health)}</section>`,
    }
  })
  get('/refused', 'view', (c, session) => refusedPage(session, refusals, store.clock(), isLive(c)))

  function tryFilter(given: GivenFilter): [Filter | null, string | null] {
    try {
      return [readFilter(given, store.clock()), null]
    } catch (error) {
      if (error instanceof Problem) return [null, error.message]
      throw error
    }
  }
}

const isLive = (c: Context) => c.req.query('live') !== 'off'

/** Returns the user's name or email address, which only the dashboard shows. */
function whoIn({ trigger }: JsonObject): string | null {
  const by = isObject(trigger) && isObject(trigger.by) ? trigger.by : {}
  const who = by.name ?? by.email
  return typeof who === 'string' ? who : null
}

function parse(text: string | null): JsonObject {
  const value: unknown = text === null ? null : JSON.parse(text)
  return isObject(value) ? value : {}
}

function refusedPage(session: Session, { since, list }: Refusals, now: number, live: boolean) {
  const refused = list(LIMITS.refusedAtOnce)
  return {
    title: 'Refused',
    session,
    live: { on: live, toggle: live ? '/refused?live=off' : '/refused' },
    body: html`<h1>Refused webhooks</h1>
<p>Webhooks that this relay has refused since it started at ${at(since)}, newest first. Each entry shows the message in the response, and how often webhooks were refused for this reason. <a href="${RUNBOOK}#portrelaywebhooksrefused">What to do</a></p>
<section id="list" data-live aria-label="List of refused webhooks">${
      refused.length === 0
        ? html`<p class="empty">No webhook was refused.</p>`
        : html`<ol class="refused">${refused.map(
            each => html`<li class="card">
<p><span class="state failed">${each.status}</span> ${ago(each.lastAt, now)}${each.count > 1 && html`, <strong>${each.count} times</strong> since ${at(each.firstAt)}`}</p>
<p>${each.reason}</p>
<p class="quiet">from <code>${each.sender}</code>${each.repository !== null && html` for ${each.repository}`}</p>
</li>`,
          )}</ol>`
    }</section>`,
  }
}
