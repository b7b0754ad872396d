import { Problem } from './problem.ts'

/**
 * Bounds what is held in memory between the first byte of a webhook or a report and its answer, whoever sends
 * it and however slowly: more is refused with 503, for the sender to try again, rather than taken without end.
 *
 * @param maxBytes of all bodies together
 */
export function createIntake(
  maxBytes: number,
): (receive: (reserve: (bytes: number) => void) => Promise<Response>) => Promise<Response> {
  let held = 0
  return async receive => {
    let mine = 0
    try {
      return await receive(bytes => {
        if (held + bytes > maxBytes) {
          throw new Problem(
            503,
            'The relay has more to take in than it keeps up with; this was not accepted. Send it again shortly.',
            {
              'retry-after': '1',
              connection: 'close',
            },
          )
        }
        held += bytes
        mine += bytes
      })
    } finally {
      held -= mine
    }
  }
}
