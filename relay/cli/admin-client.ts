import { readFileSync } from 'node:fs'
import { trimEnd } from '../../port/text.ts'
import { proxyProblems } from '../config/outgoing.ts'
import { readSecrets } from '../config/values.ts'
import { type Option, UsageError } from './command.ts'

/**
 * Calls the admin API of the relay at `RELAY_PUBLIC_URL`, or on this machine if that variable isn't set.
 *
 * @throws UsageError if an argument is invalid
 */
export async function callAdmin(
  env: Record<string, string | undefined>,
  method: string,
  path: string,
  body?: object,
): Promise<unknown> {
  const problems = proxyProblems(env)
  const read = (path: string) => readFileSync(path, 'utf8')
  const { values } = readSecrets(env, ['RELAY_ADMIN_TOKEN'], read, problems)
  const { RELAY_ADMIN_TOKEN: token, RELAY_PUBLIC_URL, PORT } = values
  if (problems[0]) throw new Error(`${problems[0]}.`)
  if (!token) throw new Error("RELAY_ADMIN_TOKEN is required: set it to the running relay's token.")
  const base = relayAddress({ RELAY_PUBLIC_URL, PORT })
  let response: Response
  try {
    response = await fetch(`${base}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) }),
    })
  } catch (cause) {
    throw noRelay(base, cause)
  }
  const result = (await response.json().catch(() => ({}))) as { detail?: string }
  if (response.status === 400 && result.detail) throw new UsageError(result.detail)
  if (response.status === 401)
    throw new Error(
      `The relay at ${base} doesn't accept this token: RELAY_ADMIN_TOKEN must be the token that the relay was started with.`,
    )
  if (!response.ok)
    throw new Error(
      result.detail ??
        `${base}${path} responded with ${response.status}. If a proxy hides /api, run the command where the relay runs, with RELAY_PUBLIC_URL="".`,
    )
  return result
}

/** URL of the relay that the environment describes, without a trailing slash. */
export function relayAddress({ RELAY_PUBLIC_URL, PORT }: Record<string, string | undefined>): string {
  return trimEnd(RELAY_PUBLIC_URL || `http://127.0.0.1:${PORT || 8080}`, '/')
}

export const noRelay = (base: string, cause: unknown) =>
  new Error(`No relay responds at ${base}: start it, or set RELAY_PUBLIC_URL (or PORT) to its address.`, {
    cause,
  })

/** Filters of `deliveries` and `redeliver`. */
export const FILTER_OPTIONS = {
  outcome: {
    type: 'string',
    value: 'OUTCOME',
    help: 'only deliveries with this outcome: succeeded, failed, cancelled, not_started or unknown',
  },
  repository: { type: 'string', value: 'OWNER/NAME', help: 'only deliveries for this repository' },
  action: { type: 'string', value: 'NAME', help: 'only deliveries of this Port action' },
  'run-id': { type: 'string', value: 'ID', help: 'only deliveries of this Port run' },
  since: {
    type: 'string',
    value: 'TIME',
    help: 'only deliveries received since this time: 1h, 2d, or 2026-01-31T12:00:00Z',
  },
} as const satisfies Record<string, Option>

/** Maps the given options to the admin API's names. */
export const toFilter = ({ 'run-id': runId, ...rest }: Record<string, string | undefined>) =>
  Object.fromEntries(
    Object.entries({ ...rest, run_id: runId }).filter(
      (entry): entry is [string, string] => entry[1] !== undefined,
    ),
  )
