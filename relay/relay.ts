import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { createPortClient } from '../port/client/client.ts'
import { ALERTS_MS, createAlerts } from './admin/alerts.ts'
import { createRoles } from './admin/auth.ts'
import { createDatabaseCheck, createHealth, createReadiness, createTally } from './admin/health.ts'
import { createMetrics, createMetricsRoute } from './admin/metrics.ts'
import { CHECK_MS, createPublicAddress } from './admin/public-address.ts'
import { createAdmin } from './admin/routes.ts'
import { createSides, GITHUB_REJECTS } from './admin/sides.ts'
import { createApp } from './app.ts'
import type { Config } from './config/config.ts'
import { LIMITS } from './config/limits.ts'
import { fetchObserved, responseOutcome } from './config/outgoing.ts'
import { matcher } from './config/routes.ts'
import type { Policy } from './delivery/events.ts'
import { createGitHub } from './github/client.ts'
import { createRateLimitPauses } from './github/rate-limit-pause.ts'
import { createRefusals } from './http/refusals.ts'
import { createRelayServer } from './http/server.ts'
import { createGitHubWebhook } from './intake/github-webhook.ts'
import { createThrottledLog } from './log.ts'
import { createReports } from './reports/routes.ts'
import { ofAnotherOrganization } from './store/migrations.ts'
import { openStore } from './store/open.ts'
import type { Store } from './store/store.ts'
import { createDispatchRate, DISPATCH_BURST } from './workers/dispatch.ts'
import { createFindByTitle, createFindOwners } from './workers/find-runs.ts'
import { PORT_TIMEOUT_MS } from './workers/outbox.ts'
import { createTimeouts } from './workers/timeouts.ts'
import { repeat, type Worker } from './workers/worker.ts'
import { createEngine, startWorkers } from './workers/workers.ts'

const CHECK_SIDES_MS = 5_000
/** How long a stopping relay waits for requests and steps in progress. */
const STOP_MS = 20_000

export type Relay = Awaited<ReturnType<typeof createRelay>>
export type AssembledRelay = Awaited<ReturnType<typeof assembleRelay>>

/**
 * @param stopping aborted when this relay stops dispatching
 * @param opening the store, if the caller has already started to open it
 * @param firstDispatches how many dispatches RELAY_DISPATCH_RATE allows at the start
 * @throws Error with a message for users if the database can't be opened
 */
