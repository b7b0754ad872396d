import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { Logger } from 'pino'
import { createPortClient } from '../../port/client/port-client.ts'
import { createApp } from '../app.ts'
import type { Config } from '../config/config.ts'
import { matcher } from '../config/routes.ts'
import { createWatching } from '../deliveries/create-watching.ts'
import { logFailed } from '../deliveries/log-failed.ts'
import { startWorkers } from '../deliveries/start-workers.ts'
import { createGitHub } from '../github/client.ts'
import { createPauses } from '../github/pauses.ts'
import { createRelayServer } from '../http/create-server.ts'
import { createReports } from '../reports/create-reports.ts'
import { openStore } from '../store/open.ts'
import { createGitHubWebhook } from '../webhook/receive-github.ts'

/** What a stop may take before open connections are cut. */
const STOP_MS = 20_000

/** A relay at work. */
export interface Relay {
  address: string
  port: number
  /** Accepts nothing more, finishes what was accepted, gives leases back, closes the store. */
  stop(): Promise<void>
}

/**
 * Puts the relay's parts together and listens.
 *
 * @throws Error with a sentence where the database cannot be opened or the address is taken
 */
export async function openRelay(config: Config, log: Logger): Promise<Relay> {
  const store = logFailed(await openStore(config.database, config.dispatchRate), log)
  const clock = Date.now
  const pauses = createPauses(config.github.auth, clock, pause => {
    store.pause(pause).catch(error => log.error({ err: error }, 'a pause could not be written down'))
  })
  pauses.learn(await store.pauses(clock()))
  const github = createGitHub(config.github, clock, pauses, {
    isAllowed: matcher(config.targets.allowed),
    secrets: [...config.webhook.secrets, config.adminToken ?? ''],
  })
  const { clientId } = config.port
  const port = clientId ? createPortClient({ ...config.port, clientId }) : null
  const { startTimeout, runTimeout } = config
  const { watch, lister } = createWatching({ store, github, port, startTimeout, runTimeout, clock })
  const reports = createReports({ config, store, github, port, clock, log })
  const receiveGitHub = createGitHubWebhook({
    secret: config.github.webhookSecret,
    store,
    lister,
    clock,
    log,
  })
  const stopping = new AbortController()
  const app = createApp({ config, store, reports, receiveGitHub, clock, stopping: stopping.signal, log })
  const { host, port: listenPort } = config.listen
  const server = createRelayServer(app.fetch)
  server.listen(listenPort, host)
  await once(server, 'listening').catch(async cause => {
    await store.close()
    throw new Error(
      `The relay cannot listen on ${host}:${listenPort} (${(cause as NodeJS.ErrnoException).code}): set HOST and PORT to a free address.`,
      { cause },
    )
  })
  const workers = startWorkers({ config, store, github, pauses, port, watch, log })
  const { address, port: boundPort } = server.address() as AddressInfo
  return {
    address,
    port: boundPort,
    async stop() {
      // A connection that was busy when the stop began becomes idle later, and would hold it up.
      const idle = setInterval(() => server.closeIdleConnections(), 50)
      const cut = setTimeout(() => server.closeAllConnections(), STOP_MS)
      const closed = new Promise(resolve => server.close(resolve))
      await Promise.all(workers.map(worker => worker.stop()))
      stopping.abort()
      await closed
      clearInterval(idle)
      clearTimeout(cut)
      await store.close()
    },
  }
}
