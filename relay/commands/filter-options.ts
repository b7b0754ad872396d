import type { Option } from './command.ts'

/** The filters of `deliveries` and `redeliver`, as the admin API has them. */
export const FILTER_OPTIONS = {
  repository: { type: 'string', value: 'OWNER/NAME', help: 'those for this repository' },
  action: { type: 'string', value: 'NAME', help: 'those of this Port action' },
  'run-id': { type: 'string', value: 'ID', help: 'those of this run in Port' },
  since: {
    type: 'string',
    value: 'TIME',
    help: 'those received since: 1h, 2d, or 2026-01-31T12:00:00Z',
  },
} as const satisfies Record<string, Option>

/** The names of the API for the options that were given. */
export const toFilter = ({ 'run-id': runId, ...rest }: Record<string, string | undefined>) =>
  Object.fromEntries(
    Object.entries({ ...rest, run_id: runId }).filter(
      (entry): entry is [string, string] => entry[1] !== undefined,
    ),
  )
