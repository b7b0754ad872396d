import type { RunState } from '../../../port/types.ts'
import type { DeliveryRun } from '../../store/delivery.ts'
import type { Found } from '../binding/find-runs.ts'
import type { NoRun } from '../transition/events.ts'

/** What one look at a delivery showed. Times are milliseconds since 1970, by the store's clock. */
export interface Observation {
  now: number
  found: Found
  /** Port's run; `unasked` as long as the verdict has not asked for it, `unread` where Port did not answer. */
  port: RunState | 'unasked' | 'unread'
  /** Whether it is time to ask Port again which run is meant. */
  portDue: boolean
  /** When Port accepts requests again. */
  portFreeAt: number
  /** For how long this relay has seen all runs ended, milliseconds. */
  endedFor: number
}

export type Verdict =
  | { kind: 'ask Port' }
  | { kind: 'look again'; at: number }
  | { kind: 'ended in Port' }
  | { kind: 'cancelled in Port' }
  | { kind: 'run ended'; run: DeliveryRun }
  /** The event that gives the delivery up. */
  | { kind: 'startTimedOut' | 'runTimedOut' | 'runUnidentified' | 'runDeleted'; cause: NoRun }
