import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { parseJson } from '../../port/text.ts'
import { LIMITS } from '../config/limits.ts'
import type { HistoryEntry, Listed } from '../delivery/delivery.ts'
import { boundRun } from '../delivery/match.ts'
import type { Shown } from '../delivery/shown-wait.ts'
import { Problem } from '../http/problem.ts'
import type { Refusal, Refusals } from '../http/refusals.ts'
import type { RouteDeps } from '../route-deps.ts'
import type { Freeze } from '../store/store.ts'
import type { Roles } from './auth.ts'
import {
  bulkRequest,
  FILTERS,
  type GivenFilter,
  readBulkFilter,
  readFilter,
  readWhole,
  refuse,
} from './filter.ts'
import { endFreeze, readFreeze } from './freezes.ts'
import { openApi } from './openapi.ts'
import { knownDelivery, mustBeRedeliverable, type Redelivery } from './redelivery.ts'

type AdminApiDeps = Pick<RouteDeps, 'store' | 'freezes'> & {
  roles: Roles
  redelivery: Redelivery
  refusals: Refusals
  show: (delivery: Listed, heads: ReadonlyMap<string, Listed>) => Shown
}

/**
 * The admin API, which requires `RELAY_ADMIN_TOKEN` as a bearer token, or `RELAY_VIEW_TOKEN` for reading. If neither is
 * set, the API is off. Responses contain no inputs and no users.
 */
export function createAdminApi({ roles, store, freezes, redelivery, refusals, show }: AdminApiDeps): Hono {
  const app = new Hono()
  app.use(async (c, next) => {
    if (!roles.isOpen) throw new Problem(404, 'The admin API is off: set RELAY_ADMIN_TOKEN to turn it on.')
    const role = roles.ofRequest(
      c,
      'Send RELAY_ADMIN_TOKEN, or RELAY_VIEW_TOKEN for reading, as "Authorization: Bearer …".',
    )
    if (role === 'view' && !['GET', 'HEAD'].includes(c.req.method))
      throw new Problem(403, 'RELAY_VIEW_TOKEN is read-only: send RELAY_ADMIN_TOKEN.')
    await next()
  })
  app.get('/openapi.json', c => c.json(openApi))
  app.get('/deliveries', async c => {
    const given = Object.fromEntries(FILTERS.map(name => [name, c.req.query(name)])) as GivenFilter
    const filter = readFilter(given, store.clock())
    const before = readWhole('before', c.req.query('before'), Number.MAX_SAFE_INTEGER)
    const limit = readWhole('limit', c.req.query('limit'), LIMITS.listedAtOnce) ?? 50
    const deliveries = await store.list(filter, { before, limit })
    const isFull = deliveries.length === limit
    const next = isFull ? (deliveries.at(-1)?.seq ?? null) : await store.listedTo(filter, { before })
    const heads = await store.heads(deliveries)
    return c.json({ deliveries: deliveries.map(each => showDelivery(show(each, heads))), next })
  })
  app.get('/deliveries/:id', async c => {
    const delivery = await knownDelivery(c, store)
    return c.json({
      ...showDelivery(show(delivery, await store.heads([delivery]))),
      events: showEvents(delivery, await store.history(delivery.id)),
    })
  })
  app.post('/deliveries/:id/redeliver', async c => {
    const delivery = await knownDelivery(c, store)
    const { id, state } = delivery
    if (readFlag('dry_run', c.req.query('dry_run'))) {
      mustBeRedeliverable(delivery)
      const ends = await redelivery.readEnds([delivery])
      return c.json({ delivery: id, state, dry_run: true, port_run_ended: ends.get(id) ?? null })
    }
    await redelivery.redeliver(delivery)
    return c.json({ delivery: id, state: 'queued' }, 202)
  })
  app.post('/deliveries/:id/cancel', async c => {
    const { id, state } = await redelivery.cancel(await knownDelivery(c, store))
    return c.json({ delivery: id, state }, 202)
  })
  app.post('/redeliver', bodyLimit({ maxSize: LIMITS.adminBody, onError: tooLarge }), async c => {
    const { data, error } = bulkRequest.safeParse(parseJson(await c.req.text()))
    if (!data) throw refuse(error)
    const { limit, dry_run: isDry, ...given } = data
    const filter = readBulkFilter(given, store.clock())
    const { deliveries, more } = await redelivery.find(filter, limit)
    if (isDry) {
      const ends = await redelivery.readEnds(deliveries)
      const portRunOf = ({ id }: Listed) => ({ port_run_ended: ends.get(id) ?? null })
      const shown = deliveries.map(each => ({ ...showDelivery(each), ...portRunOf(each) }))
      return c.json({ dry_run: true, deliveries: shown, redelivered: 0, more })
    }
    const redelivered = await redelivery.redeliverAll(deliveries)
    const queued = { state: 'queued', outcome: null, reason: null }
    const shown = redelivered.map(each => ({ ...showDelivery(each), ...queued }))
    return c.json({ dry_run: false, deliveries: shown, redelivered: shown.length, more }, 202)
  })
  app.get('/freezes', async c => {
    const active = (await store.freezes()).filter(({ ending }) => ending === '')
    return c.json({ freezes: active.map(showFreeze) })
  })
  app.post('/freezes', bodyLimit({ maxSize: LIMITS.adminBody, onError: tooLarge }), async c =>
    c.json(showFreeze(await freezes.start(readFreeze(parseJson(await c.req.text()), store.clock()))), 201),
  )
  app.delete('/freezes/:id', async c => {
    const [id, discard] = [c.req.param('id'), readFlag('discard', c.req.query('discard'))]
    await endFreeze(freezes, id, discard)
    return c.json({ id: Number(id), discard }, 202)
  })
  app.get('/refused', c => {
    const limit = readWhole('limit', c.req.query('limit'), LIMITS.refusedAtOnce) ?? 100
    const { since, ...lastHour } = refusals.recent()
    const refused = refusals.list(limit).map(showRefusal)
    return c.json({ since: iso(since), last_hour: lastHour, refused } satisfies RefusedList)
  })
  return app
}

