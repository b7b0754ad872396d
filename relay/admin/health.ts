import type { Context } from 'hono'
import type { PortClient } from '../../port/client/client.ts'
import { LIMITS } from '../config/limits.ts'
import type { Transition } from '../delivery/delivery.ts'
import type { GitHub } from '../github/client.ts'
import type { RateLimitPauses } from '../github/rate-limit-pause.ts'
import { createTokenBuckets } from '../http/rate-limit.ts'
import type { ThrottledLog } from '../log.ts'
import type { Hour, Store } from '../store/store.ts'

interface Check {
  ok: boolean
  detail?: string
}

export interface ReadinessDeps {
  store: Pick<Store, 'ping'>
  github: Pick<GitHub, 'facts' | 'checkCredential'>
  pauses: Pick<RateLimitPauses, 'isRejected'>
  /** One for each organization that has credentials of Port. */
  clients: ReadonlyMap<string, Pick<PortClient, 'authorize'>>
  /** Null before Port's first response. */
  isPortAccepted: () => boolean | null
  throttled: Pick<ThrottledLog, 'error'>
}

/** How often reading `/readyz` checks the credentials. */
const CHECK_MS = 300_000
const UNKNOWN = 'not checked yet'

/**
 * `GET /readyz`: whether webhooks can be accepted. Only the database decides, since Port doesn't send webhooks again.
 * The body lists other failed checks. Reading it checks the credentials in the background.
 */
export function createReadiness(deps: ReadinessDeps): (c: Context) => Promise<Response> {
  const { store, github, pauses, clients, isPortAccepted, throttled } = deps
  let checkedAt = Number.NEGATIVE_INFINITY
  const pace = createTokenBuckets(LIMITS.databaseChecks.value)
  let lastCheck: Promise<Check> | null = null
  let isChecking = false

  function checkCredentials(): void {
    if (performance.now() - checkedAt < CHECK_MS) return
    checkedAt = performance.now()
    // The results are in `facts` and `isPortAccepted`; an unreachable server is noticed when it is needed.
    for (const check of [github.checkCredential(), ...[...clients.values()].map(each => each.authorize())]) {
      check.catch(() => {})
    }
  }

  function ofGitHub(): Check {
    const isAccepted = pauses.isRejected() ? false : github.facts.isAccepted()
    if (isAccepted === null) return { ok: true, detail: UNKNOWN }
    if (isAccepted) return { ok: true }
    const detail =
      'GitHub rejects the credential: deliveries are waiting. Renew GITHUB_TOKEN, or GITHUB_APP_PRIVATE_KEY.'
    return { ok: false, detail }
  }

  function ofPort(): Check {
    if (clients.size === 0)
      return { ok: true, detail: 'PORT_CLIENT_ID is not set: the relay sends nothing to Port.' }
    const isAccepted = isPortAccepted()
    if (isAccepted === null) return { ok: true, detail: UNKNOWN }
    if (isAccepted) return { ok: true }
    return {
      ok: false,
      detail: 'Port rejects PORT_CLIENT_ID or PORT_CLIENT_SECRET: messages to Port are waiting.',
    }
  }

  /** One write at a time, with a rate limit; in between, the last result is returned. */
  function ofDatabase(): Promise<Check> {
    if (lastCheck && (isChecking || pace.take('') > 0)) return lastCheck
    isChecking = true
    lastCheck = store
      .ping()
      .then(
        (): Check => ({ ok: true }),
        (error): Check => {
          throttled.error({ err: error, work: 'readyz' }, 'database unavailable; retrying')
          return { ok: false, detail: 'The database (RELAY_DATABASE) is unavailable or read-only.' }
        },
      )
      .finally(() => {
        isChecking = false
      })
    return lastCheck
  }

  return async c => {
    checkCredentials()
    const database = await ofDatabase()
    const checks = { database, github: ofGitHub(), port: ofPort() }
    if (!database.ok) c.header('retry-after', '5')
    return c.json({ ok: database.ok, checks }, database.ok ? 200 : 503)
  }
}

const HOUR_MS = 3_600_000
const KEPT_MS = 48 * HOUR_MS
const FLUSH_MS = 15_000

/** Counts per hour for the dashboard's chart, in memory; added to the database every few seconds. */
export interface Tally {
  /** The store, which counts accepted deliveries. */
  store: Store
  /** Counts a final state. */
  transition(applied: Transition): void
  /** Adds the counts to the database. */
  flush(): Promise<void>
  /** Flushes a last time. */
  stop(): Promise<void>
}

/** A killed relay loses the counts of the last seconds, which only the dashboard shows. */
export function createTally(store: Store, log: { error: (fields: object, message: string) => void }): Tally {
  let counted = new Map<number, Hour>()

  function count(what: Exclude<keyof Hour, 'hour'>): void {
    const hour = Math.floor(store.clock() / HOUR_MS) * HOUR_MS
    const row = counted.get(hour) ?? { hour, accepted: 0, finished: 0, failed: 0, cancelled: 0 }
    row[what]++
    counted.set(hour, row)
  }
  async function flush(): Promise<void> {
    if (counted.size === 0) return
    const rows = counted
    counted = new Map()
    await store.countHours([...rows.values()], store.clock() - KEPT_MS)
  }
  const flushAndLog = () =>
    flush().catch(error => log.error({ err: error }, 'the numbers of this hour could not be persisted'))
  const timer = setInterval(flushAndLog, FLUSH_MS)
  timer.unref()
  return {
    store: {
      ...store,
      async accept(delivery, use) {
        const accepted = await store.accept(delivery, use)
        if (!accepted.duplicate) count('accepted')
        return accepted
      },
    },
    transition(applied) {
      const { state } = applied.change
      if (state === 'finished' || state === 'failed' || state === 'cancelled') count(state)
    },
    flush,
    async stop() {
      clearInterval(timer)
      await flushAndLog()
    },
  }
}
