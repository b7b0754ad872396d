import type { Credential } from './credential.ts'
import { readLimit } from './rate-limit.ts'
import { GateClosedError, type RateLimitGate } from './rate-limit-gate.ts'

/**
 * A credential that sends nothing while its gate is closed, whatever the request: dispatches, lists, jobs,
 * repositories.
 */
export function gatedCredential(
  credential: Credential,
  gate: RateLimitGate,
  clock: () => number,
): Credential {
  return {
    kind: credential.kind,
    /** @throws GateClosedError where nothing was sent */
    async use(repository, work) {
      const closed = gate.closed(repository)
      if (closed) throw new GateClosedError(closed)
      try {
        return await credential.use(repository, work)
      } catch (error) {
        const limit = readLimit(error, clock(), gate.tries(repository))
        if (limit) gate.close(repository, limit.until, limit.reason, 'limit')
        throw error
      }
    },
  }
}
