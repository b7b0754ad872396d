import type { Context, MiddlewareHandler } from 'hono'
import { requestFields } from '../http/request-fields.ts'
import type { Role } from './roles.ts'

/** Logs each call by an operator: what was asked for, by which role, and the answer's status. */
export function logCalls(
  {
    trustedProxies,
    log,
  }: { trustedProxies: number; log: { info: (fields: object, message: string) => void } },
  message: string,
  roleOf: (c: Context) => Promise<Role | null> | Role | null,
): MiddlewareHandler {
  return async (c, next) => {
    const role = await roleOf(c)
    await next()
    log.info({ role, ...requestFields(c, trustedProxies, c.res.status, c.error) }, message)
  }
}
