import type { Credential } from './credential.ts'
import { PausedError, type Pauses } from './pauses.ts'
import { readLimit } from './rate-limit.ts'

/**
 * A credential that sends nothing while GitHub wants its users to wait, whatever they ask for: dispatches,
 * lists, jobs, repositories.
 */
export function obeyLimits(credential: Credential, pauses: Pauses, clock: () => number): Credential {
  return {
    kind: credential.kind,
    /** @throws PausedError where nothing was sent */
    async use(repository, work) {
      const until = pauses.until(repository)
      if (until > clock()) throw new PausedError(until)
      try {
        return await credential.use(repository, work)
      } catch (error) {
        const limit = readLimit(error, clock(), pauses.tries(repository))
        if (limit) pauses.set(repository, limit.until)
        throw error
      }
    },
  }
}
