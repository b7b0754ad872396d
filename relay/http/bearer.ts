import type { Context } from 'hono'

/** The token of `Authorization: Bearer …`, or null. */
export function bearer(c: Context): string | null {
  return /^Bearer (.+)$/i.exec(c.req.header('authorization') ?? '')?.[1] ?? null
}
