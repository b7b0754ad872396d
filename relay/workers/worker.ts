import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import type { ThrottledLog } from '../log.ts'

export interface WorkerDefinition<Claim> {
  name: string
  claim: (limit: number) => Promise<Claim[]>
  onEmpty?: () => void
  key: (claim: Claim) => string
  /** Processes a claim. @param stopping aborted when the worker stops */
  step: (claim: Claim, stopping: AbortSignal) => Promise<void>
  concurrency: number
}

export interface Worker {
  wake(): void
  runNow(): void
  /** Times by `performance.now()`. `busyAt`: when the worker last had work. `idleAt`: when the latest claim started that found nothing while no step was in progress. */
  activity(): { busyAt: number; idleAt: number }
  /** Stops claiming work. Resolves when all steps in progress have finished. */
  stop(): Promise<void>
}

/**
 * The longest pause before a claim. Each consecutive claim that finds nothing makes the pause a millisecond longer,
 * so that unnecessary wake-ups don't cause a busy loop. After QUIET_MS without an empty claim, the pause is zero again.
 */
const LONGEST_REST_MS = 20
const QUIET_MS = 500
const FAILURE_MS = 1_000
const UNAVAILABLE = 'database unavailable; retrying'
const STEP_FAILED = 'a step failed; it is retried when its lease expires'

/**
 * Starts a worker. Each call of `wake` makes it claim due work and run a step for each claim. If a step throws, the
 * work is due again when the lease expires.
 */
export function startWorker<Claim>(
  work: WorkerDefinition<Claim>,
  throttled: Pick<ThrottledLog, 'error'>,
): Worker {
  const active = new Map<string, Promise<void>>()
  /** New claims of work whose earlier step is still in progress. The step for the new claim starts when the earlier step finishes. */
  const again = new Map<string, Claim>()
  const stopping = new AbortController()
  let signal = Promise.withResolvers<void>()
  const wake = () => signal.resolve()
  let busyAt = performance.now()
  let idleAt = 0

  const start = (claim: Claim) => {
    const key = work.key(claim)
    // Work in progress can be claimed again if a change made it due, or if this process was suspended.
    if (active.has(key)) return void again.set(key, claim)
    const ended = work
      .step(claim, stopping.signal)
      .catch(error => throttled.error({ err: error, work: work.name, delivery: key }, STEP_FAILED))
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
    let [emptyClaims, emptyAt] = [0, 0]
    while (!stopping.signal.aborted) {
      signal = Promise.withResolvers()
      const free = work.concurrency - active.size
      const claimedAt = performance.now()
      try {
        const claims = free > 0 ? await work.claim(free) : []
        if (claims.length > 0 || claimedAt - emptyAt > QUIET_MS) emptyClaims = 0
        if (claims.length === 0) {
          emptyClaims++
          emptyAt = claimedAt
          if (active.size === 0) idleAt = claimedAt
          work.onEmpty?.()
        }
        for (const claim of claims) start(claim)
        if (emptyClaims > 0) await sleep(Math.min(emptyClaims, LONGEST_REST_MS))
      } catch (error) {
        throttled.error({ err: error, work: work.name }, UNAVAILABLE)
        await sleep(FAILURE_MS)
      }
      if (!stopping.signal.aborted) await signal.promise
      // Waits for the next turn, so that a step's last change and its end, which both wake the worker in one turn, cause a single claim.
      if (active.size > 0) await nextTurn()
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

/**
 * Repeats work in rounds. The next round starts after `everyMs`, or after the time that the previous round returned,
 * whichever is shorter. It starts after `soonestMs` if `wake` is called, if a round fails, or if a round returns 0 or
 * less.
 */
export function repeat(
  name: string,
  everyMs: number,
  throttled: Pick<ThrottledLog, 'error'>,
  work: (stopped: () => boolean) => Promise<unknown>,
  soonestMs = everyMs,
): Worker {
  let [isStopped, isWoken, asked] = [false, false, 0]
  let running: Promise<unknown> = Promise.resolve()
  let timer: NodeJS.Timeout | undefined
  let [startedAt, nextAt] = [performance.now(), 0]

  const plan = (at: number) => {
    clearTimeout(timer)
    nextAt = at
    if (!isStopped) timer = setTimeout(start, Math.max(1, at - performance.now()))
  }
  const round = async () => {
    ;[startedAt, isWoken] = [performance.now(), false]
    const returned = await work(() => isStopped).catch(error => {
      throttled.error({ err: error, work: name }, UNAVAILABLE)
      return 0
    })
    const wait = Number(returned ?? everyMs)
    plan(startedAt + Math.min(wait > 0 ? wait : soonestMs, isWoken ? soonestMs : everyMs))
  }
  const start = () => {
    clearTimeout(timer)
    nextAt = 0
    running = running.then(() => (isStopped ? undefined : round()))
    return running
  }
  plan(startedAt + soonestMs)
  return {
    wake() {
      isWoken = true
      if (startedAt + soonestMs < nextAt) plan(startedAt + soonestMs)
    },
    runNow() {
      asked += 1
      void start().then(() => asked--)
    },
    activity: () => ({ busyAt: asked > 0 ? performance.now() : 0, idleAt: Number.POSITIVE_INFINITY }),
    async stop() {
      isStopped = true
      clearTimeout(timer)
      await running
    },
  }
}
