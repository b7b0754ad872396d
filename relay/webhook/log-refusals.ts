import type { MiddlewareHandler } from 'hono'
import { refusalOf } from '../http/problem.ts'
import { senderAddress } from '../http/sender-address.ts'

const LONGEST_PATH = 200

/** Set by a handler whose webhook is persisted: what follows, such as the wait for its dispatch, refuses nothing. */
export const PERSISTED = 'persisted'

export interface RefusalDeps {
  /** Who sends the webhooks. */
  sender: 'Port' | 'GitHub'
  trustedProxies: number
  log: { info: (fields: object, message: string) => void }
  /** Called with the status of each refusal. */
  onRefusal?: (status: number) => void
}

/** Logs each webhook that is refused: with the answer's status and sentence, and the sender's address. */
export function logRefusals({ sender, trustedProxies, log, onRefusal }: RefusalDeps): MiddlewareHandler {
  return async (c, next) => {
    await next()
    const { status } = c.res
    if (status < 400 || c.get(PERSISTED)) return
    onRefusal?.(status)
    log.info(
      {
        method: c.req.method,
        path: c.req.path.slice(0, LONGEST_PATH),
        status,
        reason: refusalOf(c),
        address: senderAddress(c, trustedProxies),
      },
      `a webhook of ${sender} is refused`,
    )
  }
}
