import { setTimeout as sleep } from 'node:timers/promises'
import type { Context } from 'hono'
import type { GitHub } from '../github/client.ts'
import type { RateLimitGate } from '../github/rate-limit-gate.ts'
import { Problem } from '../http/problem.ts'
import type { Trouble } from '../log/trouble.ts'
import type { Store } from '../store/store.ts'
import type { Metrics, ScrapeValues } from './metrics.ts'
import type { Roles } from './roles.ts'

export interface MetricsRouteDeps {
  metrics: Metrics
  roles: Roles
  store: Pick<Store, 'counts' | 'backlog' | 'clock'>
  github: Pick<GitHub, 'facts' | 'clockOffset'>
  gate: Pick<RateLimitGate, 'allClosed' | 'isRejected' | 'shared'>
  port: {
    /** Until when nothing is sent to Port, milliseconds since 1970 by the store's clock; 0 for not paused. */
    pausedUntil(): number
    /** Null where no organisation has credentials, or Port has not answered yet. */
    isAccepted(): boolean | null
  }
  /** The wall clock, by which Prometheus reads times; milliseconds since 1970. */
  clock: () => number
  trouble: Pick<Trouble, 'error'>
}

/** The series of this relay are given all the same when the database takes longer. */
const READ_MS = 2_000

/** `GET /metrics`, behind RELAY_ADMIN_TOKEN or RELAY_VIEW_TOKEN. */
export function createMetricsRoute(deps: MetricsRouteDeps): (c: Context) => Promise<Response> {
  const { metrics, roles } = deps
  return async c => {
    if (!roles.isOpen)
      throw new Problem(404, 'The metrics are closed: set RELAY_VIEW_TOKEN to open them for reading.')
    roles.ofRequest(c, 'Send RELAY_VIEW_TOKEN or RELAY_ADMIN_TOKEN as "Authorization: Bearer …".')
    const text = await metrics.render(await read(deps))
    return c.body(text, 200, { 'content-type': metrics.contentType, 'cache-control': 'no-store' })
  }
}

async function read({ store, github, gate, port, clock, trouble }: MetricsRouteDeps): Promise<ScrapeValues> {
  const now = store.clock()
  /** From the store's clock to the wall clock. */
  const onWall = (time: number) => (time > now ? time - now + clock() : null)
  const { facts } = github
  return {
    stored: await readStored(),
    rateLimitRemaining: facts.rateLimitRemaining(),
    tokenExpiresAt: facts.tokenExpiresAt(),
    clockOffset: github.clockOffset(),
    pausedUntil: {
      github: onWall(Math.max(0, ...gate.allClosed().map(({ closedUntil }) => closedUntil))),
      port: onWall(port.pausedUntil()),
    },
    credentialOk: { github: gate.isRejected() ? false : facts.isAccepted(), port: port.isAccepted() },
  }

  async function readStored(): Promise<ScrapeValues['stored']> {
    try {
      const reading = Promise.all([store.counts(), store.backlog(now, gate.shared)])
      const read = await Promise.race([reading, sleep(READ_MS, null, { ref: false })])
      if (!read) throw new Error(`no answer within ${READ_MS} ms`)
      const [counts, backlog] = read
      return { now, counts, backlog }
    } catch (error) {
      trouble.error({ err: error, work: 'metrics' }, 'database unavailable; retrying')
      return null
    }
  }
}
