import { setTimeout as sleep } from 'node:timers/promises'
import type { ThrottledLog } from '../log.ts'

/** Defines how a worker claims due work, and the step that processes a claim. */
export interface WorkerDefinition<Claim> {
  name: string
  claim: (limit: number) => Promise<Claim[]>
  /** Called after a claim that found nothing. */
  onEmpty?: () => void
  /** Returns the same key for claims of the same work. */
  key: (claim: Claim) => string
  /** @param stopping aborted when the worker stops */
  step: (claim: Claim, stopping: AbortSignal) => Promise<void>
  /** Maximum number of concurrent steps. */
  concurrency: number
}

export interface Worker {
  /** Makes the worker check for due work. */
  wake(): void
  /** Starts the next round of periodic work immediately. */
  runNow(): void
  /**
   * When the worker was last busy, and when it last started a claim that found nothing, by `performance.now()`. All
   * workers are idle once each one has made an empty claim after any of them was last busy.
   */
  activity(): { busyAt: number; idleAt: number }
  /** Stops claiming, and resolves when every step in progress has finished. */
  stop(): Promise<void>
}

/**
 * Maximum rest after an empty claim. Each consecutive empty claim adds a millisecond, so that unnecessary wake-ups
 * don't cause a busy loop and the first work after a quiet period doesn't wait.
 */
const LONGEST_REST_MS = 20
const QUIET_MS = 500
/** Rest after a failed claim. */
const FAILURE_MS = 1_000
const UNAVAILABLE = 'database unavailable; retrying'
const STEP_FAILED = 'a step failed; it is retried when its lease has expired'

/**
 * Claims due work when woken, and runs one step for each claim, until stopped. If a step throws, its work is due again
 * when the lease expires.
 */
export function startWorker<Claim>(
  work: WorkerDefinition<Claim>,
  throttled: Pick<ThrottledLog, 'error'>,
): Worker {
  const active = new Map<string, Promise<void>>()
  /** Claims of work that already has a step in progress. Their steps run after that step. */
  const again = new Map<string, Claim>()
  const stopping = new AbortController()
  let signal = Promise.withResolvers<void>()
  const wake = () => signal.resolve()

  let busyAt = performance.now()
  let idleAt = 0

  const start = (claim: Claim) => {
    const key = work.key(claim)
    // Another change made the work due again, or this process was suspended for longer than a lease.
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
    let emptyAt = 0
    while (!stopping.signal.aborted) {
      signal = Promise.withResolvers()
      const free = work.concurrency - active.size
      const looksAt = performance.now()
      try {
        const claims = free > 0 ? await work.claim(free) : []
        if (claims.length > 0 || looksAt - emptyAt > QUIET_MS) emptyClaims = 0
        if (claims.length === 0) {
          emptyClaims++
          emptyAt = looksAt
          if (active.size === 0) idleAt = looksAt
          work.onEmpty?.()
        }
        for (const claim of claims) start(claim)
        if (emptyClaims > 0) await sleep(Math.min(emptyClaims, LONGEST_REST_MS))
      } catch (error) {
        throttled.error({ err: error, work: work.name }, UNAVAILABLE)
        await sleep(FAILURE_MS)
      }
      if (!stopping.signal.aborted) await signal.promise
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

/** Shortest wait after a check that found work that can't be claimed yet, and longest wait for work that is due later. */
const SOONEST_MS = 500
const LATEST_MS = 2_000

/**
 * Repeats a check for due work: when work becomes due, half a second after {@link Worker.wake}, and every two seconds.
 *
 * @param check returns the milliseconds until work is due; zero or less if work is due already
 */
export function startSchedule(check: () => Promise<number>, throttled: Pick<ThrottledLog, 'error'>): Worker {
  let timer: NodeJS.Timeout | undefined
  let [checkedAt, nextAt] = [0, 0]
  let isWoken = false
  let isStopped = false
  let checking: Promise<void> | null = null

  const schedule = (at: number) => {
    clearTimeout(timer)
    nextAt = at
    if (!isStopped) timer = setTimeout(round, Math.max(1, at - performance.now()))
  }
  const round = () => {
    checkedAt = performance.now()
    isWoken = false
    checking = check()
      .catch(error => {
        throttled.error({ err: error, work: 'due work' }, UNAVAILABLE)
        return 0
      })
      .then(wait => {
        checking = null
        schedule(checkedAt + Math.min(wait > 0 ? wait : SOONEST_MS, isWoken ? SOONEST_MS : LATEST_MS))
      })
  }
  const wake = () => {
    isWoken = true
    if (!checking && checkedAt + SOONEST_MS < nextAt) schedule(checkedAt + SOONEST_MS)
  }
  round()
  return {
    wake,
    runNow: wake,
    activity: () => ({ busyAt: 0, idleAt: Number.POSITIVE_INFINITY }),
    async stop() {
      isStopped = true
      clearTimeout(timer)
      await checking
    },
  }
}

/** Repeats periodic work, one round at a time. */
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
