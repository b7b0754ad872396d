import type { Context } from 'hono'
import type { Problem } from '../http/problem.ts'
import { requestFields } from '../http/request-fields.ts'

const SENDERS: [path: RegExp, name: 'Port' | 'GitHub'][] = [
  [/^\/webhook(\/|$)/, 'Port'],
  [/^\/github$/, 'GitHub'],
]

/** Set by a handler whose webhook is persisted: what follows, such as the wait for its dispatch, refuses nothing. */
export const PERSISTED = 'persisted'

export interface RefusalDeps {
  trustedProxies: number
  log: { info: (fields: object, message: string) => void }
  /** Called with each webhook of Port that is refused. */
  onRefusal: (c: Context, refusal: Problem) => void
}

/**
 * Logs webhooks that are refused: with the answer's status and sentence, and the sender's address.
 *
 * @returns a function that is called with every request that is refused, whatever it was
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
