import { describeNetworkError, wasNotSent } from '../../port/client/errors.ts'
import { CredentialError } from './credentials.ts'
import { PausedError, readLimit } from './rate-limit-pause.ts'
import { findResponse, isForeign, type ResponseId, readMessage, responseId } from './response.ts'

/**
 * The outcome of a dispatch. Times are milliseconds since 1970. Reasons are for the person who started the action:
 * sentences where it was rejected, else clauses.
 */
export type DispatchOutcome = Outcome & {
  /** GitHub's last answer; absent where none came. */
  response?: ResponseId
}

type Outcome =
  /** `run`: the workflow run, where GitHub names it. */
  | { kind: 'accepted'; run: { id: number; url: string } | null }
  /** Nothing was started, and sending it again would change nothing. */
  | { kind: 'rejected'; reason: string }
  /**
   * Nothing was started; it may be sent again. `until`: null where GitHub names no time.
   */
  | {
      kind: 'deferred'
      until: number | null
      reason: string
      cause: 'rate_limit' | 'credential' | 'other'
    }
  /** It may or may not have started a workflow. */
  | { kind: 'response_lost'; reason: string }

/** Thrown where a dispatch is not sent, since its lease ends too soon. */
export class DelayedError extends Error {
  constructor() {
    super('The relay was delayed')
    this.name = 'DelayedError'
  }
}

/** Thrown where GitHub rejects a dispatch, or the relay does not send it; the message is the sentence. */
export class RejectedError extends Error {
  override name = 'RejectedError'
  /** @param cause GitHub's refusal, where it is one */
  constructor(sentence: string, cause?: unknown) {
    super(sentence, { cause })
  }
}

/** Thrown where a request failed that has to precede the dispatch. */
export class PreparationError extends Error {
  override name = 'PreparationError'
  constructor(cause: unknown) {
    super('What the dispatch needs could not be read', { cause })
  }
}

/**
 * Turns what a dispatch threw into its outcome. A dispatch that failed because it got no token
 * (CredentialError), or because a preceding request failed (PreparationError), was never sent.
 *
 * @param failed.refusal the sentence for a refusal of GitHub's that concerns this dispatch
 */
export function readDispatchError(error: unknown, failed: Failed): DispatchOutcome {
  const response = findResponse(error)
  const outcome = readError(error, failed)
  return response ? { ...outcome, response: responseId(response.status, response.headers) } : outcome
}

interface Failed {
  repository: string
  now: number
  refusal: (status: number, message: string) => string
}

function readError(error: unknown, failed: Failed): DispatchOutcome {
  const { repository, now } = failed
  if (error instanceof RejectedError) return { kind: 'rejected', reason: error.message }
  if (error instanceof DelayedError) return deferred('the relay was delayed and did not send the dispatch')
  const isSent = !(error instanceof PreparationError || error instanceof CredentialError)
  const thrown = error instanceof PreparationError ? error.cause : error
  if (thrown instanceof PausedError) return limitedUntil(thrown.until, thrown.reason)
  const system = thrown instanceof CredentialError ? thrown.system : null
  const lost = (reason: string): DispatchOutcome =>
    isSent ? { kind: 'response_lost', reason } : deferred(reason)

  const response = findResponse(thrown)
  if (!response) {
    const reason = `GitHub could not be reached (${describeNetworkError(thrown)})`
    return wasNotSent(thrown) ? deferred(reason) : lost(reason)
  }
  const { status } = response
  const message = readMessage(response.data)
  // Where it names a time, the gate is closed until then, and the run is looked for afterwards.
  if (status >= 500 || status === 408) {
    const what = system ? "the App's request for a token for" : isSent ? 'the dispatch to' : 'a request about'
    return lost(`GitHub answered ${status} to ${what} ${repository}`)
  }
  const limit = readLimit(thrown, now, 0)
  if (limit) return limitedUntil(limit.until, `${limit.reason} (${limit.response})`)
  if (isForeign(response.data)) return deferred(`something between the relay and GitHub answered ${status}`)
  const outage = readCredentialFailure(system, status, message)
  if (outage) {
    return { kind: 'deferred', until: null, reason: outage, cause: 'credential' }
  }
  const reason = system
    ? noTokenSentence(system, status, message, repository)
    : failed.refusal(status, message)
  return { kind: 'rejected', reason }
}

