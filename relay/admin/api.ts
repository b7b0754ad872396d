import { createHash, timingSafeEqual } from 'node:crypto'
import { Hono } from 'hono'
import type { Config } from '../config/config.ts'
import { isRepository } from '../config/routes.ts'
import { bearer } from '../http/bearer.ts'
import { Problem } from '../http/problem.ts'
import type { Delivery, State } from '../store/delivery.ts'
import type { Store } from '../store/store.ts'

const MAX_LIMIT = 200
const STATES: State[] = ['queued', 'dispatched', 'running', 'finished', 'failed']

/**
 * The admin API, behind `RELAY_ADMIN_TOKEN` as a bearer token, or `RELAY_VIEW_TOKEN` for reading; closed where neither is set. Inputs and people
 * are not shown: they belong to Port and the workflow.
 */
export function createAdminApi(
  { adminToken, viewToken }: Pick<Config, 'adminToken' | 'viewToken'>,
  store: Pick<Store, 'get' | 'list' | 'redeliver'>,
  clock: () => number,
): Hono {
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
    const deliveries = await store.list({
      ...(state && { state: state as State }),
      // As the intake writes it.
      ...(repository && { repository: repository.toLowerCase() }),
      ...(before !== undefined && { before }),
      limit,
    })
    return c.json({ deliveries: deliveries.map(shown), next: deliveries.at(-1)?.seq ?? null })
  })
  app.get('/deliveries/:id', async c => {
    const delivery = await store.get(c.req.param('id'))
    if (!delivery) throw unknown(c.req.param('id'))
    return c.json(shown(delivery))
  })
  app.post('/deliveries/:id/redeliver', async c => {
    const id = c.req.param('id')
    const result = await store.redeliver(id, clock())
    if (result === 'unknown') throw unknown(id)
    if (result === 'not_failed')
      throw new Problem(409, `Delivery ${id} has not failed: only a failed one can be redelivered.`)
    return c.json({ delivery: id, state: 'queued' }, 202)
  })
  const methods = { '/deliveries': 'GET', '/deliveries/:id': 'GET', '/deliveries/:id/redeliver': 'POST' }
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

function shown(d: Delivery) {
  return {
    delivery: d.id,
    seq: d.seq,
    state: d.state,
    reason: d.reason,
    run_id: d.runId,
    action: d.action,
    repository: d.repository,
    event_type: d.eventType,
    github_run_id: d.githubRunId,
    received_at: iso(d.receivedAt),
    updated_at: iso(d.updatedAt),
    due_at: d.dueAt === null ? null : iso(d.dueAt),
    attempts: d.attempts.map(({ at, outcome }) => ({ at: iso(at), outcome })),
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
