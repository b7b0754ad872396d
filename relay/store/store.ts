import type { Backend } from './database.ts'
import { applying } from './sql/apply.ts'
import { claims } from './sql/claims.ts'
import { freezes } from './sql/freezes.ts'
import { intake } from './sql/intake.ts'
import { lists } from './sql/lists.ts'
import { lookups } from './sql/lookups.ts'
import { maintenance } from './sql/maintenance.ts'
import { outbox } from './sql/outbox.ts'

export type { Decided, ReportReceipt } from './sql/apply.ts'
export type { Claimed, TracedDelivery } from './sql/claims.ts'
export type { Freeze, NewFreeze } from './sql/freezes.ts'
export { type Cancellation, SignatureUsed, StoreBusy } from './sql/intake.ts'
export type { Filter } from './sql/lists.ts'
export { MAX_OTHERS } from './sql/lookups.ts'
export type { AlertState, ClockDifference, Hour, KnownProblem } from './sql/maintenance.ts'
export type { OutboxPage, WaitingMessages } from './sql/outbox.ts'

/** The kinds of work to claim. `dispatch`: queued deliveries. `watch`: dispatched and running deliveries. */
export const WORK = ['dispatch', 'watch', 'outbox'] as const
export type Work = (typeof WORK)[number]

/** The store. A method that makes a change resolves when the change is on disk. Times are milliseconds since 1970 by the store's clock. */
export type Store = ReturnType<typeof createStore>

export function createStore(db: Backend) {
  const listeners = new Set<(work: readonly Work[]) => void>()
  const notify = (...work: Work[]) => {
    for (const listener of listeners) listener(work)
  }
  db.onWork(() => notify('dispatch'))
  return {
    ...intake(db),
    ...applying(db, notify),
    ...claims(db),
    ...freezes(db),
    ...outbox(db),
    ...lookups(db),
    ...lists(db),
    ...maintenance(db),
    /** Returns the database's time, by which leases expire and work is due. With SQLite, this is the machine's time. */
    clock: () => db.clock.now(),
    /** Calls the listener after a change of this relay that can make work due. @returns a function that removes the listener */
    onWork(listener: (work: readonly Work[]) => void) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    close: () => db.close(),
  }
}
