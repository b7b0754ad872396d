import { RequestError } from '@octokit/request-error'
import { CredentialError } from './credential.ts'

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
  /** How often in a row GitHub asked to wait without saying how long. */
  tries: number
}

/**
 * Turns what a dispatch threw into one of three: try later, never, or look whether it happened. A dispatch
 * that failed for want of a token (CredentialError) was never sent.
 *
 * @see https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api
 */
export function readError(error: unknown, failed: Failed & { eventType: string }): Outcome {
  const { repository, now } = failed
  const stage = error instanceof CredentialError ? error.stage : null
  const cause = error instanceof CredentialError ? error.cause : error
  const context = { ...failed, sending: stage === null }
  const response = cause instanceof RequestError ? cause.response : undefined
  if (!response) return unreachable(cause, context)
  const { status } = response
  const says = message(response.data)
  const headers = response.headers as Record<string, string | undefined>
  if (status === 429 || (status === 403 && isLimit(headers, says))) {
    return {
      kind: 'later',
      at: retryAt(headers, now, context.tries),
      reason: `GitHub limits how fast this credential may work (${status}: ${says})`,
      everyone: true,
    }
  }
  if (status >= 500) {
    const what = stage ? "the App's request for a token for" : 'the dispatch to'
    const reason = `GitHub answered ${status} to ${what} ${repository}`
    return context.sending
      ? { kind: 'unclear', reason }
      : { kind: 'later', at: null, reason, everyone: false }
  }
  const reason = stage ? noToken(stage, status, says, repository) : refusal(status, says, context)
  return { kind: 'never', reason }
}

/** Turns what a read of workflow runs or jobs threw into what to do about it. */
export function readTrouble(error: unknown, { repository, now, tries }: Failed): Trouble {
  const cause = error instanceof CredentialError ? error.cause : error
  const response = cause instanceof RequestError ? cause.response : undefined
  const soon = now + 2_000 * 2 ** Math.min(tries, 5)
  if (!response)
    return { kind: 'later', at: soon, reason: `GitHub could not be reached (${findCode(cause)})` }
  const { status } = response
  const says = message(response.data)
  const headers = response.headers as Record<string, string | undefined>
  if (status === 429 || (status === 403 && isLimit(headers, says))) {
    const reason = `GitHub limits how often it may be asked (${status}: ${says})`
    return { kind: 'later', at: retryAt(headers, now, tries), reason }
  }
  if (status >= 500) return { kind: 'later', at: soon, reason: `GitHub answered ${status}` }
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

function isLimit(headers: Record<string, string | undefined>, says: string): boolean {
  return (
    headers['retry-after'] !== undefined ||
    headers['x-ratelimit-remaining'] === '0' ||
    /rate limit|abuse detection/i.test(says)
  )
}

/** `retry-after` in seconds, else the reset of a used-up limit, else a minute, and longer each time. */
function retryAt(headers: Record<string, string | undefined>, now: number, tries: number): number {
  const after = Number(headers['retry-after'])
  if (headers['retry-after'] && Number.isFinite(after)) return now + Math.max(1, after) * 1000
  const reset = Number(headers['x-ratelimit-reset']) * 1000
  if (headers['x-ratelimit-remaining'] === '0' && reset > now) return reset + 1000
  return now + 60_000 * 2 ** Math.min(tries, 5)
}

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