function readFlag(name: string, text = 'false'): boolean {
  if (['true', 'false'].includes(text)) return text === 'true'
  throw new Problem(400, `${name} must be true or false.`)
}

const tooLarge = () => {
  throw new Problem(413, `The body is larger than ${LIMITS.adminBody} bytes.`)
}

export type ShownDelivery = ReturnType<typeof showDelivery>
export type ShownEvent = ReturnType<typeof showEvents>[number]

function showDelivery(d: Listed & Partial<Shown>) {
  const run = boundRun(d)
  return {
    ...{ delivery: d.id, seq: d.seq, state: d.state, outcome: d.outcome || null, reason: d.reason },
    ...{ run_id: d.runId, action: d.action, repository: d.repository, event_type: d.eventType },
    ...{ workflow: d.workflow, ref: d.ref, github_run_id: run?.id ?? null, evidence: run?.evidence ?? null },
    ...{ attempts: d.attempts, waiting_for: d.waits ?? null },
    blocked_by: d.blocker ? { delivery: d.blocker.id, run_id: d.blocker.runId } : null,
    cancel_requested_at: isoOrNull(d.cancelRequestedAt),
    ...{ received_at: iso(d.receivedAt), updated_at: iso(d.updatedAt), due_at: isoOrNull(d.dueAt) },
  }
}

function showEvents(delivery: Listed, events: (HistoryEntry & { at: number })[]) {
  return [
    { time: iso(delivery.receivedAt), type: 'accepted', details: {} },
    ...events.map(({ at, type, details }) => ({ time: iso(at), type, details })),
  ]
}

export type ShownFreeze = ReturnType<typeof showFreeze>

const showFreeze = ({ id, repositories, reason, endsAt, since, deliveries, startedBy }: Freeze) => ({
  ...{ id, repositories, reason, until: isoOrNull(endsAt), since: iso(since), deliveries },
  started_by: startedBy,
})

export interface RefusedList {
  since: string
  last_hour: Omit<ReturnType<Refusals['recent']>, 'since'>
  refused: ReturnType<typeof showRefusal>[]
}

const showRefusal = ({ firstAt, lastAt, ...rest }: Refusal) => ({
  ...{ first_at: iso(firstAt), last_at: iso(lastAt), ...rest },
})

const iso = (ms: number) => new Date(ms).toISOString()
const isoOrNull = (ms: number | null) => (ms === null ? null : iso(ms))
