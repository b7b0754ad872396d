import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Hono } from 'hono'
import type { Logger } from 'pino'
import { createPortClient, type Fetch, type PortClient, type PortError } from '../port/client/client.ts'
import { ALERTS_MS, createAlerts } from './admin/alerts.ts'
import { createRoles } from './admin/auth.ts'
import { createDatabaseCheck, createReadiness, createTally } from './admin/health.ts'
import { createMetrics, createMetricsRoute } from './admin/metrics.ts'
import { createAdmin } from './admin/routes.ts'
import { createSides, GITHUB_REJECTS } from './admin/sides.ts'
import type { Config } from './config/config.ts'
import { matcher } from './config/routes.ts'
import { createGitHub } from './github/client.ts'
import { createRateLimitPauses } from './github/rate-limit-pause.ts'
import { createApp } from './http/app.ts'
import { fetchLimited } from './http/outgoing.ts'
import { type OnResponse, responseOutcome } from './http/problem.ts'
import { createRelayServer } from './http/server.ts'
import { createGitHubWebhook } from './intake/github-webhook.ts'
import { createThrottledLog, type ThrottledLog } from './log.ts'
import { createReports } from './reports/routes.ts'
import { openStore } from './store/open.ts'
import type { Store } from './store/store.ts'
import { createFindByTitle, createFindOwners } from './workers/find-runs.ts'
import { PORT_TIMEOUT_MS } from './workers/outbox.ts'
import { repeat, type Worker } from './workers/worker.ts'
import { createEngine, startWorkers } from './workers/workers.ts'

/** How often it's determined which credentials to check. */
const CHECK_SIDES_MS = 5_000

/** How long a stop waits for requests and steps under way. */
const STOP_MS = 20_000

/** How long a relay that has just started measures how busy it is, and how often at most. */
const LOOK_MS = 20
const LOOKS = 25

/** A relay that listens and works. */
export interface Relay {
  address: string
  port: number
  /** Accepts nothing more, finishes what is under way, closes the store. Takes at most 25 s. */
  stop(): Promise<void>
}

/** A relay that does not listen yet. */
export interface AssembledRelay {
  app: Hono
  throttled: ThrottledLog
  /** Starts everything that advances deliveries. */
  startWorkers(): Worker[]
  /** Records what was counted. */
  flush(): Promise<void>
  /** The same, and closes the database. */
  close(): Promise<void>
}

/**
 * Assembles the relay.
 *
 * @param stopping aborted once this relay dispatches nothing more
 * @param opening the store, if it is being opened already
 * @throws Error with a sentence if the database can't be opened
 */
