import type { Context } from 'hono'
import { refusalOf } from './problem.ts'
import { senderAddress } from './sender-address.ts'

const LONGEST_PATH = 200

/** A request and its answer, for the log. */
export const requestFields = (c: Context, trustedProxies: number, status: number, error?: Error) => ({
  method: c.req.method,
  path: c.req.path.slice(0, LONGEST_PATH),
  status,
  ...(status >= 400 && { reason: refusalOf(error) }),
  address: senderAddress(c, trustedProxies),
})
