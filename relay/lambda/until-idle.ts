import { setTimeout as sleep } from 'node:timers/promises'
import type { Worker } from '../deliveries/work/worker.ts'

const LOOK_MS = 20

/**
 * Waits until the workers have had nothing to do for `quietMs`.
 *
 * @param until the latest time, by `performance.now()`
 */
export async function untilIdle(workers: Worker[], quietMs: number, until: number): Promise<void> {
  while (performance.now() < until) {
    for (const worker of workers) worker.wake()
    await sleep(LOOK_MS)
    const activities = workers.map(worker => worker.activity())
    const busyAt = Math.max(...activities.map(each => each.busyAt))
    if (activities.every(each => each.idleAt > busyAt + quietMs)) return
  }
}
