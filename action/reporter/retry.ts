import { PortError } from '../../port/client/client.ts'
import { UntrustedCertificate } from '../runner/fetch.ts'

const TRIES = 5
const FIRST_WAIT_MS = 1_000

/** How much longer the final status may wait than all before it. */
export const FINAL_EXTRA_MS = 30_000

/** Repeats an operation that failed for the moment; throws its last error. */
export type Retry = <T>(
  operation: () => Promise<T>,
  options?: {
    /** How much longer than all others this call may wait. */
    extraMs?: number
    /** Whether it may be done again after this error. */
    again?: (error: PortError) => boolean
  },
) => Promise<T>

/**
 * Repeats what failed for the moment: five tries, 1, 2, 4 and 8 s apart, or as often as Port names a time. All calls
 * share one budget, since after a cancel everything left in the job has 4 min 45 s; once a call has given up, each later one
 * waits only where Port answers and says how long.
 *
 * @see https://docs.port.io/api-reference/rate-limits
 */
export function createRetry(options: {
  budgetMs: number
  clock: () => number
  sleep: (ms: number) => Promise<unknown>
}): Retry {
  const { clock, sleep } = options
  const deadline = clock() + options.budgetMs
  let gaveUp = false

  return async (operation, { extraMs = 0, again = () => true } = {}) => {
    for (let tried = 1; ; tried++) {
      try {
        return await operation()
      } catch (error) {
        if (!(error instanceof PortError) || !error.temporary || !again(error)) throw error
        if (error.cause instanceof UntrustedCertificate) throw error
        const named = (error.retryAt ?? 0) - clock()
        const wait = named > 0 ? named : FIRST_WAIT_MS * 2 ** (tried - 1)
        const inVain = named <= 0 && (gaveUp || tried >= TRIES)
        if (inVain || clock() + wait > deadline + extraMs) {
          gaveUp = true
          throw error
        }
        await sleep(wait)
      }
    }
  }
}
