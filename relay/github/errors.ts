import { RequestError } from '@octokit/request-error'
import { CredentialError } from './credential.ts'
import { LONGEST_PAUSE_MS, PausedError } from './pauses.ts'

/** What became of a dispatch. Times are milliseconds since 1970; reasons are sentences for the person who started the action. */
export type Outcome =
  | { kind: 'accepted' }
  /** Nothing was started; `everyone` when GitHub's limit holds for all that use this credential. */
  | { kind: 'later'; at: number | null; reason: string; everyone: boolean }
  | { kind: 'never'; reason: string }
  /** It may or may not have reached GitHub. */
  | { kind: 'unclear'; reason: string }

/** Failures in which not a byte of the request can have reached GitHub. */
const NOT_SENT =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ENETUNREACH|EHOSTUNREACH|UND_ERR_CONNECT_TIMEOUT|CERT_|ERR_TLS_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/

/** What a failed look at GitHub means: it may not be looked at, it is not there, or try later. Reasons are clauses. */
export type Trouble = { kind: 'forbidden'; reason: string } | { kind: 'later'; at: number; reason: string }

interface Failed {
  repository: string
  now: number
}

/** What a dispatch throws that was not sent, since the lease that it is sent under ends too soon. */
export class HeldUpError extends Error {
  constructor() {
    super('The relay was held up')
    this.name = 'HeldUpError'
  }
}

/** How Port's log calls GitHub's limits; the answer stands behind it in brackets. */
export const LIMITED = 'GitHub limits how fast this credential may work'

/**
 * The limit that GitHub has answered with, where that is what was thrown; `until`: milliseconds since 1970.
 *
 * @param tries how often in a row GitHub asked to wait before
 * @see https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api
 */
export function readLimit(
  error: unknown,
  now: number,
  tries: number,
): { until: number; answer: string } | null {
  const cause = error instanceof CredentialError ? error.cause : error
  const response = cause instanceof RequestError ? cause.response : undefined
  if (!response) return null
  const { status, data } = response
  const headers = response.headers as Named
  if (status !== 429 && !(status === 403 && isLimit(headers, data))) return null
  return { until: retryAt(headers, now, tries), answer: `${status}: ${message(data)}` }
}

/**
 * Turns what a dispatch threw into one of three: try later, never, or look whether it happened. A dispatch
 * that failed for want of a token (CredentialError) was never sent.
 */
export function readError(error: unknown, failed: Failed & { eventType: string }): Outcome {
  const { repository, now } = failed
  if (error instanceof PausedError) return { kind: 'later', at: error.until, reason: LIMITED, everyone: true }
  if (error instanceof HeldUpError) {
    const reason = 'the relay was held up before it could send'
    return { kind: 'later', at: null, reason, everyone: false }
  }
  const stage = error instanceof CredentialError ? error.stage : null
  const cause = error instanceof CredentialError ? error.cause : error
  const context = { ...failed, sending: stage === null }
  const response = cause instanceof RequestError ? cause.response : undefined
  if (!response) return unreachable(cause, context)
  const { status } = response
  const says = message(response.data)
  const limit = readLimit(error, now, 0)
  if (limit) return { kind: 'later', at: limit.until, reason: `${LIMITED} (${limit.answer})`, everyone: true }
  if (status >= 500 || status === 408) {
    const what = stage ? "the App's request for a token for" : 'the dispatch to'
    const reason = `GitHub answered ${status} to ${what} ${repository}`
    return context.sending
      ? { kind: 'unclear', reason }
      : { kind: 'later', at: null, reason, everyone: false }
  }
  if (isForeign(response.data)) {
    const reason = `something between the relay and GitHub answered ${status}`
    return { kind: 'later', at: null, reason, everyone: false }
  }
  const reason = stage ? noToken(stage, status, says, repository) : refusal(status, says, context)
  return { kind: 'never', reason }
}

/**
 * Turns what a read of workflow runs or jobs threw into what to do about it.
 *
 * @param failed.tries how often in a row it failed before
 */
export function readTrouble(error: unknown, { repository, now, tries }: Failed & { tries: number }): Trouble {
  if (error instanceof PausedError) {
    return { kind: 'later', at: error.until, reason: 'GitHub limits how often it may be asked' }
  }
  const cause = error instanceof CredentialError ? error.cause : error
  const response = cause instanceof RequestError ? cause.response : undefined
  const soon = now + 2_000 * 2 ** Math.min(tries, 5)
  if (!response)
    return { kind: 'later', at: soon, reason: `GitHub could not be reached (${findCode(cause)})` }
  const { status } = response
  const says = message(response.data)
  const limit = readLimit(error, now, tries)
  if (limit) {
    const reason = `GitHub limits how often it may be asked (${limit.answer})`
    return { kind: 'later', at: limit.until, reason }
  }
  if (status >= 500 || status === 408) return { kind: 'later', at: soon, reason: `GitHub answered ${status}` }
  if (isForeign(response.data)) {
    return { kind: 'later', at: soon, reason: `something between the relay and GitHub answered ${status}` }
  }
  if (error instanceof CredentialError) {
    return { kind: 'forbidden', reason: noToken(error.stage, status, says, repository) }
  }
  return {
    kind: 'forbidden',
    reason:
      status === 401
        ? `GitHub does not know the relay's credential (401: ${says})`
        : `the relay's token or App lacks Actions: read on ${repository} (${status}: ${says})`,
  }
}

