import { z } from 'zod'
import { isRepository } from '../config/routes.ts'
import { duration } from '../config/values.ts'
import { OUTCOMES, type Outcome, REDELIVERABLE, STATES, type State } from '../delivery/delivery.ts'
import { Problem } from '../http/problem.ts'
import type { Filter } from '../store/store.ts'

/** The fields of a filter, with their names in URLs, bodies, and forms. */
export const FILTERS = ['state', 'outcome', 'q', 'repository', 'action', 'run_id', 'since'] as const

export const MAX_LISTED = 200

export type GivenFilter = { [name in (typeof FILTERS)[number]]?: string | undefined }

/** @throws Problem 400 with the valid values */
export function readFilter(given: GivenFilter, now: number): Filter {
  const { state, outcome, q, repository, action, run_id: runId, since } = given
  if (state !== undefined && !STATES.includes(state as State))
    throw new Problem(400, `state must be one of ${STATES.join(', ')}.`)
  if (outcome !== undefined && !OUTCOMES.includes(outcome as Outcome))
    throw new Problem(400, `outcome must be one of ${OUTCOMES.join(', ')}.`)
  if (repository !== undefined && !isRepository(repository))
    throw new Problem(400, 'repository must be owner/name.')
  return {
    ...(state && { state: state as State }),
    ...(outcome && { outcome: outcome as Outcome }),
    ...(q && { search: q }),
    ...(repository && { repository }),
    ...(action && { action }),
    ...(runId && { runId }),
    ...(since !== undefined && { since: readSince(since, now) }),
  }
}

/** Reads an RFC 3339 time, milliseconds since 1970, or a duration before now. */
function readSince(text: string, now: number): number {
  const ago = duration.safeParse(text)
  if (ago.success) return now - ago.data
  if (rfc3339.safeParse(text).success) return Date.parse(text)
  // With fewer digits, the number could be seconds or a year.
  if (/^\d{12,15}$/.test(text)) return Number(text)
  const sentence =
    'since must be a time such as 2026-01-31T12:00:00Z, a duration such as 1h, or milliseconds since 1970 (at least 12 digits).'
  throw new Problem(400, sentence)
}

const rfc3339 = z.iso.datetime({ offset: true })

/** @throws Problem 400 */
export function readWhole(name: string, text: string | undefined, max: number): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= 1 && value <= max) return value
  const range =
    max === Number.MAX_SAFE_INTEGER ? 'above 0, from "next" in the previous response' : `from 1 to ${max}`
  throw new Problem(400, `${name} must be a whole number ${range}.`)
}

/** Requires a state or an outcome in the filter of a redelivery, to prevent accidental redeliveries. @throws Problem 400 */
export function readBulkFilter(given: GivenFilter, now: number): Filter {
  if (isBulk(given)) return { ...readFilter(given, now), redeliverable: true }
  const sentence = `Only failed or canceled deliveries can be redelivered: set a state (${REDELIVERABLE.join(' or ')}) or an outcome other than succeeded.`
  throw new Problem(400, sentence)
}

export const isBulk = ({ state, outcome }: GivenFilter) =>
  state === undefined
    ? outcome !== undefined && outcome !== 'succeeded'
    : REDELIVERABLE.some(each => each === state)

/** Ignores empty form fields. */
export const givenIn = (read: (name: string) => string | undefined): GivenFilter =>
  Object.fromEntries(FILTERS.map(name => [name, read(name)?.trim() || undefined]))
