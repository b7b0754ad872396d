import { createHash } from 'node:crypto'
import type { Config } from '../config/config.ts'
import type { Pause } from '../store/store.ts'

/**
 * GitHub limits a credential, not a repository: once it has asked one request to wait, all of the same
 * credential wait, rather than each finding out for itself. This is what one relay knows; the store holds
 * what all of them know, over restarts.
 */
export interface Pauses {
  /** The one scope of all repositories; null where each owner's is its own. */
  shared: string | null
  scope(repository: string): string
  /** Milliseconds since 1970; 0 when there is nothing to wait for. */
  until(repository: string): number
  /** Takes what GitHub has answered. */
  set(repository: string, until: number): void
  /** Takes what the store knows. */
  learn(pauses: readonly Pause[]): void
  /** How often in a row GitHub asked to wait. */
  tries(repository: string): number
  /** GitHub has answered a dispatch: what was to wait for is over. */
  passed(repository: string): void
  /** Whether a dispatch may be sent after a pause: one goes first, the others wait for its answer. */
  mayTry(repository: string): boolean
  /** The pauses that are on. */
  active(): Pause[]
}

/** A request that was not sent, since GitHub has asked to wait. */
export class PausedError extends Error {
  readonly until: number
  constructor(until: number) {
    super(`GitHub has asked to wait until ${new Date(until).toISOString()}`)
    this.name = 'PausedError'
    this.until = until
  }
}

/** GitHub's limits are of an hour at most; whatever asks for more is asked again then. */
export const LONGEST_PAUSE_MS = 3_600_000
/** A time that is further from now, by more than two relays' clocks may be apart, is long over or of a wrong clock. */
const FURTHEST_MS = LONGEST_PAUSE_MS + 60_000
/** A first dispatch that has no answer by then holds the others up no longer. */
const PROBE_MS = 15_000

interface Entry {
  until: number
  tries: number
  probeUntil: number
}

/** @param onSet called with each pause that GitHub asks for, to be written down */
export function createPauses(
  auth: Config['github']['auth'],
  clock: () => number,
  onSet: (pause: Pause) => void = () => {},
): Pauses {
  const entries = new Map<string, Entry>()
  const shared = 'token' in auth ? `token:${digest(auth.token)}` : null
  const scope = (repository: string) => shared ?? `owner:${repository.replace(/\/.*/, '').toLowerCase()}`

  function find(key: string): Entry | undefined {
    const entry = entries.get(key)
    if (entry && Math.abs(entry.until - clock()) > FURTHEST_MS) entries.delete(key)
    return entries.get(key)
  }

  function raise(key: string, until: number): void {
    const now = clock()
    const known = find(key)
    // Of several that were under way, the one that was asked to wait longest is right.
    const next = Math.max(known?.until ?? 0, Math.min(until, now + LONGEST_PAUSE_MS))
    const again = known !== undefined && known.until <= now
    entries.set(key, { until: next, tries: (known?.tries ?? 0) + (again || !known ? 1 : 0), probeUntil: 0 })
  }

  return {
    shared,
    scope,
    until: repository => find(scope(repository))?.until ?? 0,
    set(repository, until) {
      const key = scope(repository)
      raise(key, until)
      onSet({ scope: key, until: (entries.get(key) as Entry).until })
    },
    learn(pauses) {
      const now = clock()
      for (const { scope, until } of pauses) {
        const known = find(scope)?.until ?? 0
        if (until > Math.max(now, known) && until <= now + FURTHEST_MS) raise(scope, until)
      }
    },
    tries: repository => find(scope(repository))?.tries ?? 0,
    passed(repository) {
      const key = scope(repository)
      // An answer to what was sent before the pause says nothing about it.
      if ((find(key)?.until ?? 0) <= clock()) entries.delete(key)
    },
    mayTry(repository) {
      const entry = find(scope(repository))
      if (!entry) return true
      const now = clock()
      if (entry.until > now || entry.probeUntil > now) return false
      entry.probeUntil = now + PROBE_MS
      return true
    },
    active() {
      const now = clock()
      return [...entries.keys()].flatMap(key => {
        const until = find(key)?.until ?? 0
        return until > now ? [{ scope: key, until }] : []
      })
    },
  }
}

/** Names a token without telling anything of it. */
const digest = (token: string) => createHash('sha256').update(token).digest('base64url').slice(0, 16)
