import { createHash } from 'node:crypto'
import { backOff, readRetryAt } from '../../port/retry.ts'
import type { Config } from '../config/config.ts'
import { findResponse, readMessage } from './response.ts'

/** The cause of a pause: GitHub's rate limit, a rejected credential, or a suspended installation of the App. */
export type PauseCause = 'limit' | 'credential' | 'installation'

/** A period during which GitHub accepts no requests from a credential. */
export interface RateLimitPause {
  /** Identifies the credential: a digest of the token or, for an App, a digest of its key together with the owner of the installation. */
  scope: string
  pausedUntil: number
  cause: PauseCause
  reason: string
}

/** Returns the owner of the App installation to which a pause applies; empty if the pause applies to all repositories. */
export const ownerOf = ({ scope }: Pick<RateLimitPause, 'scope'>): string =>
  scope.startsWith(OWNER) ? scope.slice(scope.lastIndexOf(':') + 1) : ''
const OWNER = 'owner:'

export class PausedError extends Error {
  override name = 'PausedError'
  readonly until: number
  readonly reason: string
  constructor({ pausedUntil, reason }: RateLimitPause) {
    super(`Nothing is sent to GitHub until ${new Date(pausedUntil).toISOString()}: ${reason}`)
    this.until = pausedUntil
    this.reason = reason
  }
}

/** The longest pause. GitHub's limits last at most an hour. */
const LONGEST_PAUSE_MS = 3_600_000
const FIRST_PAUSE_MS = 60_000
/** If the end of a pause is further away than this, the pause is ignored, because the clock was changed. */
const FURTHEST_MS = LONGEST_PAUSE_MS + 60_000

export type RateLimitPauses = ReturnType<typeof createRateLimitPauses>

/** Keeps the pauses of each credential, because GitHub limits credentials and not repositories. Calls `onPause` with each new pause. */
export function createRateLimitPauses(
  auth: Config['github']['auth'],
  clock: () => number,
  onPause: (pauses: RateLimitPause) => void = () => {},
) {
  const entries = new Map<string, Entry>()
  const isToken = 'token' in auth
  const scope = isToken
    ? `token:${digest(auth.token)}`
    : `${OWNER}${digest(`${auth.appId} ${auth.privateKey}`)}:`
  const scopeOf = (repository: string) =>
    isToken ? scope : scope + repository.replace(/\/.*/, '').toLowerCase()

  function entryOf(key: string) {
    const entry = entries.get(key)
    if (entry && Math.abs(entry.until - clock()) > FURTHEST_MS) entries.delete(key)
    return entries.get(key)
  }

  function raise(key: string, until: number, reason: string, cause: PauseCause): RateLimitPause {
    const now = clock()
    const known = entryOf(key)
    // If GitHub limited several concurrent requests, the longest pause applies.
    const next = Math.min(until, now + LONGEST_PAUSE_MS)
    const isAgain = !known || known.until <= now
    const later = known && known.until > next ? known : { until: next, reason, cause }
    entries.set(key, { ...later, tries: (known?.tries ?? 0) + (isAgain ? 1 : 0) })
    return shown(key, later)
  }

  function toPauses(key: string): RateLimitPause | null {
    const entry = entryOf(key)
    return entry && entry.until > clock() ? shown(key, entry) : null
  }
  const shown = (scope: string, { until: pausedUntil, cause, reason }: Omit<Entry, 'tries'>) => ({
    ...{ scope, pausedUntil, cause, reason },
  })

  return {
    /** With a token, the scope of all repositories. With an App, the common prefix of the owners' scopes. */
    scope,
    find: (repository: string): RateLimitPause | null => toPauses(scopeOf(repository)),
    /** Starts a pause after GitHub asked the relay to wait, or rejected the credential. `reason`: a clause to show. */
    pause(repository: string, until: number, reason: string, cause: PauseCause): void {
      onPause(raise(scopeOf(repository), until, reason, cause))
    },
    /** Adds the pauses in the store that apply to these credentials. */
    add(pauses: readonly RateLimitPause[]): void {
      const now = clock()
      for (const { scope: key, pausedUntil, reason, cause } of pauses) {
        const known = entryOf(key)
        const isLater = pausedUntil > Math.max(now, known?.until ?? 0) && pausedUntil <= now + FURTHEST_MS
        if (isLater && key.startsWith(scope)) raise(key, pausedUntil, reason, cause)
      }
    },
    tries: (repository: string): number => entryOf(scopeOf(repository))?.tries ?? 0,
    /** Ends the pause after GitHub's response to a dispatch, and resets `tries`. */
    resume(repository: string): void {
      const key = scopeOf(repository)
      // A pause that hasn't expired stays, because the response can be to a request from before the pause.
      if ((entryOf(key)?.until ?? 0) <= clock()) entries.delete(key)
    },
    allPaused: (): RateLimitPause[] => [...entries.keys()].map(toPauses).filter(pauses => pauses !== null),
    /** Returns the pauses whose cause is a rejected credential, even expired ones, until GitHub accepts a dispatch. */
    rejected: (): RateLimitPause[] =>
      [...entries.keys()].flatMap(key => {
        const entry = entryOf(key)
        return entry && entry.cause !== 'limit' ? [shown(key, entry)] : []
      }),
  }
}