export const deferred = (reason: string): DispatchOutcome => ({
  kind: 'deferred',
  until: null,
  reason,
  cause: 'other',
})

const limitedUntil = (until: number, reason: string): DispatchOutcome => ({
  kind: 'deferred',
  until,
  reason,
  cause: 'rate_limit',
})

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
  if (error instanceof PausedError) {
    return { kind: 'later', at: error.until, reason: error.reason }
  }
  const system = error instanceof CredentialError ? error.system : null
  const response = findResponse(error)
  const soon = now + 2_000 * 2 ** Math.min(tries, 5)
  if (!response)
    return { kind: 'later', at: soon, reason: `GitHub could not be reached (${describeNetworkError(error)})` }
  const { status } = response
  const message = readMessage(response.data)
  const limit = readLimit(error, now, tries)
  if (limit) {
    return { kind: 'later', at: limit.until, reason: `${limit.reason} (${limit.response})` }
  }
  if (status >= 500 || status === 408) return { kind: 'later', at: soon, reason: `GitHub answered ${status}` }
  if (status === 409) return { kind: 'later', at: soon, reason: `GitHub answered 409: ${message}` }
  if (isForeign(response.data)) {
    return { kind: 'later', at: soon, reason: `something between the relay and GitHub answered ${status}` }
  }
  const credential = readCredentialFailure(system, status, message)
  // An outage: whatever is decided on evidence waits until a person has renewed it.
  if (credential !== null) return { kind: 'later', at: now + CREDENTIAL_MS, reason: credential }
  if (system) {
    const reason = noTokenSentence(system, status, message, repository)
    return { kind: 'forbidden', reason, permission: false }
  }
  const reason = `the relay's token or App lacks ${permission} on ${repository} (${status}: ${message})`
  return { kind: 'forbidden', reason, permission: status === 403 }
}

/** Where a request failed: before the App had a token for the repository, or with a token (null). */
type System = CredentialError['system'] | null

/**
 * Why GitHub does not accept the relay's own credential, as a clause; null where it refuses for another
 * reason. It applies to every request with this credential, until a person renews it.
 */
function readCredentialFailure(system: System, status: number, message: string): string | null {
  if (status === 401 && system) {
    return `GitHub does not know the relay's App (401: ${message}): check GITHUB_APP_ID, that GITHUB_APP_PRIVATE_KEY is a key of that App, and the clock of the relay's server`
  }
  if (status === 401) {
    return `GitHub does not know the relay's credential (401: ${message}): it is wrong or has expired; renew GITHUB_TOKEN, or the App's key, in the relay's environment`
  }
  if (status === 403 && (system || /suspended/i.test(message))) {
    return system
      ? `GitHub gives the relay's App no token (403: ${message}): look at its installation (the owner's Settings, GitHub Apps, Configure); it may be suspended, or wait for its new permissions to be accepted`
      : `GitHub has suspended the account of the relay's credential (403: ${message})`
  }
  return null
}

/** Why the App has no token for one repository, as a sentence; what {@link readCredentialFailure} reads is excluded. */
function noTokenSentence(
  system: CredentialError['system'],
  status: number,
  message: string,
  repository: string,
): string {
  return system === 'installation' || status === 404
    ? `The relay's GitHub App is not installed on ${repository} (${status}: ${message}): install it there, or add the repository to its installation (the owner's Settings, GitHub Apps, Configure, Repository access).`
    : `GitHub gives the relay's App no token for ${repository} (${status}: ${message}): look at its installation (the owner's Settings, GitHub Apps, Configure).`
}

/** What to change after a 403, by GitHub's message. */
export function forbiddenHint(message: string, permission: string): string {
  if (/SAML/i.test(message)) return "authorize the relay's token for the organization (SSO)"
  if (/IP allow list/i.test(message)) return "add the relay's address to the organization's IP allow list"
  if (/archived/i.test(message)) return 'the repository is archived; unarchive it'
  return `its token or App needs the permission ${permission} on it`
}
