import { describeNetworkError } from '../../port/client/network-error.ts'
import { CredentialError } from './credential.ts'
import { noTokenSentence, readCredentialFailure } from './credential-failure.ts'
import { findResponse, isForeign, readMessage } from './github-answer.ts'
import { readLimit } from './rate-limit.ts'
import { GateClosedError } from './rate-limit-gate.ts'

/** What a failed request to GitHub, other than a dispatch, means: it is not permitted, or fails for now. Times are milliseconds since 1970, reasons clauses. */
export type ReadFailure =
  /** `permission`: the credential may not do this; else the repository or run is not to be seen. */
  { kind: 'forbidden'; reason: string; permission: boolean } | { kind: 'later'; at: number; reason: string }

/** How often a credential that GitHub rejects is tried. */
const CREDENTIAL_MS = 60_000

/**
 * Classifies what a request about workflow runs or jobs threw.
 *
 * @param failed.tries how often in a row it failed before
 * @param failed.permission what the request needs
 */
export function readFailure(
  error: unknown,
  {
    repository,
    now,
    tries,
    permission = 'Actions: read',
  }: { repository: string; now: number; tries: number; permission?: string },
): ReadFailure {
  if (error instanceof GateClosedError) {
    return { kind: 'later', at: error.until, reason: error.reason }
  }
  const stage = error instanceof CredentialError ? error.stage : null
  const response = findResponse(error)
  const soon = now + 2_000 * 2 ** Math.min(tries, 5)
  if (!response)
    return { kind: 'later', at: soon, reason: `GitHub could not be reached (${describeNetworkError(error)})` }
  const { status } = response
  const message = readMessage(response.data)
  const limit = readLimit(error, now, tries)
  if (limit) {
    return { kind: 'later', at: limit.until, reason: `${limit.reason} (${limit.answer})` }
  }
  if (status >= 500 || status === 408) return { kind: 'later', at: soon, reason: `GitHub answered ${status}` }
  if (status === 409) return { kind: 'later', at: soon, reason: `GitHub answered 409: ${message}` }
  if (isForeign(response.data)) {
    return { kind: 'later', at: soon, reason: `something between the relay and GitHub answered ${status}` }
  }
  const credential = readCredentialFailure(stage, status, message)
  // An outage: whatever is decided on evidence waits until a person has renewed it.
  if (credential !== null) return { kind: 'later', at: now + CREDENTIAL_MS, reason: credential }
  if (stage) {
    const reason = noTokenSentence(stage, status, message, repository)
    return { kind: 'forbidden', reason, permission: false }
  }
  const reason = `the relay's token or App lacks ${permission} on ${repository} (${status}: ${message})`
  return { kind: 'forbidden', reason, permission: status === 403 }
}
