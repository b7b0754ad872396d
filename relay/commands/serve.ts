import { serve as listen } from '@hono/node-server'
import pino from 'pino'
import { createPortClient } from '../../port/client.ts'
import { createApp } from '../app.ts'
import { readConfig } from '../config.ts'
import { createWatching } from '../deliveries/create-watching.ts'
import { startWorkers } from '../deliveries/start-workers.ts'
import { createGitHub } from '../github/client.ts'
import { createGitHubWebhook } from '../github/webhooks.ts'
import { createReports } from '../reports/create-reports.ts'
import { openStore } from '../store/open.ts'

/** What a stop may take before open connections are cut. */
const STOP_MS = 20_000

/** Headers and bodies must arrive in time; an idle connection outlives the 60 s that load balancers keep theirs. */
const AGAINST_SLOW_SENDERS = {
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  connectionsCheckingInterval: 2_000,
  keepAliveTimeout: 65_000,
}

/** Runs the relay until SIGTERM or SIGINT. */
export async function serve(env: Record<string, string | undefined>): Promise<void> {
  const config = readConfig(env)
  const log = pino({ level: config.logLevel }, pino.destination({ dest: 1, sync: false, minLength: 4096 }))
  const flushing = setInterval(() => log.flush(), 100).unref()
  const store = await openStore(config.database, config.dispatchRate)
  const clock = Date.now
  const github = createGitHub(config.github)
  const { clientId } = config.port
  const port = clientId ? createPortClient({ ...config.port, clientId }) : null
  const { startTimeout, runTimeout } = config
  const { watch, lister } = createWatching({ store, github, port, startTimeout, runTimeout, clock })
  const workers = startWorkers({ config, store, github, port, watch, log })
  const reports = createReports({ config, store, github, port, clock, log })
  const receiveGitHub = createGitHubWebhook({
    secret: config.github.webhookSecret,
    store,
    lister,
    clock,
    log,
  })
  const app = createApp({ config, store, reports, receiveGitHub, clock, log })
  const server = listen(
    {
      fetch: app.fetch,
      hostname: config.listen.host,
      port: config.listen.port,
      serverOptions: AGAINST_SLOW_SENDERS,
    },
    ({ address, port }) => log.info({ address, port }, 'listening'),
  )
  server.on('error', error => {
    console.error(
      `The relay cannot listen on ${config.listen.host}:${config.listen.port} (${(error as NodeJS.ErrnoException).code}): set HOST and PORT to a free address.`,
    )
    process.exit(1)
  })
  if (!config.port.clientId) {
    log.warn('PORT_CLIENT_ID is not set: the relay dispatches, but cannot tell Port what became of it')
  }
  if (config.targets.allowed.length === 0) {
    log.warn('No repository is allowed: set RELAY_REPOSITORY, RELAY_ROUTES or RELAY_ALLOWED_REPOSITORIES')
  }

  let stopping = false
  const stop = async (signal: string) => {
    if (stopping) return
    stopping = true
    log.info({ signal }, 'stopping')
    // Accept nothing more, finish what was accepted, give leases back, close the store.
    const cut = setTimeout(
      () => 'closeAllConnections' in server && server.closeAllConnections(),
      STOP_MS,
    ).unref()
    await Promise.all([
      new Promise(resolve => server.close(resolve)),
      ...workers.map(worker => worker.stop()),
    ])
    clearTimeout(cut)
    await store.close()
    clearInterval(flushing)
    log.info('stopped')
    log.flush(() => process.exit(0))
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop(signal))
}
