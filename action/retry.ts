import { PortError } from '../port/client.ts'

const TRIES = 5
const FIRST_WAIT_MS = 1_000
const LONGEST_WAIT_MS = 32_000

/**
 * Repeats what failed for the moment, as Port advises: five tries, from 1 s, at most 32 s apart, unless Port
 * says when. All calls share one budget, since after a cancel everything left in the job has 4 min 45 s; once
 * a call has given up, each later one has a single try.
 *
 * @see https://docs.port.io/api-reference/rate-limits
 */
export function createRetry(options: {
  budgetMs: number
  clock: () => number
  sleep: (ms: number) => Promise<unknown>
}): <T>(operation: () => Promise<T>) => Promise<T> {
  const { clock, sleep } = options
  const deadline = clock() + options.budgetMs
  let gaveUp = false

  return async operation => {
    for (let tried = 1; ; tried++) {
      try {
        return await operation()
      } catch (error) {
        if (!(error instanceof PortError) || !error.temporary) throw error
        const wait =
          error.retryAt === null
            ? Math.min(FIRST_WAIT_MS * 2 ** (tried - 1), LONGEST_WAIT_MS)
            : Math.max(error.retryAt - clock(), 0)
        gaveUp ||= tried === TRIES || clock() + wait > deadline
        if (gaveUp) throw error
        await sleep(wait)
      }
    }
  }
}