export async function assembleRelay(
  config: Config,
  log: Logger,
  stopping: AbortSignal,
  opening = openStore(config.database, config.dispatchRate),
): Promise<AssembledRelay> {
  const tally = createTally(await opening, log)
  const { store } = tally
  const { clock } = store
  const throttled = createThrottledLog(log)
  const metrics = createMetrics()
  const pauses = createRateLimitPauses(config.github.auth, clock, (closed, cause) => {
    const { reason, pausedUntil } = closed
    const fields = { reason, until: new Date(pausedUntil).toISOString() }
    if (cause === 'limit') throttled.warn(fields, 'GitHub limits the relay: nothing is sent there meanwhile')
    else throttled.error(fields, GITHUB_REJECTS)
    store
      .savePause(closed)
      .catch(error => throttled.error({ err: error }, 'a rate-limit pause could not be persisted'))
  })
  pauses.add(await store.activePauses(clock()))
  const isAllowed = matcher(config.targets.allowed)
  const secrets = [...config.organizations.flatMap(each => each.secrets), config.adminToken ?? '']
  const sides = createSides({
    ...{ config, clock, pauses, throttled },
    checks: () => [
      { side: 'github', credential: '', check: github.checkCredential },
      ...[...clients].map(([credential, { check }]) => ({ side: 'port' as const, credential, check })),
    ],
  })
  const github = createGitHub(config.github, clock, pauses, {
    ...{ isAllowed, secrets },
    onResponse(response, error) {
      metrics.request('github', responseOutcome(response))
      sides.observeGitHub(response, error)
    },
  })
  const clients: ReadonlyMap<string, PortClient> = new Map(
    config.organizations.flatMap(({ id, clientId, secrets: [clientSecret = ''] }) => {
      const { apiUrl } = config.port
      const options = {
        apiUrl,
        clientId: clientId ?? '',
        clientSecret,
        timeoutMs: PORT_TIMEOUT_MS,
        readNodeRuns: true,
        clock,
        fetch: fetchPort(response => metrics.request('port', responseOutcome(response))),
        onResult: (error: PortError | null) => sides.observePort(id, error),
      }
      return clientId === null ? [] : [[id, createPortClient(options)] as const]
    }),
  )
  const { startTimeout, runTimeout, publicUrl } = config
  const traced = config.tracing !== null
  const policy = { startTimeout, runTimeout, serverUrl: github.serverUrl }
  const organizations = config.organizations.map(({ id }) => id)
  const findByTitle = createFindByTitle(store, organizations)
  const clockOffset = () => github.clockOffset() ?? 0
  const findOwners = createFindOwners({ store, findByTitle, organizations, clockOffset, startTimeout })
  const engine = createEngine({
    ...{ store, github, pauses, clients, findOwners, policy, publicUrl, traced, log, throttled },
    retention: Math.max(config.retention, runTimeout),
    onTransition(before, applied, now) {
      metrics.transition(before, applied, now)
      tally.transition(applied)
    },
    onAttempt: metrics.attempt,
  })
  const { apply, port } = engine
  const roles = createRoles(config)
  const checkDatabase = createDatabaseCheck(store, throttled)
  const alerts = createAlerts({ config, store, sides, checkDatabase, throttled })
  const app = createApp({
    ...{ config, store, apply, log, throttled, metrics },
    clock: Date.now,
    reports: createReports({
      config,
      store,
      github,
      apply,
      port,
      findByTitle,
      clock: Date.now,
      log,
      throttled,
    }),
    checkDatabase,
    readinessRoute: createReadiness({ checkDatabase, sides }),
    metricsRoute: createMetricsRoute({
      ...{ metrics, roles, store, github, port, pauses, sides, throttled },
      clock: Date.now,
    }),
    admin: createAdmin({
      ...{ config, roles, store, apply, port, sides, checkDatabase, github, log },
      clock: Date.now,
    }),
    receiveGitHub: createGitHubWebhook({
      secret: config.github.webhookSecret,
      trustedProxies: config.trustedProxies,
      ...{ store, apply, findOwners, traced, throttled },
      clockOffset: github.clockOffset,
      startTimeout,
    }),
    stopping,
  })
  return {
    ...{ app, throttled },
    startWorkers: () => [
      ...startWorkers({ config, store, github, engine, pauses, log, throttled }),
      repeat('check sides', CHECK_SIDES_MS, throttled, sides.check),
      ...(config.alert ? [repeat('alerts', ALERTS_MS, throttled, alerts)] : []),
    ],
    async flush() {
      throttled.flush()
      await tally.flush()
    },
    async close() {
      throttled.flush()
      await tally.stop()
      await store.close()
    },
  }
}

/** The `fetch` of Port's client. */
export const fetchPort =
  (onResponse: OnResponse): Fetch =>
  async (url, init) => {
    const response = await fetchLimited(url, { ...init, redirect: 'manual' }).catch(error => {
      onResponse(null, error)
      throw error
    })
    onResponse(response)
    return response
  }

/**
 * Assembles the relay and listens.
 *
 * @param opening the store, if it is being opened already
 * @throws Error with a sentence if the database can't be opened or the address is in use
 */
export async function createRelay(config: Config, log: Logger, opening?: Promise<Store>): Promise<Relay> {
  const stopping = new AbortController()
  const { app, throttled, startWorkers, close } = await assembleRelay(config, log, stopping.signal, opening)
  const { host, port: listenPort } = config.listen
  const server = createRelayServer(app.fetch, (status, reason, address) =>
    throttled.warn({ status, reason, address }, 'a request that cannot be read was refused'),
  )
  server.listen(listenPort, host)
  await once(server, 'listening').catch(async cause => {
    await close()
    throw new Error(
      `The relay cannot listen on ${host}:${listenPort} (${(cause as NodeJS.ErrnoException).code}): set HOST and PORT to a free address.`,
      { cause },
    )
  })
  const starting = whenCalm().then(startWorkers)
  const { address, port: boundPort } = server.address() as AddressInfo
  return {
    address,
    port: boundPort,
    async stop() {
      // A connection that was busy when the stop began becomes idle later, and would delay it.
      const idle = setInterval(() => server.closeIdleConnections(), 50)
      const closed = new Promise(resolve => server.close(resolve))
      const late = new AbortController()
      const patience = sleep(STOP_MS, undefined, { signal: late.signal }).catch(() => {})
      const workers = await starting
      // The next start finds what does not end in time by its lease and its recorded attempt.
      await Promise.race([Promise.all(workers.map(worker => worker.stop())), patience])
      stopping.abort()
      await Promise.race([closed, patience])
      late.abort()
      server.closeAllConnections()
      await closed
      clearInterval(idle)
      await close()
    },
  }
}

/**
 * Requests that have waited for the relay come first: Node accepts one connection per pass of its event loop, and the
 * first steps of the workers take long passes. If nothing has waited, one measurement is enough.
 */
async function whenCalm(): Promise<void> {
  for (let poll = 0; poll < LOOKS; poll++) {
    const before = performance.eventLoopUtilization()
    await sleep(LOOK_MS)
    if (performance.eventLoopUtilization(before).utilization < 0.7) return
  }
}
