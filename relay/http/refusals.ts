import type { Context } from 'hono'
import { BoundedMap } from '../cache.ts'
import { LIMITS } from '../config/limits.ts'
import { isRepository } from '../config/routes.ts'
import type { Problem } from './problem.ts'
import { requestFields, senderAddress } from './request.ts'

/** A webhook of Port that was refused; repetitions are counted. Times are milliseconds since 1970. */
export interface Refusal {
  firstAt: number
  lastAt: number
  count: number
  status: number
  /** The sentence in the response. */
  reason: string
  /** Its address; for IPv6, its network. */
  sender: string
  /** The repository that the URL names. */
  repository: string | null
}

/** What the relay has refused since it started, in memory: unknown senders cause no writes. */
export interface Refusals {
  /** When the relay was started. */
  since: number
  note(c: Context, problem: Problem): void
  /** The newest first. */
  list(limit: number): Refusal[]
}

const MAX_REASON = 400

/** @param trustedProxies how many proxies in front of the relay append to X-Forwarded-For */
export function createRefusals(trustedProxies: number, clock: () => number): Refusals {
  // In the order of `lastAt`.
  const kept = new BoundedMap<string, Refusal>(LIMITS.refused.value)
  return {
    since: clock(),
    note(c, { status, message }) {
      const sender = senderAddress(c, trustedProxies)
      const repository = c.req.path.split('/').slice(2).join('/')
      const reason = message.slice(0, MAX_REASON)
      const key = `${status} ${sender} ${repository.slice(0, 200)} ${reason}`
      const now = clock()
      const known = kept.get(key)
      if (known) {
        known.lastAt = now
        known.count++
        kept.set(key, known)
        return
      }
      const named = isRepository(repository) ? repository : null
      kept.set(key, { firstAt: now, lastAt: now, count: 1, status, reason, sender, repository: named })
    },
    list: limit => [...kept.values()].slice(-limit).reverse(),
  }
}

const SENDERS: [path: RegExp, name: 'Port' | 'GitHub'][] = [
  [/^\/webhook(\/|$)/, 'Port'],
  [/^\/github$/, 'GitHub'],
]

/** Set when a webhook is persisted: what fails afterwards, such as the wait for its dispatch, isn't a refusal. */
export const PERSISTED = 'persisted'

export interface RefusalDeps {
  trustedProxies: number
  log: { info: (fields: object, message: string) => void }
  /** Called with each webhook of Port that is refused. */
  onRefusal: (c: Context, refusal: Problem) => void
}

/**
 * Logs webhooks that are refused, with the status and sentence of the response and the sender's address.
 *
 * @returns a function to call with every refused request, webhook or not
 */
export function logRefusals(deps: RefusalDeps): (c: Context, refusal: Problem) => void {
  const { trustedProxies, log, onRefusal } = deps
  return (c, refusal) => {
    const sender = SENDERS.find(([path]) => path.test(c.req.path))?.[1]
    if (!sender || c.get(PERSISTED)) return
    const { status } = refusal
    if (sender === 'Port') onRefusal(c, refusal)
    log.info(requestFields(c, trustedProxies, status, refusal), `a webhook of ${sender} is refused`)
  }
}
