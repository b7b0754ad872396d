import type { Context } from 'hono'
import { Problem } from './problem.ts'

/**
 * @returns the length that the body is announced with; null where it is not
 * @throws Problem 413 for one that is too large
 */
export function checkLength(c: Context, maxBytes: number): number | null {
  const announced = c.req.header('content-length')
  if (announced !== undefined && Number(announced) > maxBytes) throw tooLarge(maxBytes)
  return announced === undefined || c.req.header('transfer-encoding') !== undefined ? null : Number(announced)
}

export function tooLarge(maxBytes: number): Problem {
  return new Problem(413, `The body is larger than RELAY_MAX_BODY allows (${maxBytes} bytes).`, {
    connection: 'close',
  })
}
