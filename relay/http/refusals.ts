import type { Context } from 'hono'
import { BoundedMap } from '../cache.ts'
import { LIMITS } from '../config/limits.ts'
import { isRepository } from '../config/routes.ts'
import { clockTime } from '../delivery/outcome.ts'
import type { ThrottledLog } from '../log.ts'
import type { Problem } from './problem.ts'
import { PERSISTED, requestFields, senderAddress, VERIFIED } from './request.ts'

/** A refused Port webhook. Repetitions are counted. Times are milliseconds since 1970. */
export interface Refusal {
  firstAt: number
  lastAt: number
  count: number
  status: number
  reason: string
  /** The sender's address or, for IPv6, the sender's network. */
  sender: string
  repository: string | null
}

export type Refusals = ReturnType<typeof createRefusals>

export const MOST_LISTED = 1_000
const MINUTE_MS = 60_000
const HOUR = 60
const MAX_REASON = 400

/** Whether a webhook has no signature, such as a scanner's request. Webhooks without a signature cause no alert. */
export const isUnsigned = (c: Context) => c.req.header('x-port-signature') === undefined

/** Refusals since the relay started, in memory, so that unknown senders can't cause database writes. */
export function createRefusals(trustedProxies: number, clock: () => number) {
  // Each reason has its own list, ordered by `lastAt`, so that a bot's refusals don't displace refusals for other reasons.
  const byReason = new BoundedMap<string, BoundedMap<string, Refusal>>(LIMITS.refusalReasons)
  /** Minute → status → count. */
  const minutes = new BoundedMap<number, Map<number, number>>(HOUR)
  let newest = ''
  const started = clock()
  const minuteOf = (time: number) => Math.floor(time / MINUTE_MS)
  const list = (limit: number) =>
    [...byReason.values()]
      .flatMap(refused => [...refused.values()])
      .reverse()
      .toSorted((a, b) => b.lastAt - a.lastAt)
      .slice(0, limit)

  return {
    since: started,
    note(c: Context, { status, message }: Problem): void {
      const sender = senderAddress(c, trustedProxies)
      const repository = c.req.path.split('/').slice(2).join('/')
      const reason = message.slice(0, MAX_REASON)
      const now = clock()
      if (!isUnsigned(c) && status < 500) {
        const counts = minutes.get(minuteOf(now)) ?? new Map<number, number>()
        minutes.set(minuteOf(now), counts.set(status, (counts.get(status) ?? 0) + 1))
        newest = reason
      }
      const why = `${status} ${reason}`
      const kept = byReason.get(why) ?? new BoundedMap<string, Refusal>(LIMITS.refused)
      byReason.set(why, kept)
      const key = `${sender} ${repository.slice(0, 200)} ${reason}`
      const named = isRepository(repository) ? repository : null
      const first = { firstAt: now, lastAt: now, count: 0, status, reason, sender, repository: named }
      const known = kept.get(key) ?? first
      kept.set(key, { ...known, lastAt: now, count: known.count + 1 })
    },
    list,
    /** The signed webhooks that were refused in the last hour for a reason that a sender or an operator must fix. */
    recent() {
      const since = minuteOf(clock()) - HOUR
      const counts = new Map<number, number>()
      for (const [, amounts] of [...minutes].filter(([minute]) => minute > since))
        for (const [status, amount] of amounts) counts.set(status, (counts.get(status) ?? 0) + amount)
      return {
        since: started,
        count: [...counts.values()].reduce((sum, amount) => sum + amount, 0),
        /** Counts by status, such as `12 × 401`. */
        statuses: [...counts].map(([status, amount]) => `${amount} × ${status}`),
        /** The reason of the newest refusal; empty if there is no refusal. */
        reason: newest,
      }
    },
  }
}

/** Describes the webhooks that were refused in the last hour, or since the relay started. */
export function describeRefused(refused: ReturnType<Refusals['recent']>, now: number): [string, string] {
  const { since, count, statuses, reason } = refused
  const isNew = now - since < HOUR * MINUTE_MS
  const when = isNew ? `since the relay started at ${clockTime(since)}` : 'in the last hour'
  const [what, which] = count === 1 ? ['webhook was', ''] : ['webhooks were', 'The last one: ']
  return [`${count} ${what} refused ${when}`, `(${statuses.join(', ')}). ${which}${reason}`]
}

/**
 * Logs refused webhooks with the response's status and message, and the sender's address. All unverified senders
 * together cause at most one log line per minute.
 * @param onRefusal called with each refused Port webhook
 * @returns a function to call for every refused request, even if the request isn't a webhook
 */
export function logRefusals(
  deps: { trustedProxies: number } & Record<'log' | 'throttled', Pick<ThrottledLog, 'info'>>,
  onRefusal: (c: Context, refusal: Problem) => void,
) {
  return (c: Context, refusal: Problem): void => {
    const isOfPort = /^\/webhook(\/|$)/.test(c.req.path)
    if ((!isOfPort && c.req.path !== '/github') || c.get(PERSISTED)) return
    if (isOfPort) onRefusal(c, refusal)
    const log = c.get(VERIFIED) ? deps.log : deps.throttled
    log.info(
      requestFields(c, deps.trustedProxies, refusal.status, refusal),
      `a ${isOfPort ? 'Port' : 'GitHub'} webhook is refused`,
    )
  }
}
