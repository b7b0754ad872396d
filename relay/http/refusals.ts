import type { Context } from 'hono'
import { BoundedMap } from '../cache.ts'
import { LIMITS } from '../config/limits.ts'
import { isRepository } from '../config/routes.ts'
import { clockTime } from '../delivery/outcome.ts'
import type { ThrottledLog } from '../log.ts'
import type { Problem } from './problem.ts'
import { PERSISTED, requestFields, senderAddress, VERIFIED } from './request.ts'

/** Equal refusals of Port webhooks. Times are milliseconds since 1970. */
export interface Refusal {
  firstAt: number
  lastAt: number
  count: number
  status: number
  reason: string
  /** The sender's IPv4 address or IPv6 network. */
  sender: string
  repository: string | null
}

export type Refusals = ReturnType<typeof createRefusals>

const MINUTE_MS = 60_000
const HOUR = 60

/** Whether a webhook has no signature. An unsigned request, for example from a scanner, causes no alert. */
export const isUnsigned = (c: Context) => c.req.header('x-port-signature') === undefined

/** Keeps the refusals since the start of the relay, in memory, so that unknown senders can't cause database writes. */
export function createRefusals(trustedProxies: number, clock: () => number) {
  // Each reason has its own list, so that a bot's many refusals don't displace refusals for other reasons.
  const byReason = new BoundedMap<string, BoundedMap<string, Refusal>>(LIMITS.refusalReasons)
  /** The number of refusals by minute, and by status and reason. */
  const minutes = new BoundedMap<number, BoundedMap<string, number>>(HOUR)
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
      const reason = message.slice(0, LIMITS.reason)
      const now = clock()
      const why = `${status} ${reason}`
      if (!isUnsigned(c) && status < 500) {
        const counts = minutes.get(minuteOf(now)) ?? new BoundedMap<string, number>(LIMITS.refusalReasons)
        counts.set(why, (counts.get(why) ?? 0) + 1)
        minutes.set(minuteOf(now), counts)
      }
      const kept = byReason.get(why) ?? new BoundedMap<string, Refusal>(LIMITS.refused)
      byReason.set(why, kept)
      const key = `${sender} ${repository.slice(0, LIMITS.loggedPath)} ${reason}`
      const named = isRepository(repository) ? repository : null
      const first = { firstAt: now, lastAt: now, count: 0, status, reason, sender, repository: named }
      const known = kept.get(key) ?? first
      kept.set(key, { ...known, lastAt: now, count: known.count + 1 })
    },
    list,
    /** Summarizes the last hour's refusals of signed webhooks, which a sender or an operator must fix. */
    recent() {
      const since = minuteOf(clock()) - HOUR
      const [statuses, reasons] = [new Map<string, number>(), new Map<string, number>()]
      for (const [, counts] of [...minutes].filter(([minute]) => minute > since)) {
        for (const [why, amount] of counts) {
          const [status, reason] = [why.slice(0, 3), why.slice(4)]
          statuses.set(status, (statuses.get(status) ?? 0) + amount)
          reasons.set(reason, (reasons.get(reason) ?? 0) + amount)
        }
      }
      return {
        since: started,
        count: [...statuses.values()].reduce((sum, amount) => sum + amount, 0),
        /** The count for each status, such as `12 × 401`. */
        statuses: [...statuses].map(([status, amount]) => `${amount} × ${status}`),
        /** The most frequent reason. */
        reason: [...reasons].reduce((most, each) => (each[1] > most[1] ? each : most), ['', 0])[0],
      }
    },
  }
}

export function describeRefused(refused: ReturnType<Refusals['recent']>, now: number): [string, string] {
  const { since, count, statuses, reason } = refused
  const isNew = now - since < HOUR * MINUTE_MS
  const when = isNew ? `since the relay started at ${clockTime(since)}` : 'in the last hour'
  const [what, which] = count === 1 ? ['webhook was refused', ''] : ['webhooks were refused', 'Most often: ']
  return [`${count} ${what} ${when}`, `(${statuses.join(', ')}). ${which}${reason}`]
}

/**
 * Logs each refused webhook: the status and message of the response, and the sender's address. All unverified senders
 * together cause at most one line per minute.
 * @param onRefusal called with each refused Port webhook
 * @returns a function that must be called for every refused request, even if it isn't a webhook
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
