import { setTimeout as sleep } from 'node:timers/promises'
import type { Held } from '../store/store.ts'

/** One kind of due work: how it is claimed, and the step that each claim takes. */
export interface Work<Claim extends Held & { id: string }> {
  name: string
  claim: (limit: number) => Promise<Claim[]>
  /** @param stopping aborted when the worker is to stop */
  step: (claim: Claim, stopping: AbortSignal) => Promise<void>
  /** How many steps may be under way at once. */
  concurrency: number
}

export interface Worker {
  /** Work may have come due. */
  wake(): void
  /** Claims nothing more, and resolves when every step under way has ended. */
  stop(): Promise<void>
}

/** Leases that expired and times that came are found by looking this often. */
const POLL_MS = 500
/** After finding nothing, and after a failure, so that neither becomes a busy loop. */
const REST_MS = 20
const TROUBLE_MS = 1_000

/**
 * Claims whatever is due and moves it one step, until stopped. A step that throws keeps its lease until
 * that expires: then the delivery is due again.
 *
 * A process that stood still for longer than a lease (a suspended machine, a stopped container) may claim what
 * it has under way itself: that is not begun again, and goes on under the new lease. Only where the step had written
 * already, and the claim is of what it left to do, that is begun once the step has ended.
 */
export function startWorker<Claim extends Held & { id: string }>(
  work: Work<Claim>,
  log: { error: (fields: object, message: string) => void },
): Worker {
  const active = new Map<string, { claim: Claim; next: Claim | null; ended: Promise<void> }>()
  const stopping = new AbortController()
  let signal = Promise.withResolvers<void>()
  const wake = () => signal.resolve()

  const begin = (claim: Claim) => {
    const underWay = active.get(claim.id)
    if (underWay) {
      underWay.claim.lease = claim.lease
      underWay.next = claim
      return
    }
    const ended = work
      .step(claim, stopping.signal)
      .catch(error => {
        log.error(
          { err: error },
          `${work.name}: a step failed; it is taken up again when its lease has expired`,
        )
      })
      .finally(() => {
        const next = active.get(claim.id)?.next
        active.delete(claim.id)
        const isLeft = next && claim.spent !== undefined && claim.spent !== next.lease
        if (isLeft && !stopping.signal.aborted) begin(next)
        wake()
      })
    active.set(claim.id, { claim, next: null, ended })
  }
  const loop = async () => {
    while (!stopping.signal.aborted) {
      signal = Promise.withResolvers()
      const timer = setTimeout(wake, POLL_MS)
      const free = work.concurrency - active.size
      try {
        const claims = free > 0 ? await work.claim(free) : []
        for (const claim of claims) begin(claim)
        if (claims.length === 0) await sleep(REST_MS)
      } catch (error) {
        log.error({ err: error }, `${work.name}: the store does not answer; trying again`)
        await sleep(TROUBLE_MS)
      }
      if (!stopping.signal.aborted) await signal.promise
      clearTimeout(timer)
    }
    await Promise.all([...active.values()].map(({ ended }) => ended))
  }

  const ended = loop()
  return {
    wake,
    async stop() {
      stopping.abort()
      wake()
      await ended
    },
  }
}
