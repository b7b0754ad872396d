import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import type { ThrottledLog } from '../log.ts'

export interface WorkerDefinition<Claim> {
  name: string
  claim: (limit: number) => Promise<Claim[]>
  /** Called after each claim that found no work. */
  onEmpty?: () => void
  key: (claim: Claim) => string
  /** @param stopping aborted when the worker stops */
  step: (claim: Claim, stopping: AbortSignal) => Promise<void>
  concurrency: number
}

export interface Worker {
  wake(): void
  runNow(): void
  /** Times by `performance.now()`. All workers are idle if every worker's last empty claim started after the last busy time. */
  activity(): { busyAt: number; idleAt: number }
  /** Stops claiming work, and resolves when all steps in progress have finished. */
  stop(): Promise<void>
}

/**
 * The pause before a claim grows by a millisecond with each consecutive empty claim, so that unnecessary wake-ups don't
 * cause a busy loop. After QUIET_MS without an empty claim, the pause starts at zero again.
 */
const LONGEST_REST_MS = 20
const QUIET_MS = 500
const FAILURE_MS = 1_000
const UNAVAILABLE = 'database unavailable; retrying'
const STEP_FAILED = 'a step failed; it is retried when its lease expires'

/** Claims due work when it's woken, and runs a step for each claim. If a step throws, the work is due again when its lease expires. */
export function startWorker<Claim>(
  work: WorkerDefinition<Claim>,
  throttled: Pick<ThrottledLog, 'error'>,
): Worker {
  const active = new Map<string, Promise<void>>()
  /** Claims of work for which a step is already in progress. The next step starts when that step finishes. */
  const again = new Map<string, Claim>()
  const stopping = new AbortController()
  let signal = Promise.withResolvers<void>()
  const wake = () => signal.resolve()
  let busyAt = performance.now()
  let idleAt = 0

  const start = (claim: Claim) => {
    const key = work.key(claim)
    // Work can be claimed again because another change made it due, or because this process was suspended.
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
      // A step's last change and its end wake the worker in the same turn, and together cause one claim.
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
 * Repeats periodic work, one round at a time. The next round starts after `everyMs`, or earlier if the round returned a
 * shorter time. After {@link Worker.wake}, or if the round returned 0 or less, the next round starts after `soonestMs`.
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
    const wait = await work(() => isStopped).catch(error => {
      throttled.error({ err: error, work: name }, UNAVAILABLE)
    })
    plan(startedAt + Math.min(Number(wait) > 0 ? Number(wait) : soonestMs, isWoken ? soonestMs : everyMs))
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
