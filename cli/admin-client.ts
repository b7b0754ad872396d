import { readFileSync } from 'node:fs'
import { trimEnd } from '../port/text.ts'
import { readFilter, readWhole } from '../relay/admin/filter.ts'
import { proxyProblems } from '../relay/config/outgoing.ts'
import { readSecrets } from '../relay/config/values.ts'
import { OUTCOMES } from '../relay/delivery/delivery.ts'
import { choice, text, UsageError } from './command.ts'
import { whyUnreachable } from './doctor/check.ts'

/** Calls the admin API of the relay. @throws UsageError if an argument is invalid */
export async function callAdmin(
  env: Record<string, string | undefined>,
  method: string,
  path: string,
  body?: object,
): Promise<unknown> {
  const problems = proxyProblems(env)
  const read = (path: string) => readFileSync(path, 'utf8')
  const { values } = readSecrets(env, ['RELAY_ADMIN_TOKEN', 'RELAY_VIEW_TOKEN'], read, problems)
  const { RELAY_ADMIN_TOKEN, RELAY_VIEW_TOKEN, RELAY_PUBLIC_URL, PORT } = values
  const token = RELAY_ADMIN_TOKEN ?? (method === 'GET' ? RELAY_VIEW_TOKEN : undefined)
  if (problems[0]) throw new Error(`${problems[0]}.`)
  if (!token) throw new Error("RELAY_ADMIN_TOKEN is required: set it to the running relay's token.")
  const base = relayAddress({ RELAY_PUBLIC_URL, PORT })
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const init = { method, headers, ...(body && { body: JSON.stringify(body) }) }
  const response = await fetch(`${base}${path}`, init).catch(cause => {
    throw noRelay(base, cause)
  })
  const result = (await response.json().catch(() => ({}))) as { detail?: string }
  if (response.status === 400 && result.detail) throw new UsageError(result.detail)
  if (response.status === 401)
    throw new Error(
      `The relay at ${base} doesn't accept this token: ${RELAY_ADMIN_TOKEN ? 'RELAY_ADMIN_TOKEN' : 'RELAY_VIEW_TOKEN'} must be the token that the relay was started with.`,
    )
  if (!response.ok)
    throw new Error(
      result.detail ??
        `${base}${path} responded with ${response.status}. If a proxy hides /api, run the command where the relay runs, with RELAY_PUBLIC_URL="".`,
    )
  return result
}

export const relayAddress = ({ RELAY_PUBLIC_URL, PORT }: Record<string, string | undefined>): string =>
  trimEnd(RELAY_PUBLIC_URL || `http://127.0.0.1:${PORT || 8080}`, '/')

export const noRelay = (base: string, cause: unknown) =>
  new Error(
    `No relay responds at ${base} (${whyUnreachable(cause)}): start it, or set RELAY_PUBLIC_URL (or PORT) to its address.`,
    { cause },
  )

/** The filter options of the commands `deliveries` and `redeliver`. */
export const FILTER_OPTIONS = {
  outcome: choice('OUTCOME', OUTCOMES, 'only with this outcome'),
  repository: text('OWNER/NAME', 'only deliveries for this repository'),
  action: text('NAME', 'only deliveries of this Port action'),
  'run-id': text('ID', 'only deliveries of this Port run'),
  since: text('TIME', 'only deliveries received since this time: 1h, 2d, or 2026-01-31T12:00:00Z'),
}

/** Checks a filter as the relay does. @throws UsageError */
export function toFilter(
  { 'run-id': runId, limit, ...rest }: Record<string, string | undefined>,
  maxLimit: number,
): Record<string, string> {
  const filter = { ...rest, run_id: runId }
  try {
    readFilter(filter, Date.now())
    readWhole('limit', limit, maxLimit)
  } catch (error) {
    throw new UsageError(`--${(error as Error).message}`)
  }
  const given = Object.entries({ ...filter, limit })
  return Object.fromEntries(given.filter((entry): entry is [string, string] => entry[1] !== undefined))
}
