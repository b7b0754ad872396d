import type { MiddlewareHandler } from 'hono'
import { bearer } from '../http/bearer.ts'
import { refusalOf } from '../http/problem.ts'
import { senderAddress } from '../http/sender-address.ts'
import type { Role, Roles } from './roles.ts'

const LONGEST_PATH = 200

/** Logs each call of the admin API: what was asked for, by which token, and the answer's status. */
export function logCalls({
  roles,
  trustedProxies,
  log,
}: {
  roles: Roles
  trustedProxies: number
  log: { info: (fields: object, message: string) => void }
}): MiddlewareHandler {
  return async (c, next) => {
    await next()
    const { status } = c.res
    const role: Role | null = roles.of(bearer(c))
    log.info(
      {
        method: c.req.method,
        path: c.req.path.slice(0, LONGEST_PATH),
        role,
        status,
        ...(status >= 400 && { reason: refusalOf(c.error) }),
        address: senderAddress(c, trustedProxies),
      },
      'the admin API was called',
    )
  }
}