/** Why a GitHub App has no token for a repository. */
function noToken(stage: CredentialError['stage'], status: number, says: string, repository: string): string {
  if (status === 401) {
    return `GitHub does not know the relay's App (401: ${says}): check GITHUB_APP_ID, that GITHUB_APP_PRIVATE_KEY is a key of that App, and the clock of the relay's server.`
  }
  if (stage === 'installation' || status === 404) {
    return `The relay's GitHub App is not installed on ${repository} (${status}: ${says}): install it there, or add the repository to its installation (the owner's Settings, GitHub Apps, Configure, Repository access).`
  }
  return `GitHub gives the relay's App no token for ${repository} (${status}: ${says}): look at its installation (the owner's Settings, GitHub Apps, Configure); it may be suspended, or wait for its new permissions to be accepted.`
}

function unreachable(error: unknown, context: { sending: boolean }): Outcome {
  const code = findCode(error)
  const reason = `GitHub could not be reached (${code})`
  return context.sending && !NOT_SENT.test(code)
    ? { kind: 'unclear', reason }
    : { kind: 'later', at: null, reason, everyone: false }
}

function refusal(
  status: number,
  says: string,
  { repository, eventType }: { repository: string; eventType: string },
) {
  switch (status) {
    case 401:
      return `GitHub does not know the relay's credential (401: ${says}): it is wrong or has expired. Renew GITHUB_TOKEN, or the App's key, in the relay's environment.`
    case 403:
      return `GitHub does not let the relay dispatch to ${repository} (403: ${says}): its token or App needs the permission Contents: write on it.`
    case 404:
      return `GitHub cannot see ${repository}: it does not exist, or the relay's token lacks Contents: write on it.`
    case 422:
      return `GitHub refused the payload for "${eventType}" in ${repository} (422: ${says}).`
    default:
      return `GitHub refused the dispatch of "${eventType}" to ${repository} (${status}: ${says}).`
  }
}

type Named = Record<string, string | undefined>

function isLimit(headers: Named, data: unknown): boolean {
  const text = typeof data === 'string' ? data : message(data)
  return (
    headers['retry-after'] !== undefined ||
    headers['x-ratelimit-remaining'] === '0' ||
    /rate limit|abuse detection|too quickly/i.test(text)
  )
}

/** `retry-after` in seconds or as a date, else the reset of a used-up limit, else a minute, and longer each time. */
function retryAt(headers: Named, now: number, tries: number): number {
  const asked = afterHeader(headers['retry-after'], now) ?? afterReset(headers, now)
  const at = asked ?? now + 60_000 * 2 ** Math.min(tries, 5)
  return Math.min(now + LONGEST_PAUSE_MS, Math.max(now + 1_000, Math.ceil(at)))
}

function afterHeader(after: string | undefined, now: number): number | null {
  if (!after) return null
  if (/^\d+(\.\d+)?$/.test(after)) return now + Number(after) * 1000
  // RFC 9110, 10.2.3: else it is a date, which begins with the day of the week.
  const date = /^[a-z]/i.test(after) ? Date.parse(after) : Number.NaN
  return Number.isFinite(date) ? date : null
}

function afterReset(headers: Named, now: number): number | null {
  const reset = Number(headers['x-ratelimit-reset']) * 1000
  return headers['x-ratelimit-remaining'] === '0' && reset > now ? reset + 1000 : null
}

/** GitHub's API answers in JSON; a proxy in between, or GitHub's front, has pages. */
const isForeign = (data: unknown) => typeof data !== 'object' || data === null

function message(data: unknown): string {
  const says = (data as { message?: unknown } | null | undefined)?.message
  return typeof says === 'string' && says !== '' ? says.slice(0, 300) : 'no reason given'
}

/** The innermost code: fetch wraps it in a TypeError, Octokit that in a RequestError. */
function findCode(error: unknown): string {
  let code = 'no answer'
  for (
    let e = error as { cause?: unknown; code?: unknown; name?: unknown } | undefined;
    e;
    e = e.cause as typeof e
  ) {
    if (typeof e.code === 'string') code = e.code
    else if (e.name === 'TimeoutError') code = 'no answer in time'
  }
  return code
}
