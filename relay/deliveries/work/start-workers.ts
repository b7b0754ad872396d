import type { Logger } from 'pino'
import type { PortClient } from '../../port/client/port-client.ts'
import type { Config } from '../config/config.ts'
import type { GitHub } from '../github/client.ts'
import type { Pauses } from '../github/pauses.ts'
import type { Store } from '../store/store.ts'
import { createPortAsker } from './ask-port.ts'
import type { Watching } from './create-watching.ts'
import { type DispatchParts, dispatch } from './dispatch.ts'
import { purge } from './purge.ts'
import { type PortPause, TELL_LEASE_MS, tell } from './tell.ts'
import { tellQueue } from './tell-queue.ts'
import { startWorker, type Worker } from './worker.ts'

/** A lease outlives the longest step: a few requests to GitHub and Port, each with its own time-out. */
const LEASE_MS = 60_000
/** All deliveries of a few repositories, since those of one wait for the same answer of GitHub. */
const WATCHED_AT_ONCE = 100
/** How often finished deliveries are looked through for those that are kept no longer. */
const PURGE_MS = 60_000
/** How soon a relay knows, without a delivery at hand, that another was asked to wait. */
const PAUSES_MS = 2_000

export interface WorkersParts {
  config: Config
  store: Store
  github: GitHub
  pauses: Pauses
  /** Null without PORT_CLIENT_ID. */
  port: PortClient | null
  watch: Watching['watch']
  log: Logger
}

/** Starts everything that moves deliveries on: dispatch, watch, words for Port, the end of retention. */
export function startWorkers({ config, store, github, pauses, port, watch, log }: WorkersParts): Worker[] {
  const clock = Date.now
  const parts: DispatchParts = {
    store,
    github,
    pauses,
    asker: createPortAsker(port && (runId => port.run(runId).read()), clock),
    clock,
    publicUrl: config.publicUrl,
    startTimeout: config.startTimeout,
    runTimeout: config.runTimeout,
    tells: port !== null,
  }
  const workers: Worker[] = [
    startWorker(
      {
        name: 'dispatch',
        claim: limit => store.claimQueued(clock(), LEASE_MS, limit, pauses.shared),
        step: (delivery, stopping) => dispatch(delivery, parts, stopping),
        concurrency: 20,
      },
      log,
    ),
    startWorker(
      {
        name: 'watch',
        claim: limit => store.claimWatched(clock(), LEASE_MS, limit),
        step: watch,
        concurrency: WATCHED_AT_ONCE,
      },
      log,
    ),
  ]
  if (port) {
    const pause: PortPause = { until: 0 }
    const giveUpAfter = Math.max(config.retention, config.runTimeout)
    workers.push(
      startWorker(
        {
          name: 'tell Port',
          claim: async limit =>
            clock() < pause.until ? [] : store.claimTelling(clock(), TELL_LEASE_MS, limit),
          step: telling => tell(telling, { store, port, clock, log, giveUpAfter, pause }),
          concurrency: 10,
        },
        log,
      ),
    )
  }
  const awaiting = [...workers]
  store.onWork(() => {
    for (const worker of awaiting) worker.wake()
  })
  // Woken by nobody: it looks at its own pace, however many deliveries arrive.
  if (port) workers.push(startWorker(tellQueue({ store, pauses, clock }), log))
  const { retention } = config
  const { tolerance } = config.webhook
  workers.push(
    repeat(PURGE_MS, 'purge', log, async stopped => {
      const removed = await purge(store, { now: clock(), retention, tolerance }, stopped)
      if (removed > 0) log.info({ removed }, 'removed deliveries past RELAY_RETENTION')
    }),
    repeat(PAUSES_MS, 'pauses', log, async () => pauses.learn(await store.pauses(clock()))),
  )
  return workers
}

/** Work that comes at an interval, one run after the other. */
function repeat(
  everyMs: number,
  name: string,
  log: Logger,
  work: (stopped: () => boolean) => Promise<void>,
): Worker {
  let stopped = false
  let running: Promise<unknown> = Promise.resolve()
  const timer = setInterval(() => {
    running = running
      .then(() => (stopped ? undefined : work(() => stopped)))
      .catch(error => log.error({ err: error }, `${name}: the store does not answer`))
  }, everyMs)
  return {
    wake() {},
    async stop() {
      stopped = true
      clearInterval(timer)
      await running
    },
  }
}
