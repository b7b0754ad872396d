import type { Hono } from 'hono'
import type { Config } from '../config/config.ts'
import type { ApplyEvent } from '../deliveries/apply-event.ts'
import type { PortAccess } from '../deliveries/port-access.ts'
import type { GitHub } from '../github/client.ts'
import type { RateLimitGate } from '../github/rate-limit-gate.ts'
import type { Store } from '../store/store.ts'
import { createAdminApi } from './api.ts'
import { createDashboard } from './dashboard/create-dashboard.ts'
import { createSessions } from './dashboard/sessions.ts'
import { createSteps } from './dashboard/steps.ts'
import type { MetricsRouteDeps } from './metrics-route.ts'
import { createRedelivery } from './redelivery.ts'
import { createRefusals, type Refusals } from './refusals.ts'
import type { Roles } from './roles.ts'

export interface AdminDeps {
  config: Config
  roles: Roles
  store: Store
  apply: ApplyEvent
  port: Pick<PortAccess, 'canReport' | 'read'>
  github: Pick<GitHub, 'jobs' | 'serverUrl' | 'facts'>
  portSide: MetricsRouteDeps['port']
  gate: Pick<RateLimitGate, 'shared'>
  /** The wall clock; milliseconds since 1970. */
  clock: () => number
  log: { info: (fields: object, message: string) => void }
}

/** What people operate the relay with. */
export interface Admin {
  /** `/api/…` */
  api: Hono
  /** `/`, `/deliveries/:id` and the like */
  dashboard: Hono
  /** Notes each webhook that is refused. */
  refusals: Refusals
}

export function createAdmin({
  config,
  roles,
  store,
  apply,
  port,
  portSide,
  github,
  gate,
  clock,
  log,
}: AdminDeps): Admin {
  const { trustedProxies } = config
  const refusals = createRefusals(trustedProxies, store.clock)
  const shared = {
    ...{ roles, store, refusals },
    organisations: config.organisations.map(({ id }) => id),
    redelivery: createRedelivery({ store, apply, port }),
  }
  return {
    refusals,
    api: createAdminApi(shared),
    dashboard: createDashboard({
      ...{ ...shared, port, trustedProxies, log },
      sessions: createSessions(config, clock, store),
      async health() {
        const now = store.clock()
        const [gates, { queued }, backlog] = await Promise.all([
          store.closedGates(now),
          store.counts(),
          store.backlog(now, gate.shared),
        ])
        return {
          ...{ gates, queued, dispatchDueSince: backlog.dueSince.dispatch },
          oldestMessage: backlog.oldestMessage,
          portPausedUntil: portSide.pausedUntil(),
          portAccepts: portSide.isAccepted(),
          tokenExpiresAt: github.facts.tokenExpiresAt(),
        }
      },
      steps: createSteps(github),
      serverUrl: github.serverUrl,
      portRunUrl: portRunUrl(config.port.apiUrl),
    }),
  }
}

/** The page of an action run in Port. Port documents none for node runs, and other servers have none. */
function portRunUrl(apiUrl: string): (runId: string) => string | null {
  const [, host] = /^https:\/\/api\.((?:us\.)?port\.io|getport\.io)$/.exec(apiUrl) ?? []
  return runId =>
    host && runId.startsWith('r_')
      ? `https://app.${host}/organization/run?runId=${encodeURIComponent(runId)}`
      : null
}
