import type { GitHub } from '../../github/client.ts'

const DAY_MS = 24 * 3_600_000
const SOON_MS = 14 * DAY_MS
/** An App's tokens are refused where the clocks are a minute apart; below this, only times in the log are wrong. */
const FAR_MS = 30_000

/**
 * Warns, once a day each, of what will stop the relay: a token that expires within two weeks, a clock that is far from
 * GitHub's.
 *
 * @param deps.clock the wall clock, milliseconds since 1970
 * @returns to be called now and then
 */
export function createReminders(
  { facts, clockOffset }: Pick<GitHub, 'facts' | 'clockOffset'>,
  { clock, log }: { clock: () => number; log: { warn: (fields: object, message: string) => void } },
): () => void {
  const warned = new Map<string, number>()
  const warn = (fields: object, message: string) => {
    if (clock() - (warned.get(message) ?? Number.NEGATIVE_INFINITY) < DAY_MS) return
    warned.set(message, clock())
    log.warn(fields, message)
  }

  return () => {
    const expiresAt = facts.tokenExpiresAt()
    if (expiresAt !== null && expiresAt - clock() < SOON_MS) {
      const fields = { expires_at: new Date(expiresAt).toISOString() }
      warn(fields, 'GITHUB_TOKEN expires soon: set a new one, and restart the relay')
    }
    const offset = clockOffset() ?? 0
    if (Math.abs(offset) > FAR_MS) {
      const fields = { offset_seconds: Math.round(offset / 1000) }
      warn(fields, "this machine's clock differs from GitHub's: correct it")
    }
  }
}
