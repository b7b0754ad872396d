import type { Logger } from 'pino'
import type { Config } from '../../config/config.ts'
import type { GitHub } from '../../github/client.ts'
import type { RateLimitGate } from '../../github/rate-limit-gate.ts'
import type { Trouble } from '../../log/trouble.ts'
import type { Store, Work } from '../../store/store.ts'
import { createAnnounceWaiting } from '../dispatch/announce-waiting.ts'
import { DISPATCH_LEASE_MS, dispatch } from '../dispatch/dispatch.ts'
import type { Engine } from '../engine.ts'
import { OUTBOX_LEASE_MS, sendOutbox } from '../outbox/send-outbox.ts'
import { forgetSignatures, purge } from './purge.ts'
import { createReminders } from './reminders.ts'
import { repeat, startWorker, type Worker } from './worker.ts'

const DISPATCHES_AT_ONCE = 20
/** All deliveries of a few repositories, since those of one wait for the same answer of GitHub. */
const WATCHED_AT_ONCE = 100
/** A look at the list and at one run, at Port's run, and at jobs and their logs; each has its own time-out. */
const WATCH_LEASE_MS = 60_000
const OUTBOXES_AT_ONCE = 10
const MAINTENANCE_MS = 60_000
/** How soon a relay learns of a gate that another relay closed. */
const GATES_MS = 2_000
const ANNOUNCE_MS = 500

export interface WorkersDeps {
  config: Config
  store: Store
  github: Pick<GitHub, 'facts' | 'clockOffset'>
  engine: Engine
  gate: RateLimitGate
  log: Pick<Logger, 'info' | 'warn'>
  trouble: Trouble
}

/** Starts everything that advances deliveries: dispatch, watch, outbox, and periodic work. */
export function startWorkers({ config, store, github, engine, gate, log, trouble }: WorkersDeps): Worker[] {
  const { port } = engine
  const retention = Math.max(config.retention, config.runTimeout)
  const woken: Record<Work, Worker> = {
    dispatch: startWorker(
      {
        name: 'dispatch',
        async claim(limit) {
          const permits = await store.takePermits(store.clock(), limit)
          if (permits === 0) return []
          const claimed = await store.claimQueued(store.clock(), DISPATCH_LEASE_MS, permits, gate.shared)
          await store.returnPermits(permits - claimed.length)
          return claimed
        },
        key: delivery => delivery.id,
        step: (delivery, stopping) => dispatch(delivery, engine.dispatchDeps, stopping),
        concurrency: DISPATCHES_AT_ONCE,
      },
      trouble,
    ),
    watch: startWorker(
      {
        name: 'watch',
        claim: limit => store.claimWatched(store.clock(), WATCH_LEASE_MS, limit),
        key: delivery => delivery.id,
        step: engine.watch,
        concurrency: WATCHED_AT_ONCE,
      },
      trouble,
    ),
    outbox: startWorker(
      {
        name: 'outbox',
        claim: limit => store.claimOutboxes(store.clock(), OUTBOX_LEASE_MS, limit),
        key: page => page.delivery,
        step: (page, stopping) =>
          sendOutbox(page, { store, client: port.client, log, trouble, retention }, stopping),
        concurrency: OUTBOXES_AT_ONCE,
      },
      trouble,
    ),
  }
  const forget = store.onWork(work => {
    for (const kind of work) woken[kind].wake()
  })
  const remind = createReminders(github, { clock: Date.now, log })
  const announce = createAnnounceWaiting({ store, gate, apply: engine.apply })
  const stop = () => {
    forget()
    return woken.dispatch.stop()
  }
  return [
    { ...woken.dispatch, stop },
    woken.watch,
    woken.outbox,
    // Not woken by new work: it runs at an interval, however many deliveries arrive.
    repeat('announce', ANNOUNCE_MS, trouble, announce),
    repeat('gates', GATES_MS, trouble, async () => gate.learn(await store.closedGates(store.clock()))),
    repeat('maintenance', MAINTENANCE_MS, trouble, async stopped => {
      remind()
      const now = store.clock()
      await store.repairDueTimes(now)
      await forgetSignatures(store, stopped)
      const { tolerance } = config.webhook
      const removed = await purge(store, { now, retention: config.retention, tolerance }, stopped)
      if (removed > 0) log.info({ removed }, 'deliveries past RELAY_RETENTION were removed')
    }),
  ]
}
