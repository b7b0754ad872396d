import { describeNetworkError, wasNotSent } from '../../port/client/errors.ts'
import { backOff } from '../../port/retry.ts'
import { CredentialError } from './credentials.ts'
import { type PauseCause, PausedError, readLimit } from './rate-limit-pause.ts'
import type { ListedWorkflow } from './repository.ts'
import {
  findResponse,
  foreignReason,
  isForeign,
  type ResponseId,
  readDocumentation,
  readMessage,
  responseId,
} from './response.ts'

/** The outcome of a dispatch. Times are milliseconds since 1970. The `reason` of `rejected` is a sentence. All other reasons are clauses. */
export type DispatchOutcome = Outcome & { response?: ResponseId }

type Outcome =
  /** `run`: the workflow run, if GitHub's response identifies it. */
  | { kind: 'accepted'; run: { id: number; url: string } | null }
  /** GitHub started nothing, and a retry wouldn't help. */
  | { kind: 'rejected'; reason: string }
  /** GitHub started nothing, and a retry may succeed. `until`: the time that GitHub sets for the retry, or null. */
  | { kind: 'deferred'; until: number | null; reason: string; cause: PauseCause | 'error' }
  | { kind: 'response_lost'; reason: string }

/** Why a read failed. Reasons are clauses. `later`: the read can be retried at `at`, in milliseconds since 1970. */
export type ReadFailure =
  /** `permission`: whether a permission is missing. If false, the credential can't see the repository or run. */
  { kind: 'forbidden'; reason: string; permission: boolean } | { kind: 'later'; at: number; reason: string }

/** Thrown if the relay doesn't send a dispatch now, because the lease expires too soon or a freeze has started. */
export class DelayedError extends Error {}

/** Thrown if GitHub rejects a dispatch, or if the relay refuses to send it. The message is for the user. */
export class RejectedError extends Error {}

/** Thrown if the relay doesn't send a dispatch because a request before it failed. */
export class PreparationError extends Error {
  override name = 'PreparationError'
  constructor(cause: unknown) {
    super("The dispatch wasn't sent, because an earlier request failed", { cause })
  }
}

export const CREDENTIAL_RETRY_MS = 60_000

/** Why a request to GitHub failed. Times are milliseconds since 1970. Reasons are clauses, except for `no_token`. */
type Failure =
  /** The relay has paused requests, or GitHub is rate limiting them. */
  | { kind: 'limited'; until: number; reason: string }
  /** GitHub didn't respond. `isSent`: false if the request certainly didn't reach GitHub. */
  | { kind: 'unreachable'; reason: string; isSent: boolean }
  /** GitHub responded with 408 or 5xx, so the request may have taken effect. `limit`: how long GitHub asks the relay to wait, or null. */
  | { kind: 'server_error'; status: number; limit: { until: number; reason: string } | null }
  | { kind: 'foreign'; reason: string }
  /** GitHub rejects the credential for every request until an operator renews it. */
  | { kind: 'credential'; reason: string; cause: 'credential' | 'installation' }
  /** The App can't get a token for this repository. `reason`: a sentence. */
  | { kind: 'no_token'; status: number; message: string; reason: string }
  | { kind: 'refused'; status: number; message: string; documentation: string }

function classify(error: unknown, repository: string, now: number, tries: number): Failure {
  if (error instanceof PausedError) return { kind: 'limited', until: error.until, reason: error.reason }
  const response = findResponse(error)
  if (!response) {
    const reason = `GitHub couldn't be reached (${describeNetworkError(error)})`
    return { kind: 'unreachable', reason, isSent: !wasNotSent(error) }
  }
  const { status, data } = response
  const read = readLimit(error, now, tries)
  const limit = read && { until: read.until, reason: `${read.reason} (${read.response})` }
  if (status >= 500 || status === 408) return { kind: 'server_error', status, limit }
  if (limit) return { kind: 'limited', ...limit }
  if (isForeign(data)) return { kind: 'foreign', reason: foreignReason(status) }
  const message = readMessage(data)
  const system = error instanceof CredentialError ? error.system : null
  const credential = readCredentialFailure(system, status, message)
  const cause = system && status === 403 ? 'installation' : 'credential'
  if (credential) return { kind: 'credential', reason: credential, cause }
  if (system) {
    const reason = noTokenSentence(system, status, message, repository)
    return { kind: 'no_token', status, message, reason }
  }
  return { kind: 'refused', status, message, documentation: readDocumentation(data) }
}

