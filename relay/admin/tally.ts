import type { Transition } from '../store/delivery.ts'
import type { Hour, Store } from '../store/store.ts'

const HOUR_MS = 3_600_000
const KEPT_MS = 48 * HOUR_MS
const FLUSH_MS = 15_000

/** Counts what happens in each hour, in memory; adds it to the database now and then. */
export interface Tally {
  /** The store, counting what is accepted. */
  store: Store
  /** Counts an end. */
  transition(applied: Transition): void
  /** Adds what was counted since. */
  flush(): Promise<void>
  /** Flushes a last time. */
  stop(): Promise<void>
}

/** A relay that is killed loses what it counted in the last seconds: these numbers are for people alone. */
export function createTally(store: Store, log: { error: (fields: object, message: string) => void }): Tally {
  let counted = new Map<number, Hour>()

  function count(what: Exclude<keyof Hour, 'hour'>): void {
    const hour = Math.floor(store.clock() / HOUR_MS) * HOUR_MS
    const row = counted.get(hour) ?? { hour, accepted: 0, finished: 0, failed: 0, cancelled: 0 }
    row[what]++
    counted.set(hour, row)
  }
  async function flush(): Promise<void> {
    if (counted.size === 0) return
    const rows = counted
    counted = new Map()
    await store.countHours([...rows.values()], store.clock() - KEPT_MS)
  }
  const flushAndLog = () =>
    flush().catch(error => log.error({ err: error }, 'the numbers of this hour could not be persisted'))
  const timer = setInterval(flushAndLog, FLUSH_MS)
  timer.unref()
  return {
    store: {
      ...store,
      async accept(delivery, use) {
        const accepted = await store.accept(delivery, use)
        if (!accepted.duplicate) count('accepted')
        return accepted
      },
    },
    transition(applied) {
      const { state } = applied.change
      if (state === 'finished' || state === 'failed' || state === 'cancelled') count(state)
    },
    flush,
    async stop() {
      clearInterval(timer)
      await flushAndLog()
    },
  }
}
