import type { Context } from 'hono'
import { isObject, type JsonObject } from '../../../port/types.ts'
import type { PortAccess } from '../../deliveries/port-access.ts'
import { Problem } from '../../http/problem.ts'
import type { Delivery } from '../../store/delivery.ts'
import type { Filter, Store } from '../../store/store.ts'
import { type GivenFilter, givenIn, readFilter, readWhole } from '../filter.ts'
import { knownDelivery, MAX_REDELIVERED } from '../redelivery.ts'
import type { Refusals } from '../refusals.ts'
import { banner, type Health } from './banner.ts'
import { chart } from './chart.ts'
import { deliveryPage } from './delivery-page.ts'
import type { Html } from './format.ts'
import type { Guard } from './guard.ts'
import { listPage } from './list-page.ts'
import { refusedPage } from './refused-page.ts'
import { timeline } from './timeline.ts'

export interface PagesDeps {
  organisations: string[]
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
  const { organisations, store, refusals } = deps

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
    const people = [...invocations].map(([id, text]) => [id, whoIn(parse(text))] as const)
    return listPage({
      ...{ session, given, problem, before, counts, deliveries, now },
      live: isLive(c),
      redelivered: readWhole('redelivered', c.req.query('redelivered'), MAX_REDELIVERED) ?? null,
      banner: banner(health, now),
      chart: chart(hours, now),
      people: new Map(people.filter((entry): entry is [string, string] => entry[1] !== null)),
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
      stages: timeline(delivery, history, from),
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
      return [readFilter(given, organisations, store.clock()), null]
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