type Entry = { until: number; reason: string; cause: PauseCause; tries: number }

const digest = (secret: string) => createHash('sha256').update(secret).digest('base64url').slice(0, 16)

const LIMITED = 'GitHub is rate limiting this credential'
const OVERLOADED = 'GitHub is failing and asks the relay to wait'

/**
 * Reads from a response how long GitHub asks the relay to wait. `until`: milliseconds since 1970. `reason`: a clause
 * for Port's log. `response`: GitHub's response as a short text.
 * @param tries how many requests have failed in a row
 * @see https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api
 */
export function readLimit(
  error: unknown,
  now: number,
  tries: number,
): { until: number; reason: string; response: string } | null {
  const response = findResponse(error)
  if (!response) return null
  const { status, data } = response
  const headers = { get: (name: string) => (response.headers as Named)[name] ?? null }
  const isFailure = status >= 500 && headers.get('retry-after') !== null
  if (!isFailure && status !== 429 && !(status === 403 && isLimit(headers, data))) return null
  // Times in the headers are by GitHub's clock, which may differ from the relay's clock.
  const offset = (Date.parse(headers.get('date') ?? '') || now) - now
  const asked = readRetryAt(headers, now + offset, LONGEST_PAUSE_MS)
  const until = asked === null ? now + backOff(tries, FIRST_PAUSE_MS, LONGEST_PAUSE_MS / 2) : asked - offset
  return {
    until: Math.min(until, now + LONGEST_PAUSE_MS),
    reason: isFailure ? OVERLOADED : LIMITED,
    response: `${status}: ${readMessage(data).replace(/\.$/, '')}`,
  }
}

type Named = Record<string, string | undefined>

function isLimit(headers: { get(name: string): string | null }, data: unknown): boolean {
  const text = typeof data === 'string' ? data : readMessage(data)
  return (
    headers.get('retry-after') !== null ||
    headers.get('x-ratelimit-remaining') === '0' ||
    /rate limit|abuse detection|too quickly/i.test(text)
  )
}

export type RequestBudget = ReturnType<typeof createRequestBudget>

/** Creates a budget: in any window of `windowMs`, at most `given` requests are allowed. */
export function createRequestBudget(given: number | (() => number), windowMs: number, clock: () => number) {
  const taken: number[] = []
  const most = () => (typeof given === 'number' ? given : given())
  const forget = (now: number) => {
    // A time is in the future if the clock was set back.
    while (taken[0] !== undefined && (taken[0] <= now - windowMs || taken[0] > now)) taken.shift()
  }
  return {
    /** Takes requests from the budget. Takes none if fewer than `leave` requests would remain for urgent work. */
    take(requests = 1, leave = 0): boolean {
      const [now, limit] = [clock(), most()]
      forget(now)
      if (taken.length + Math.min(requests, limit) + leave > limit) return false
      for (let n = 0; n < requests; n++) taken.push(now)
      return true
    },
    /** Returns the last request to the budget, because the request didn't count against GitHub's limit. */
    giveBack(): void {
      taken.pop()
    },
    freeAt(leave = 0) {
      const [now, limit] = [clock(), Math.max(1, most() - leave)]
      forget(now)
      return taken.length < limit ? now : (taken[taken.length - limit] as number) + windowMs
    },
  }
}