/** Returns the outcome of a failed dispatch. @param context.refusal explains why GitHub rejected this dispatch */
export function dispatchFailure(error: unknown, context: DispatchContext): DispatchOutcome {
  const response = findResponse(error)
  const outcome = toOutcome(error, context)
  return response ? { ...outcome, response: responseId(response.status, response.headers) } : outcome
}

/** GitHub's refusal of a request. `documentation`: see `readDocumentation`. */
export type Refused = [status: number, message: string, documentation: string]

/** The workflows of the repository to which GitHub responded with 404; `hidden` if GitHub doesn't show the repository, null if unknown. */
export type Listed = ListedWorkflow[] | 'hidden' | null

export const hiddenSentence = (repository: string) =>
  `GitHub can't find ${repository}: it doesn't exist, or the relay's token has no access to it. Correct the repository's name in Port or in the relay's settings, or give the token access to the repository.`

type DispatchContext = { repository: string; now: number; refusal: (...refused: Refused) => string }

function toOutcome(error: unknown, { repository, now, refusal }: DispatchContext): DispatchOutcome {
  if (error instanceof RejectedError) return { kind: 'rejected', reason: error.message }
  if (error instanceof DelayedError) return deferred("the relay was delayed and didn't send the dispatch")
  const isToken = error instanceof CredentialError
  const isSent = !(error instanceof PreparationError || isToken)
  const failure = classify(error instanceof PreparationError ? error.cause : error, repository, now, 0)
  switch (failure.kind) {
    case 'limited':
      return { ...deferred(failure.reason, 'limit'), until: failure.until }
    case 'unreachable':
      return isSent && failure.isSent ? lost(failure.reason) : deferred(failure.reason)
    // The retry time in GitHub's response doesn't matter, because the relay first searches for the workflow run.
    case 'server_error': {
      const request = isSent ? 'the dispatch to' : 'a request about'
      const what = isToken ? "the App's request for a token for" : request
      const reason = `GitHub responded with ${failure.status} to ${what} ${repository}`
      return isSent ? lost(reason) : deferred(reason)
    }
    case 'foreign':
      return deferred(failure.reason)
    case 'credential':
      return deferred(failure.reason, failure.cause)
    case 'no_token':
      return { kind: 'rejected', reason: failure.reason }
    case 'refused':
      return { kind: 'rejected', reason: refusal(failure.status, failure.message, failure.documentation) }
  }
}

export const deferred = (reason: string, cause: PauseCause | 'error' = 'error') =>
  ({ kind: 'deferred', until: null, reason, cause }) as const

export const lost = (reason: string): DispatchOutcome => ({ kind: 'response_lost', reason })

