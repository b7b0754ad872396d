import { setTimeout as sleep } from 'node:timers/promises'
import { callAdmin, FILTER_OPTIONS, toFilter } from './admin-client.ts'
import { type Call, type Color, defineCommand, JSON_OPTION, UsageError } from './command.ts'

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
  attempts: number
  waiting_for: string | null
  blocked_by: { delivery: string; run_id: string | null } | null
  cancel_requested_at: string | null
  due_at: string | null
  received_at: string
}
type Event = { time: string; type: string; details: Record<string, unknown> }
type Page = { deliveries: Shown[]; next: number | null }

const DEFAULT_LIMIT = 50
const WATCH_MS = 2_000

export const deliveries = defineCommand({
  name: 'deliveries',
  summary: 'Lists the newest deliveries, or shows one delivery with its history.',
  positionals: ['[ID]'],
  options: {
    state: {
      type: 'string',
      value: 'STATE',
      help: 'only deliveries in this state: queued, dispatched, running, finished, failed or cancelled',
    },
    ...FILTER_OPTIONS,
    limit: { type: 'string', value: 'NUMBER', help: `the maximum number; ${DEFAULT_LIMIT} by default` },
    watch: { type: 'boolean', help: 'keep running, and print new and changed deliveries' },
    json: JSON_OPTION,
  },
  async run(call) {
    const { env, values, positionals, print, note, color, signal } = call
    const { json, limit, watch = false, ...filter } = values
    const [id] = positionals
    if (id !== undefined) {
      if (limit !== undefined || watch || Object.keys(filter).length > 0)
        throw new UsageError('With an ID, only --json is allowed: remove other options or the ID.')
      const path = `/api/deliveries/${encodeURIComponent(id)}`
      const shown = (await callAdmin(env, 'GET', path)) as Shown & { events: Event[] }
      if (json) return void print(JSON.stringify(shown))
      for (const line of table([shown], color)) print(line)
      for (const { time, type, details } of shown.events)
        print(
          ['', time.slice(0, 19), type, ...Object.keys(details).map(key => pair(key, details[key]))].join(
            '  ',
          ),
        )
      return
    }
    const read = () =>
      readList(query => callAdmin(env, 'GET', `/api/deliveries?${query}`), {
        ...toFilter(filter),
        ...(limit !== undefined && { limit }),
      })
    const response = await read()
    if (json && !watch) return void print(JSON.stringify(response))
    const printAll = (rows: Shown[], isFirst = false) => {
      const lines = json ? rows.map(row => JSON.stringify(row)) : table(rows, color).slice(isFirst ? 0 : 1)
      for (const line of lines) print(line)
    }
    if (response.deliveries.length > 0 || watch) printAll(response.deliveries, true)
    else print('No delivery matches.')
    if (!watch) return
    const known = new Map(response.deliveries.map(row => [row.delivery, JSON.stringify(row)]))
    while (await sleep(WATCH_MS, true, { signal }).catch(() => false)) {
      const page = await read().catch(error => void note(error.message))
      const changed = (page?.deliveries ?? []).filter(row => known.get(row.delivery) !== JSON.stringify(row))
      for (const row of changed) known.set(row.delivery, JSON.stringify(row))
      if (changed.length > 0) printAll(changed.toReversed())
    }
  },
})

/** Reads the first non-empty page. When filtering by action, a page can be empty although older deliveries match. */
async function readList(
  get: (query: URLSearchParams) => Promise<unknown>,
  query: Record<string, string>,
): Promise<Page> {
  let page = (await get(new URLSearchParams(query))) as Page
  while (page.deliveries.length === 0 && page.next !== null)
    page = (await get(new URLSearchParams({ ...query, before: String(page.next) }))) as Page
  return page
}

const COLUMNS: [title: string, text: (delivery: Shown) => string][] = [
  ['RECEIVED', d => d.received_at.slice(0, 19)],
  ['DELIVERY', d => d.delivery],
  ['STATE', d => d.state],
  ['OUTCOME', d => d.outcome ?? '-'],
  ['RUN', d => d.run_id ?? '-'],
  ['REPOSITORY', d => d.repository],
  ['TARGET', d => target(d) ?? '-'],
  ['REASON', d => [d.outcome === null && whyWaiting(d), d.reason].filter(Boolean).join(': ')],
]
/** Color for an outcome, or for the state if there's no outcome yet. */
const COLORS: Record<string, Color> = {
  ...{ queued: 'yellow', dispatched: 'cyan', running: 'cyan' },
  ...{ succeeded: 'green', failed: 'red', not_started: 'red', cancelled: 'dim', unknown: 'yellow' },
}

/** Formats a header line, and a line for each delivery. */
export function table(rows: Shown[], color: Call['color']): string[] {
  const cells = [COLUMNS.map(([title]) => title), ...rows.map(row => COLUMNS.map(([, text]) => text(row)))]
  const widths = COLUMNS.map((_, at) => Math.max(...cells.map(each => each[at]!.length)))
  return cells.map((each, index) => {
    const padded = each.map((text, at) => text.padEnd(at === each.length - 1 ? 0 : widths[at]!))
    if (index === 0) return color('bold', padded.join('  ').trimEnd())
    const { state, outcome } = rows[index - 1]!
    return padded
      .map((text, at) =>
        COLUMNS[at]![0] === (outcome ? 'OUTCOME' : 'STATE')
          ? color(COLORS[outcome ?? state] ?? 'dim', text)
          : text,
      )
      .join('  ')
      .trimEnd()
  })
}

/** What an open delivery is waiting for; empty if it isn't waiting. */
function whyWaiting(delivery: Shown): string {
  const { state, attempts, waiting_for, blocked_by, cancel_requested_at, due_at } = delivery
  if (cancel_requested_at !== null && state !== 'cancelled') return 'is being canceled'
  if (waiting_for !== null) return `waits for an approval: ${waiting_for}`
  if (state !== 'queued') return ''
  if (blocked_by !== null) return `waits for an earlier run: ${blocked_by.run_id ?? blocked_by.delivery}`
  return attempts === 0 || due_at === null
    ? 'waits for its dispatch'
    : `attempt ${attempts + 1} at ${due_at.slice(11, 19)} UTC`
}

const target = ({ event_type, workflow, ref }: Shown) =>
  workflow === null ? event_type : `${workflow}${ref === null ? '' : `@${ref}`}`

const pair = (name: string, value: unknown) =>
  `${name}=${typeof value === 'string' ? JSON.stringify(value) : JSON.stringify(value ?? null)}`
