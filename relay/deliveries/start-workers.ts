import type { Logger } from 'pino'
import type { PortClient } from '../../port/client.ts'
import type { Config } from '../config.ts'
import type { GitHub } from '../github/client.ts'
import type { Store } from '../store/store.ts'
import type { Watching } from './create-watching.ts'
import { type DispatchParts, dispatch } from './dispatch.ts'
import { createPauses } from './pauses.ts'
import { purge } from './purge.ts'
import { tell } from './tell.ts'
import { startWorker, type Worker } from './worker.ts'

/** A lease outlives the longest step: a few requests to GitHub and Port, each with its own time-out. */
const LEASE_MS = 60_000
/** All deliveries of a few repositories, since those of one wait for the same answer of GitHub. */
const WATCHED_AT_ONCE = 100
/** How often finished deliveries are looked through for those that are kept no longer. */
const PURGE_MS = 60_000

export interface WorkersParts {
  config: Config
  store: Store
  github: GitHub
  /** Null without PORT_CLIENT_ID. */
  port: PortClient | null
  watch: Watching['watch']
  log: Logger
}

/** Starts everything that moves deliveries on: dispatch, watch, words for Port, the end of retention. */
export function startWorkers({ config, store, github, port, watch, log }: WorkersParts): Worker[] {
  const clock = Date.now
  const parts: DispatchParts = {
    store,
    github,
    pauses: createPauses(!('token' in config.github.auth)),
    externalRunId: async runId => {
      const state = await port
        ?.run(runId)
        .read()
        .catch(() => null)
      return state?.externalRunId ?? null
    },
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
        claim: limit => store.claimQueued(clock(), LEASE_MS, limit),
        step: delivery => dispatch(delivery, parts),
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
    workers.push(
      startWorker(
        {
          name: 'tell Port',
          claim: limit => store.claimTelling(clock(), LEASE_MS, limit),
          step: telling => tell(telling, { store, port, clock, log, giveUpAfter: config.runTimeout }),
          concurrency: 10,
        },
        log,
      ),
    )
  }
  store.onWork(() => {
    for (const worker of workers) worker.wake()
  })
  workers.push(startPurge(store, config.retention, log))
  return workers
}

function startPurge(store: Store, retention: number, log: Logger): Worker {
  let stopped = false
  let running: Promise<unknown> = Promise.resolve()
  const timer = setInterval(() => {
    running = running
      .then(() => purge(store, Date.now() - retention, () => stopped))
      .then(removed => removed > 0 && log.info({ removed }, 'removed deliveries past RELAY_RETENTION'))
      .catch(error => log.error({ err: error }, 'purge: the store does not answer'))
  }, PURGE_MS)
  return {
    wake() {},
    async stop() {
      stopped = true
      clearInterval(timer)
      await running
    },
  }
}