/** Explains why a read failed. `tries`: how many reads have failed in a row. `permission`: the permission that the read needs. */
export function readFailure(
  error: unknown,
  context: { repository: string; now: number; tries: number; permission?: string },
): ReadFailure {
  const { repository, now, tries, permission = 'Actions: read' } = context
  const failure = classify(error, repository, now, tries)
  const later = (at: number, reason: string): ReadFailure => ({ kind: 'later', at, reason })
  const soon = (reason: string) => later(now + backOff(tries, 2_000, 60_000), reason)
  switch (failure.kind) {
    case 'limited':
      return later(failure.until, failure.reason)
    case 'unreachable':
    case 'foreign':
      return soon(failure.reason)
    case 'server_error': {
      const { status, limit } = failure
      return limit ? later(limit.until, limit.reason) : soon(`GitHub responded with ${status}`)
    }
    // A rejected credential counts as an outage, so decisions wait until an operator renews it.
    case 'credential':
      return later(now + CREDENTIAL_RETRY_MS, failure.reason)
    case 'no_token':
    case 'refused': {
      const { status, message } = failure
      if (status === 409) return soon(`GitHub responded with 409: ${message}`)
      if (failure.kind === 'no_token') return { kind: 'forbidden', reason: failure.reason, permission: false }
      const known = status === 404 || isPermission(message)
      const more = known ? '' : failure.documentation
      const quoted = `${status}: ${more ? message.replace(/\.?$/, '.') : message}${more}`
      const reason = `the relay's token or App lacks ${permission} on ${repository} (${quoted})`
      return { kind: 'forbidden', reason, permission: status === 403 }
    }
  }
}

type System = CredentialError['system'] | null

/** Explains in a clause why GitHub rejects the relay's credential; null if GitHub doesn't reject the credential. */
function readCredentialFailure(system: System, status: number, message: string): string | null {
  if (system && (status === 401 || /integration not found/i.test(message))) {
    return `GitHub rejects the relay's App (${status}: ${message}): check that GITHUB_APP_ID is correct, that GITHUB_APP_PRIVATE_KEY is a key of that App, and that the clock of the relay's server is right`
  }
  if (status === 401) {
    return `GitHub rejects GITHUB_TOKEN (401: ${message}): the token is wrong, has expired, or was revoked; set a new token in the relay's environment`
  }
  if (status === 403 && system) {
    return `GitHub issues no token to the relay's App (403: ${message}): check the App's installation (the owner's Settings, GitHub Apps, Configure); the installation may be suspended, or its owner may not have accepted new permissions yet`
  }
  if (status === 403 && /suspended/i.test(message)) {
    return `GitHub has suspended the account of the relay's credential (403: ${message})`
  }
  return null
}

function noTokenSentence(
  system: CredentialError['system'],
  status: number,
  message: string,
  repository: string,
): string {
  return system === 'installation' || status === 404
    ? `The relay's GitHub App isn't installed on ${repository} (${status}: ${message}): install it there, or add the repository to its installation (the owner's Settings, GitHub Apps, Configure, Repository access).`
    : `GitHub didn't issue a token to the relay's App for ${repository} (${status}: ${message}): check the App's installation (the owner's Settings, GitHub Apps, Configure).`
}

/**
 * Whether GitHub's message says that a workflow execution protection blocks a run.
 * @see https://docs.github.com/actions/concepts/about-actions-policies
 */
export const isProtection = (message: string): boolean =>
  /is not allowed to trigger Actions workflows/i.test(message)

export const PROTECTION_HINT =
  "a workflow execution protection of the repository, organization, or enterprise blocks the run (Settings, Actions, Policies): allow the event repository_dispatch or workflow_dispatch, and allow the relay's GitHub App or the user of GITHUB_TOKEN as an actor"

export const ENABLE = 'enable it on GitHub (Actions, the workflow, Enable workflow).'

const isPermission = (message: string) => /^Resource not accessible by/i.test(message)

/** Returns how to fix a 403, based on GitHub's message. @param documentation appended if the message isn't known */
export function forbiddenHint(message: string, permission: string, documentation: string): string {
  if (isProtection(message)) return `${PROTECTION_HINT}.`
  if (/SAML/i.test(message)) return "authorize the relay's token for the organization (SSO)."
  if (/IP allow list/i.test(message)) return "add the relay's address to the organization's IP allow list."
  if (/archived/i.test(message)) return 'the repository is archived; unarchive it.'
  return `the relay's token or App needs the permission ${permission} on the repository.${isPermission(message) ? '' : documentation}`
}
