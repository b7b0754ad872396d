import type { Config } from './config/config.ts'
import type { GitHub } from './github/client.ts'
import type { RateLimitPauses } from './github/rate-limit-pause.ts'
import type { ThrottledLog } from './log.ts'
import type { Store } from './store/store.ts'
import type { ApplyEvent } from './workers/apply.ts'
import type { Freezes } from './workers/freezes.ts'
import type { PortAccess } from './workers/outbox.ts'

/** The dependencies of the relay's routes. Each route picks the dependencies that it uses. */
export interface RouteDeps {
  config: Config
  store: Store
  apply: ApplyEvent
  freezes: Freezes
  port: PortAccess
  github: GitHub
  pauses: RateLimitPauses
  /** `ok`: whether the database accepts writes. `outdated`: what to do, if a newer relay has upgraded the database. */
  checkDatabase: () => Promise<{ ok: boolean; detail?: string; outdated?: string }>
  /** Milliseconds since 1970 by the wall clock, which tokens, sessions, and Prometheus use. */
  clock: () => number
  log: Pick<ThrottledLog, 'info' | 'warn' | 'error'>
  throttled: Pick<ThrottledLog, 'info' | 'warn' | 'error'>
}
