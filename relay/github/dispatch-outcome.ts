import { describeNetworkError, wasNotSent } from '../../port/client/network-error.ts'
import { CredentialError } from './credential.ts'
import { noTokenSentence, readCredentialFailure } from './credential-failure.ts'
import { type AnswerId, answerId, findResponse, isForeign, readMessage } from './github-answer.ts'
import { readLimit } from './rate-limit.ts'
import { GateClosedError } from './rate-limit-gate.ts'

/**
 * The outcome of a dispatch. Times are milliseconds since 1970. Reasons are for the person who started the action:
 * sentences where it was rejected, else clauses.
 */
export type DispatchOutcome = Outcome & {
  /** GitHub's last answer; absent where none came. */
  answer?: AnswerId
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
  | { kind: 'answer_lost'; reason: string }

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
  return response ? { ...outcome, answer: answerId(response.status, response.headers) } : outcome
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
  if (thrown instanceof GateClosedError) return limitedUntil(thrown.until, thrown.reason)
  const stage = thrown instanceof CredentialError ? thrown.stage : null
  const lost = (reason: string): DispatchOutcome =>
    isSent ? { kind: 'answer_lost', reason } : deferred(reason)

  const response = findResponse(thrown)
  if (!response) {
    const reason = `GitHub could not be reached (${describeNetworkError(thrown)})`
    return wasNotSent(thrown) ? deferred(reason) : lost(reason)
  }
  const { status } = response
  const message = readMessage(response.data)
  // Where it names a time, the gate is closed until then, and the run is looked for afterwards.
  if (status >= 500 || status === 408) {
    const what = stage ? "the App's request for a token for" : isSent ? 'the dispatch to' : 'a request about'
    return lost(`GitHub answered ${status} to ${what} ${repository}`)
  }
  const limit = readLimit(thrown, now, 0)
  if (limit) return limitedUntil(limit.until, `${limit.reason} (${limit.answer})`)
  if (isForeign(response.data)) return deferred(`something between the relay and GitHub answered ${status}`)
  const outage = readCredentialFailure(stage, status, message)
  if (outage) {
    return { kind: 'deferred', until: null, reason: outage, cause: 'credential' }
  }
  const reason = stage ? noTokenSentence(stage, status, message, repository) : failed.refusal(status, message)
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
