import { z } from 'zod'
import { LIMITS } from '../config/limits.ts'
import { isRepository } from '../config/routes.ts'
import { duration } from '../config/values.ts'
import { OUTCOMES, REDELIVERABLE, STATES } from '../delivery/delivery.ts'
import { Problem } from '../http/problem.ts'
import type { Filter } from '../store/store.ts'

const LIMIT = `must be a whole number from 1 to ${LIMITS.redeliveredAtOnce}`
const SINCE =
  'must be a time such as 2026-01-31T12:00:00Z, a duration such as 1h, or milliseconds since 1970 (at least 12 digits)'
const text = z.string('must be a string')
const time = text.refine(given => readSince(given, 0) !== null, SINCE)
const oneOf = <const V extends readonly string[]>(values: V) =>
  z.enum(values, `must be one of ${values.join(', ')}`)

/** The fields of a filter in URLs, bodies, and forms. The API's description contains the schemas in this file. */
const fields = {
  state: oneOf(STATES).optional(),
  outcome: oneOf(OUTCOMES).optional(),
  q: text.optional().describe("a part of the run's or delivery's id, the repository, or the action"),
  repository: text.refine(isRepository, 'must be owner/name').optional(),
  action: text.optional().describe('identifier of the Port action'),
  run_id: text.optional().describe('id of the run in Port'),
  since: time.optional().describe(`only deliveries received since this time, which ${SINCE}`),
}
export const filterFields = z.object(fields)
export type GivenFilter = { [name in keyof typeof fields]?: string | undefined }
export const FILTERS = Object.keys(fields) as (keyof GivenFilter)[]

/** The body of `POST /api/redeliver`. */
export const bulkRequest = z.strictObject(
  {
    ...fields,
    state: fields.state.meta({ enum: REDELIVERABLE }),
    limit: z.int(LIMIT).min(1, LIMIT).max(LIMITS.redeliveredAtOnce, LIMIT).default(LIMITS.redeliveredAtOnce),
    dry_run: z.boolean('must be true or false').default(false),
  },
  'must be a JSON object, such as {"state": "failed", "since": "1h", "dry_run": true}',
)

/** Returns the refusal of a request that doesn't match its schema. */
export function refuse({ issues: [issue] }: z.ZodError): Problem {
  const unknown = issue?.code === 'unrecognized_keys' && JSON.stringify(issue.keys[0]?.slice(0, 60))
  const rule = unknown ? `has the unknown field ${unknown}` : issue?.message
  return new Problem(400, `${String(issue?.path[0] ?? 'The body')} ${rule}.`)
}

/** @throws Problem 400 with the valid values */
export function readFilter(given: GivenFilter, now: number): Filter {
  const { data, error } = filterFields.safeParse(given)
  if (!data) throw refuse(error)
  const { state, outcome, q, repository, action, run_id: runId, since } = data
  return {
    ...(state && { state }),
    ...(outcome && { outcome }),
    ...(q && { search: q }),
    ...(repository && { repository }),
    ...(action && { action }),
    ...(runId && { runId }),
    ...(since !== undefined && { since: readSince(since, now) as number }),
  }
}

/** Reads an RFC 3339 time, milliseconds since 1970, or a duration that is subtracted from now; null for another text. */
function readSince(text: string, now: number): number | null {
  const ago = duration.safeParse(text)
  if (ago.success) return now - ago.data
  if (rfc3339.safeParse(text).success) return Date.parse(text)
  // With fewer digits, the number could be seconds or a year.
  return /^\d{12,15}$/.test(text) ? Number(text) : null
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
