/** What GitHub's answers show of the relay's credential. */
export interface AnswerFacts {
  /** @param answer GitHub's own */
  observe(answer: Pick<Response, 'status' | 'headers'>): void
  /** The fewest requests that GitHub leaves until a window ends; null where no window is open. */
  rateLimitRemaining(): number | null
  /** When the token expires, milliseconds since 1970; null where it does not, or is of an App. */
  tokenExpiresAt(): number | null
  /** Whether GitHub accepted the credential in its last answer; null before the first. */
  isAccepted(): boolean | null
}

/** An App has a window for each installation. */
const MAX_WINDOWS = 1_000

/** @param clock milliseconds since 1970 */
export function createAnswerFacts(clock: () => number): AnswerFacts {
  /** By the time at which a window ends. */
  const windows = new Map<number, number>()
  let expiresAt: number | null = null
  let accepted: boolean | null = null

  function forgetEnded(): void {
    for (const end of windows.keys()) if (end <= clock()) windows.delete(end)
  }

  return {
    observe({ status, headers }) {
      if (status === 401) accepted = false
      else if (status < 400) accepted = true
      const expiry = Date.parse(headers.get('github-authentication-token-expiration') ?? '')
      if (Number.isFinite(expiry)) expiresAt = expiry
      const end = Number(headers.get('x-ratelimit-reset')) * 1000
      const remaining = Number(headers.get('x-ratelimit-remaining') ?? Number.NaN)
      if (!(end > clock()) || !Number.isInteger(remaining)) return
      if (windows.size >= MAX_WINDOWS && !windows.has(end)) forgetEnded()
      if (windows.size < MAX_WINDOWS || windows.has(end)) {
        windows.set(end, Math.min(remaining, windows.get(end) ?? remaining))
      }
    },
    rateLimitRemaining() {
      forgetEnded()
      return windows.size === 0 ? null : Math.min(...windows.values())
    },
    tokenExpiresAt: () => expiresAt,
    isAccepted: () => accepted,
  }
}
