import { setTimeout as sleep } from 'node:timers/promises'
import type { GitHub } from '../github/client.ts'
import type { Store } from '../store/store.ts'
import type { Timeouts } from './timeouts.ts'

/** The number of deliveries per batch. It is small, so that intake never waits long. */
const STEP = 200
const PAUSE_MS = 50

/** Deletes old deliveries. Keeps a delivery while the signature of its webhook can be valid (`tolerance`), because a copy of the webhook could be accepted again. */
export async function purge(
  store: Pick<Store, 'purge'>,
  { now, retention, tolerance }: { now: number; retention: number; tolerance: number },
  stopped: () => boolean = () => false,
): Promise<number> {
  const before = now - Math.max(retention, 2 * tolerance)
  let removed = 0
  while (!stopped()) {
    const step = await store.purge(before, STEP)
    removed += step
    if (step < STEP) break
    await sleep(PAUSE_MS)
  }
  return removed
}

const DAY_MS = 24 * 3_600_000
export const SOON_MS = 14 * DAY_MS

/** Creates a function to call periodically. It warns at most once a day about a token that expires soon, and about a wrong clock. */
export function createReminders(
  { facts }: Pick<GitHub, 'facts'>,
  timeouts: Pick<Timeouts, 'problem'>,
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
      warn(fields, 'GITHUB_TOKEN expires soon: set a new token, and restart the relay')
    }
    const reason = timeouts.problem()
    if (reason !== null) warn({ reason }, "a clock is wrong, or GitHub doesn't respond")
  }
}
