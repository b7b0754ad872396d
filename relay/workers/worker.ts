import { setTimeout as sleep } from 'node:timers/promises'
import type { ThrottledLog } from '../log.ts'

/** One kind of due work: how it is claimed, and the step that each claim takes. */
export interface WorkerDefinition<Claim> {
  name: string
  claim: (limit: number) => Promise<Claim[]>
  /** Equal for two claims of the same work. */
  key: (claim: Claim) => string
  /** @param stopping aborted when the worker is to stop */
  step: (claim: Claim, stopping: AbortSignal) => Promise<void>
  /** How many steps may be under way at once. */
  concurrency: number
}

export interface Worker {
  /** Work may have come due. */
  wake(): void
  /** Starts the next round of periodic work at once. */
  runNow(): void
  /**
   * When it was last busy, and when it last started a claim that found nothing, by `performance.now()`: several workers
   * have nothing left to do when each has claimed in vain since all were busy.
   */
  activity(): { busyAt: number; idleAt: number }
  /** Claims nothing more, and resolves when every step under way has finished. */
  stop(): Promise<void>
}

/** How often expired leases and due times are checked, and how often if there was no work for a minute. */
const POLL_MS = 500
const QUIET_POLL_MS = 2_000
const QUIET_MS = 60_000

/**
 * How long to wait before the next check. All workers check at the same moments, so that SQLite gets their claims as one
 * batch.
 *
 * @param now and when work was last found or expected; `performance.now()`
 */
export function pollDelay(now: number, lastWorkAt: number): number {
  const interval = now - lastWorkAt < QUIET_MS ? POLL_MS : QUIET_POLL_MS
  return interval - (now % interval)
}

/**
 * How long to rest after finding nothing: a millisecond more each time in a row, up to this. Unnecessary wake-ups
 * don't become a busy loop, and the first work after a quiet time doesn't wait.
 */
const LONGEST_REST_MS = 20
/** After a failure. */
const FAILURE_MS = 1_000
const UNAVAILABLE = 'database unavailable; retrying'
const STEP_FAILED = 'a step failed; it is retried when its lease has expired'

/**
 * Claims whatever is due and moves it one step, until stopped. What a step that throws has claimed is due again when
 * its lease has expired.
 */
export function startWorker<Claim>(
  work: WorkerDefinition<Claim>,
  throttled: Pick<ThrottledLog, 'error'>,
): Worker {
  const active = new Map<string, Promise<void>>()
  /** Claimed while a step of it is under way: the next step follows that one. */
  const again = new Map<string, Claim>()
  const stopping = new AbortController()
  let signal = Promise.withResolvers<void>()
  let lastWorkAt = performance.now()
  const wake = () => {
    lastWorkAt = performance.now()
    signal.resolve()
  }

  let busyAt = performance.now()
  let idleAt = 0

  const start = (claim: Claim) => {
    const key = work.key(claim)
    // Something else has changed it meanwhile and made it due, or this process was suspended for longer than a lease.
    if (active.has(key)) {
      again.set(key, claim)
      return
    }
    const ended = work
      .step(claim, stopping.signal)
      .catch(error => {
        throttled.error({ err: error, work: work.name, delivery: key }, STEP_FAILED)
      })
      .finally(() => {
        active.delete(key)
        busyAt = performance.now()
        const next = again.get(key)
        again.delete(key)
        if (next !== undefined && !stopping.signal.aborted) start(next)
        wake()
      })
    active.set(key, ended)
  }
  const loop = async () => {
    let emptyClaims = 0
    const poll = () => {
      emptyClaims = 0
      signal.resolve()
    }
    while (!stopping.signal.aborted) {
      signal = Promise.withResolvers()
      const timer = setTimeout(poll, pollDelay(performance.now(), lastWorkAt))
      const free = work.concurrency - active.size
      const looksAt = performance.now()
      try {
        const claims = free > 0 ? await work.claim(free) : []
        if (claims.length === 0 && active.size === 0) idleAt = looksAt
        for (const claim of claims) start(claim)
        emptyClaims = claims.length === 0 ? emptyClaims + 1 : 0
        if (emptyClaims > 0) await sleep(Math.min(emptyClaims, LONGEST_REST_MS))
      } catch (error) {
        throttled.error({ err: error, work: work.name }, UNAVAILABLE)
        await sleep(FAILURE_MS)
      }
      if (!stopping.signal.aborted) await signal.promise
      clearTimeout(timer)
    }
    await Promise.all(active.values())
  }

  const ended = loop()
  return {
    wake,
    runNow: wake,
    activity: () => ({ busyAt: active.size > 0 ? performance.now() : busyAt, idleAt }),
    async stop() {
      stopping.abort()
      wake()
      await ended
    },
  }
}

/** Periodic work, one round after the other. */
export function repeat(
  name: string,
  everyMs: number,
  throttled: Pick<ThrottledLog, 'error'>,
  work: (stopped: () => boolean) => Promise<unknown>,
): Worker {
  let stopped = false
  let asked = 0
  let running: Promise<unknown> = Promise.resolve()
  const round = () => {
    running = running
      .then(() => (stopped ? undefined : work(() => stopped)))
      .catch(error => throttled.error({ err: error, work: name }, UNAVAILABLE))
    return running
  }
  const timer = setInterval(round, everyMs)
  return {
    wake() {},
    runNow() {
      asked += 1
      void round().then(() => {
        asked -= 1
      })
    },
    activity: () => ({ busyAt: asked > 0 ? performance.now() : 0, idleAt: Number.POSITIVE_INFINITY }),
    async stop() {
      stopped = true
      clearInterval(timer)
      await running
    },
  }
}
