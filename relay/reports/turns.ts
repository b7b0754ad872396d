import { BOUNDS } from '../config/bounds.ts'
import { Problem } from '../http/problem.ts'

/**
 * Runs tasks of the same key one after the other, in the order in which they came; others are not delayed.
 *
 * @throws Problem 429 where too many of the key wait, 503 where too many wait in all
 */
export type Turns = <T>(key: string, task: () => Promise<T>) => Promise<T>

export function createTurns(): Turns {
  const queues = new Map<string, { last: Promise<unknown>; amount: number }>()
  const { reportsWaiting, reportsWaitingInAll } = BOUNDS
  let all = 0
  return async (key, task) => {
    const queue = queues.get(key) ?? { last: Promise.resolve(), amount: 0 }
    if (queue.amount >= reportsWaiting.value) {
      const sentence = `${reportsWaiting.value} reports of this delivery are under way already; this one was not accepted. Send fewer at once.`
      throw new Problem(429, sentence, { 'retry-after': '1', connection: 'close' })
    }
    if (all >= reportsWaitingInAll.value) {
      const sentence =
        'More reports arrive than the relay keeps up with; this one was not accepted. Send it again shortly.'
      throw new Problem(503, sentence, { 'retry-after': '1', connection: 'close' })
    }
    queues.set(key, queue)
    queue.amount++
    all++
    const mine = queue.last.then(task)
    queue.last = mine.catch(() => {})
    try {
      return await mine
    } finally {
      all--
      if (--queue.amount === 0) queues.delete(key)
    }
  }
}
