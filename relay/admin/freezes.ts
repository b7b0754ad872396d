import { z } from 'zod'
import { globs } from '../config/values.ts'
import { Problem } from '../http/problem.ts'
import type { Freezes } from '../workers/freezes.ts'
import { refuse } from './filter.ts'

const GLOB = 'must be a glob of repositories, such as acme/*'
const REASON = 'must be 1 to 100 characters on one line'
const UNTIL = 'must be a date, a time, and a time zone, such as 2099-12-01T08:00Z'
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d[\d:.]*(Z|[+-]\d\d:\d\d)$/
const isDate = (text: string) => z.iso.date().safeParse(text.slice(0, 10)).success

/** The body of `POST /api/freezes`, also in the API's description. */
export const newFreeze = z.strictObject({
  repositories: z.string(GLOB).refine(text => globs.safeParse(text).data?.[0] === text, GLOB),
  reason: z.string(REASON).regex(/^(?!\s*$)[^\p{Cc}\p{Bidi_Control}\u2028\u2029]{1,100}$/u, REASON),
  until: z.nullish(z.string(UNTIL).regex(TIME, UNTIL).refine(isDate, UNTIL)),
})

/** @param since the start of the freeze. @throws Problem 400 */
export function readFreeze(given: unknown, since: number, startedBy: 'api' | 'dashboard' = 'api') {
  const { data, error } = newFreeze.safeParse(given)
  if (!data) throw refuse(error)
  const { until, ...rest } = data
  const endsAt = until ? Date.parse(until) : null
  if (endsAt !== null && !(endsAt > since)) throw new Problem(400, 'until must be a time in the future.')
  return { ...rest, since, endsAt, startedBy }
}

/** Ends a deploy freeze. @throws Problem 404 */
export async function endFreeze(freezes: Freezes, id: string, discard: boolean): Promise<void> {
  if (/^\d{1,15}$/.test(id) && (await freezes.end(Number(id), discard ? 'discard' : 'release'))) return
  throw new Problem(
    404,
    `There is no active freeze ${id}. To list the active freezes, use GET /api/freezes or the command "freezes".`,
  )
}
