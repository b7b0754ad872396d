import { callAdmin, FILTER_OPTIONS, toFilter } from './admin-client.ts'
import { defineCommand, JSON_OPTION, UsageError } from './command.ts'

export interface Shown {
  delivery: string
  state: string
  outcome: string | null
  reason: string | null
  run_id: string | null
  action: string | null
  repository: string
  event_type: string | null
  workflow: string | null
  ref: string | null
  received_at: string
}
type Event = { time: string; type: string; details: Record<string, unknown> }
type Page = { deliveries: Shown[]; next: number | null }

const DEFAULT_LIMIT = 50

export const deliveries = defineCommand({
  name: 'deliveries',
  summary: 'Lists the newest deliveries, or shows one with its history.',
  positionals: ['[ID]'],
  options: {
    state: {
      type: 'string',
      value: 'STATE',
      help: 'those that are queued, dispatched, running, finished, failed or cancelled',
    },
    ...FILTER_OPTIONS,
    limit: { type: 'string', value: 'NUMBER', help: `the maximum number; ${DEFAULT_LIMIT} by default` },
    json: JSON_OPTION,
  },
  async run({ env, values: { json, limit, ...filter }, positionals: [id], print }) {
    if (id !== undefined) {
      if (limit !== undefined || Object.keys(filter).length > 0)
        throw new UsageError('One delivery takes no filter: name an ID, or filter the list.')
      const path = `/api/deliveries/${encodeURIComponent(id)}`
      const shown = (await callAdmin(env, 'GET', path)) as Shown & { events: Event[] }
      if (json) return void print(JSON.stringify(shown))
      print(line(shown))
      for (const { time, type, details } of shown.events)
        print(
          ['', time.slice(0, 19), type, ...Object.keys(details).map(key => pair(key, details[key]))].join(
            '  ',
          ),
        )
      return
    }
    const response = await readList(query => callAdmin(env, 'GET', `/api/deliveries?${query}`), {
      ...toFilter(filter),
      ...(limit !== undefined && { limit }),
    })
    if (json) return void print(JSON.stringify(response))
    for (const delivery of response.deliveries) print(line(delivery))
    if (response.deliveries.length === 0) print('No delivery matches.')
  },
})

/** The first page with deliveries: one by action can be empty although older ones match. */
async function readList(
  get: (query: URLSearchParams) => Promise<unknown>,
  query: Record<string, string>,
): Promise<Page> {
  let page = (await get(new URLSearchParams(query))) as Page
  while (page.deliveries.length === 0 && page.next !== null)
    page = (await get(new URLSearchParams({ ...query, before: String(page.next) }))) as Page
  return page
}

/** A delivery on one line. */
export const line = (d: Shown) =>
  [
    d.received_at.slice(0, 19),
    d.delivery,
    d.state.padEnd(10),
    (d.outcome ?? '-').padEnd(11),
    d.run_id ?? '-',
    d.repository,
    target(d),
    d.reason ?? '',
  ]
    .join('  ')
    .trimEnd()

const target = ({ event_type, workflow, ref }: Shown) =>
  workflow === null ? event_type : `${workflow}${ref === null ? '' : `@${ref}`}`

const pair = (name: string, value: unknown) =>
  `${name}=${typeof value === 'string' ? JSON.stringify(value) : JSON.stringify(value ?? null)}`
