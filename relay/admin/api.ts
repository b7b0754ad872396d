import { createHash, timingSafeEqual } from 'node:crypto'
import { Hono } from 'hono'
import { isRepository } from '../config/routes.ts'
import type { ApplyEvent } from '../deliveries/apply-event.ts'
import { boundRun } from '../deliveries/transition/runs.ts'
import { bearer } from '../http/bearer.ts'
import { Problem } from '../http/problem.ts'
import { runKey } from '../store/dedupe-key.ts'
import { type Delivery, OPEN_STATES, STATES, type State } from '../store/delivery.ts'
import type { Store } from '../store/store.ts'

const MAX_LIMIT = 200

export interface AdminApiDeps {
  /** RELAY_ADMIN_TOKEN */
  adminToken: string | null
  /** RELAY_VIEW_TOKEN */
  viewToken: string | null
  /** Ids of all organisations. */
  organisations: string[]
  store: Pick<Store, 'get' | 'list' | 'history'>
  apply: ApplyEvent
}

/**
 * The admin API, behind `RELAY_ADMIN_TOKEN` as a bearer token, or `RELAY_VIEW_TOKEN` for reading; closed where neither
 * is set. Inputs and people are not shown.
 */
export function createAdminApi({ adminToken, viewToken, organisations, store, apply }: AdminApiDeps): Hono {
  const app = new Hono()
  app.use(async (c, next) => {
    if (adminToken === null && viewToken === null)
      throw new Problem(404, 'The admin API is closed: set RELAY_ADMIN_TOKEN to open it.')
    const given = bearer(c)
    const mayChange = sameText(given, adminToken)
    const mayRead = sameText(given, viewToken) || mayChange
    if (!mayRead) {
      throw new Problem(401, 'Send RELAY_ADMIN_TOKEN as "Authorization: Bearer …".', {
        'www-authenticate': 'Bearer',
      })
    }
    if (!mayChange && c.req.method !== 'GET')
      throw new Problem(403, 'RELAY_VIEW_TOKEN changes nothing: send RELAY_ADMIN_TOKEN.')
    await next()
  })
  app.get('/deliveries', async c => {
    const state = c.req.query('state')
    if (state !== undefined && !STATES.includes(state as State)) {
      throw new Problem(400, `state must be one of ${STATES.join(', ')}.`)
    }
    const repository = c.req.query('repository')
    if (repository !== undefined && !isRepository(repository)) {
      throw new Problem(400, 'repository must be owner/name.')
    }
    const before = whole('before', c.req.query('before'), Number.MAX_SAFE_INTEGER)
    const limit = whole('limit', c.req.query('limit'), MAX_LIMIT) ?? 50
    const runId = c.req.query('run_id')
    const filter = {
      ...(state && { state: state as State }),
      ...(repository && { repository }),
      ...(c.req.query('action') && { action: c.req.query('action') }),
      ...(runId && { dedupeKeys: organisations.map(organisation => runKey(organisation, runId)) }),
      ...(c.req.query('since') && { since: readTime('since', c.req.query('since') as string) }),
    }
    const deliveries = await store.list(filter, { ...(before !== undefined && { before }), limit })
    return c.json({ deliveries: deliveries.map(shown), next: deliveries.at(-1)?.seq ?? null })
  })
  app.get('/deliveries/:id', async c => {
    const delivery = await store.get(c.req.param('id'))
    if (!delivery) throw unknown(c.req.param('id'))
    const events = await store.history(delivery.id)
    return c.json({
      ...shown(delivery),
      events: [
        { time: iso(delivery.receivedAt), type: 'accepted', details: {} },
        ...events.map(({ at, type, details }) => ({ time: iso(at), type, details })),
      ],
    })
  })
  app.post('/deliveries/:id/redeliver', async c => {
    const id = c.req.param('id')
    const delivery = await store.get(id)
    const outcome = delivery && (await apply(delivery, { type: 'redelivered' })).outcome
    if (outcome === null || outcome === 'gone') throw unknown(id)
    if (outcome !== 'applied')
      throw new Problem(
        409,
        `Delivery ${id} has not failed and was not cancelled: only such deliveries can be redelivered.`,
      )
    return c.json({ delivery: id, state: 'queued' }, 202)
  })
  app.post('/deliveries/:id/cancel', async c => {
    const id = c.req.param('id')
    const delivery = await store.get(id)
    const applied = delivery && (await apply(delivery, { type: 'cancelRequested', by: 'api' }))
    if (applied === null || applied.outcome === 'gone') throw unknown(id)
    const { state } = applied.delivery
    if (applied.outcome !== 'applied' && !OPEN_STATES.includes(state))
      throw new Problem(409, `Delivery ${id} has ended as ${state}: nothing can be cancelled.`)
    return c.json({ delivery: id, state }, 202)
  })
  const methods = {
    '/deliveries': 'GET',
    '/deliveries/:id': 'GET',
    '/deliveries/:id/redeliver': 'POST',
    '/deliveries/:id/cancel': 'POST',
  }
  for (const [path, allow] of Object.entries(methods)) {
    app.all(path, () => {
      throw new Problem(405, `Send this as ${allow}.`, { allow })
    })
  }
  return app
}

function whole(name: string, text: string | undefined, max: number): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= 1 && value <= max) return value
  const range = max === MAX_LIMIT ? `from 1 to ${max}` : 'above 0, as "next" in the answer before gives it'
  throw new Problem(400, `${name} must be a whole number ${range}.`)
}

/** Epoch milliseconds or ISO 8601. */
function readTime(name: string, text: string): number {
  const time = /^\d+$/.test(text) ? Number(text) : Date.parse(text)
  if (Number.isFinite(time)) return time
  throw new Problem(400, `${name} must be a time such as 2026-01-31T12:00:00Z, or milliseconds since 1970.`)
}

function shown(d: Delivery) {
  const run = boundRun(d)
  return {
    delivery: d.id,
    seq: d.seq,
    state: d.state,
    reason: d.reason,
    run_id: d.runId,
    action: d.action,
    repository: d.repository,
    event_type: d.eventType,
    workflow: d.workflow,
    ref: d.ref,
    github_run_id: run?.id ?? null,
    evidence: run?.evidence ?? null,
    attempts: d.attempts,
    waiting_for: d.waitingFor,
    cancel_requested_at: d.cancelRequestedAt === null ? null : iso(d.cancelRequestedAt),
    received_at: iso(d.receivedAt),
    updated_at: iso(d.updatedAt),
    due_at: d.dueAt === null ? null : iso(d.dueAt),
  }
}

const iso = (ms: number) => new Date(ms).toISOString()
const unknown = (id: string) =>
  new Problem(404, `There is no delivery ${id}: it was purged after RELAY_RETENTION, or never was.`)

/** In constant time, whatever the length of what is given. */
function sameText(given: string | null, expected: string | null): boolean {
  if (given === null || expected === null) return false
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(expected))
}