export async function assembleRelay(
  config: Config,
  log: Logger,
  stopping: AbortSignal,
  opening = openStore(config.database, { clientId: config.port.clientId }),
  firstDispatches = DISPATCH_BURST,
) {
  const tally = createTally(await openOwn(config, opening), log)
  const { store } = tally
  const { clock } = store
  const throttled = createThrottledLog(log, LIMITS.loggedReasons)
  const metrics = createMetrics()
  const pauses = createRateLimitPauses(config.github.auth, clock, closed => {
    const { reason, pausedUntil, cause } = closed
    const fields = { reason, until: new Date(pausedUntil).toISOString() }
    if (cause === 'limit') throttled.warn(fields, 'GitHub is rate limiting the relay: requests are paused')
    else throttled.error(fields, GITHUB_REJECTS)
    store
      .savePause(closed)
      .catch(error => throttled.error({ err: error }, "a rate-limit pause couldn't be persisted"))
  })
  pauses.add(await store.activePauses(clock()))
  const isAllowed = matcher(config.targets.allowed)
  const secrets = [...config.port.secrets, config.adminToken ?? '']
  const sides = createSides({
    ...{ config, clock, pauses, throttled },
    checks: () => [
      { side: 'github', check: github.checkCredential },
      ...(client ? [{ side: 'port' as const, check: client.check }] : []),
    ],
  })
  const github = createGitHub(config.github, clock, pauses, {
    ...{ isAllowed, secrets },
    onResponse(response, error) {
      metrics.request('github', responseOutcome(response))
      sides.observeGitHub(response, error)
    },
  })
  const { apiUrl, clientId, secrets: clientSecrets } = config.port
  const client =
    clientId === null
      ? null
      : createPortClient({
          ...{ apiUrl, clientId, clientSecret: clientSecrets[0], clock },
          timeoutMs: PORT_TIMEOUT_MS,
          readNodeRuns: true,
          fetch: (url, init) =>
            fetchObserved(url, { ...init, redirect: 'manual' }, response =>
              metrics.request('port', responseOutcome(response)),
            ),
          onResult: sides.observePort,
        })
  const { startTimeout, runTimeout, publicUrl } = config
  const traced = config.tracing !== null
  const { clockOffset } = github
  const timeouts = createTimeouts({ store, clockOffset, stored: await store.clockDifference(), log })
  const policy = (): Policy => ({
    ...{ startTimeout, runTimeout, serverUrl: github.serverUrl, timeoutsFrom: timeouts.from() },
  })
  const findByTitle = createFindByTitle(store)
  const findOwners = createFindOwners(findByTitle)
  const rate = createDispatchRate(config.dispatchRate, firstDispatches)
  const engine = createEngine({
    ...{ store, github, pauses, rate, client, findOwners, policy, publicUrl, traced, log, throttled },
    retention: Math.max(config.retention, runTimeout),
    onTransition(before, applied, now) {
      metrics.transition(before, applied, now)
      tally.transition(applied)
    },
    onAttempt: metrics.attempt,
  })
  const { apply, port, freezes } = engine
  await freezes.check()
  const challengeKey = await store.challengeKey()
  const address = createPublicAddress({ config, key: challengeKey, clock, throttled })
  const roles = createRoles(config)
  const checkDatabase = createDatabaseCheck(store, throttled)
  const refusals = createRefusals(config.trustedProxies, clock)
  const health = createHealth({
    ...{ store, github, pauses, port, freezes, sides, timeouts, refusals, address, checkDatabase, throttled },
  })
  const admin = createAdmin({
    ...{ config, roles, store, apply, freezes, port, pauses, sides, refusals, health, checkDatabase, github },
    ...{ log, throttled, clock: Date.now },
  })
  const alerts = createAlerts({ config, store, sides, health, checkDatabase, throttled })
  const { app, receive } = createApp({
    ...{ config, store, apply, log, throttled, metrics },
    ...{ challengeKey, clock: Date.now },
    reports: createReports({
      ...{ config, store, github, apply, port, findByTitle, clock: Date.now, log, throttled },
    }),
    checkDatabase,
    readinessRoute: createReadiness({ checkDatabase, sides, health }),
    metricsRoute: createMetricsRoute({
      ...{ metrics, roles, store, github, port, pauses, sides, address, checkDatabase, throttled },
      clock: Date.now,
    }),
    admin,
    receiveGitHub: createGitHubWebhook({
      secret: config.github.webhookSecret,
      trustedProxies: config.trustedProxies,
      ...{ store, apply, findOwners, traced, clockOffset, startTimeout },
    }),
    stopping,
  })
  return {
    ...{ app, receive, throttled },
    startWorkers: (): Worker[] => [
      ...startWorkers({ config, store, github, timeouts, engine, pauses, rate, log, throttled }),
      repeat('check sides', CHECK_SIDES_MS, throttled, sides.check),
      repeat('check RELAY_PUBLIC_URL', CHECK_MS, throttled, address.check, CHECK_SIDES_MS),
      ...(config.alert ? [repeat('alerts', ALERTS_MS, throttled, alerts)] : []),
    ],
    async flush(): Promise<void> {
      throttled.flush()
      await tally.flush()
    },
    async close(): Promise<void> {
      throttled.flush()
      await tally.stop()
      await store.close()
    },
  }
}

/** Opens the store. Closes it if the database belongs to another Port organization, so that the process can exit. */
async function openOwn({ port }: Config, opening: Promise<Store>): Promise<Store> {
  const store = await opening
  try {
    const stored = await store.organization(port.clientId)
    if (stored !== port.clientId)
      throw new Error(`The database (RELAY_DATABASE) ${ofAnotherOrganization(stored, port.clientId)}`)
    return store
  } catch (error) {
    await store.close()
    throw error
  }
}

/** Starts a relay. @throws Error with a message for users if the database can't be opened or the address is in use */
export async function createRelay(config: Config, log: Logger, opening?: Promise<Store>) {
  const stopping = new AbortController()
  const relay = await assembleRelay(config, log, stopping.signal, opening)
  const { throttled, startWorkers, close } = relay
  const { host, port: listenPort } = config.listen
  const onRefusal = (status: number, reason: string, address: string) =>
    throttled.warn({ status, reason, address }, "a request that can't be read was refused")
  const server = createRelayServer(relay.app.fetch, onRefusal, relay.receive)
  // If the queue of new connections is full, the kernel drops an attempt to connect, and the sender waits for 1 s before the next attempt.
  server.listen(listenPort, host, LIMITS.connections)
  await once(server, 'listening').catch(async cause => {
    await close()
    throw new Error(
      `The relay can't listen on ${host}:${listenPort} (${(cause as NodeJS.ErrnoException).code}): set HOST and PORT to a free address.`,
      { cause },
    )
  })
  const workers = startWorkers()
  const { address, port: boundPort } = server.address() as AddressInfo
  return {
    address,
    port: boundPort,
    /** Stops accepting requests, finishes work in progress, and closes the store, within 25 s. */
    async stop(): Promise<void> {
      const idle = setInterval(() => server.closeIdleConnections(), 50)
      const closed = new Promise(resolve => server.close(resolve))
      const late = new AbortController()
      const patience = sleep(STOP_MS, undefined, { signal: late.signal }).catch(() => {})
      // Work that isn't finished by then isn't lost: after a restart, the relay finds it by leases and recorded attempts.
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
