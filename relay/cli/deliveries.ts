import { setTimeout as sleep } from 'node:timers/promises'
import type { ShownDelivery, ShownEvent } from '../admin/api.ts'
import { callAdmin, FILTER_OPTIONS, toFilter } from './admin-client.ts'
import { type Call, type Color, defineCommand, flag, JSON_OPTION, text, UsageError } from './command.ts'

type Page = { deliveries: ShownDelivery[]; next: number | null }

const WATCH_MS = 2_000

export const deliveries = defineCommand({
  name: 'deliveries',
  summary: 'Lists the newest deliveries, or shows one delivery with its history.',
  positionals: ['[ID]'],
  options: {
    state: text('STATE', 'only in this state: queued, dispatched, running, finished, failed or cancelled'),
    ...FILTER_OPTIONS,
    limit: text('NUMBER', 'the maximum number; 50 by default'),
    watch: flag('keep running, and print new and changed deliveries'),
    json: JSON_OPTION,
  },
  async run({ env, values, positionals: [id], print, note, color, signal }) {
    const { json, limit, watch = false, ...filter } = values
    if (id !== undefined) {
      if (limit !== undefined || watch || Object.keys(filter).length > 0)
        throw new UsageError('With an ID, only --json is allowed: remove other options or the ID.')
      const path = `/api/deliveries/${encodeURIComponent(id)}`
      const shown = (await callAdmin(env, 'GET', path)) as ShownDelivery & { events: ShownEvent[] }
      if (json) return void print(JSON.stringify(shown))
      for (const line of table([shown], color)) print(line)
      for (const { time, type, details } of shown.events) {
        const pairs = Object.entries(details).map(([key, value]) => `${key}=${JSON.stringify(value ?? null)}`)
        print(['', time.slice(0, 19), type, ...pairs].join('  '))
      }
      return
    }
    /** Reads the first non-empty page. With a filter by action, a page can be empty although older deliveries match. */
    const read = async (before: object = {}): Promise<Page> => {
      const query = new URLSearchParams({ ...toFilter({ ...filter, limit }), ...before })
      const page = (await callAdmin(env, 'GET', `/api/deliveries?${query}`)) as Page
      return page.deliveries.length === 0 && page.next !== null ? read({ before: String(page.next) }) : page
    }
    const response = await read()
    if (json && !watch) return void print(JSON.stringify(response))
    const printAll = (rows: ShownDelivery[], isFirst = false) => {
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

const COLUMNS: [title: string, text: (delivery: ShownDelivery) => string][] = [
  ['RECEIVED', d => `${d.received_at.slice(0, 19)}Z`],
  ['DELIVERY', d => d.delivery],
  ['STATE', d => d.state],
  ['OUTCOME', d => d.outcome ?? '-'],
  ['RUN', d => d.run_id ?? '-'],
  ['REPOSITORY', d => d.repository],
  ['TARGET', d => target(d) ?? '-'],
  ['REASON', d => [d.outcome === null && whyWaiting(d), d.reason].filter(Boolean).join(': ')],
]
const COLORS: Record<string, Color> = {
  ...{ queued: 'yellow', dispatched: 'cyan', running: 'cyan' },
  ...{ succeeded: 'green', failed: 'red', not_started: 'red', cancelled: 'dim', unknown: 'yellow' },
}

export function table(rows: ShownDelivery[], color: Call['color']): string[] {
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

function whyWaiting(delivery: ShownDelivery): string {
  const { state, attempts, waiting_for, blocked_by, cancel_requested_at, due_at } = delivery
  if (cancel_requested_at !== null && state !== 'cancelled') return 'is being canceled'
  if (waiting_for !== null) return `waits for ${waiting_for}`
  if (state !== 'queued') return ''
  if (blocked_by !== null) return `waits for an earlier run: ${blocked_by.run_id ?? blocked_by.delivery}`
  return attempts === 0 || due_at === null
    ? 'waits for its dispatch'
    : `attempt ${attempts + 1} at ${due_at.slice(11, 19)} UTC`
}

const target = ({ event_type, workflow, ref }: ShownDelivery) =>
  workflow === null ? event_type : `${workflow}${ref === null ? '' : `@${ref}`}`
