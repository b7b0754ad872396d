import { PortError } from '../../port/client/port-client.ts'
import { UNREAD } from '../../port/client/read-run.ts'
import type { RunState } from '../../port/types.ts'
import type { Delivery } from '../store/delivery.ts'

/** Asks Port how the run of a delivery stands. */
export interface PortAsker {
  /** `unread`: Port did not answer, or wants not to be asked now. */
  ask(delivery: Delivery): Promise<RunState | 'unread'>
  /** Port wants not to be asked before then, milliseconds since 1970. */
  freeAt(): number
}

/** Where Port has no run that could have ended: what becomes of the delivery is for GitHub alone to tell. */
export const NO_PORT_RUN: RunState = {
  status: 'in_progress',
  ended: false,
  externalRunId: null,
  synchronized: false,
  properties: null,
  body: null,
}
/** Whatever asks for more is asked again then. */
const LONGEST_MS = 3_600_000

/**
 * Port limits an organisation, not a run: once it has asked one delivery to wait, all do.
 *
 * @param read null where Port cannot be asked at all
 */
export function createPortAsker(
  read: ((runId: string) => Promise<RunState>) | null,
  clock: () => number,
): PortAsker {
  let freeAt = 0
  return {
    freeAt: () => freeAt,
    async ask({ runId }) {
      if (!read || runId === null) return NO_PORT_RUN
      if (clock() < freeAt) return 'unread'
      try {
        return await read(runId)
      } catch (error) {
        if (error instanceof PortError && error.kind === 'unknown_run') return NO_PORT_RUN
        // Trying again would not change that, and the run's end must be told all the same.
        if (error instanceof PortError && error.kind === 'refused') return UNREAD
        if (error instanceof PortError && error.retryAt !== null) {
          freeAt = Math.max(freeAt, Math.min(error.retryAt, clock() + LONGEST_MS))
        }
        return 'unread'
      }
    },
  }
}
