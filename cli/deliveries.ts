import { setTimeout as sleep } from 'node:timers/promises'
import { cleanLine } from '../port/text.ts'
import type { ShownDelivery, ShownEvent } from '../relay/admin/api.ts'
import { LIMITS } from '../relay/config/limits.ts'
import { STATES } from '../relay/delivery/delivery.ts'
import { callAdmin, FILTER_OPTIONS, toFilter } from './admin-client.ts'
import type { Call, Color } from './command.ts'
import { choice, defineCommand, flag, JSON_OPTION, text, UsageError } from './command.ts'

type Page = { deliveries: ShownDelivery[]; next: number | null }

const WATCH_MS = 2_000

export const deliveries = defineCommand({
  name: 'deliveries',
  summary: 'Lists the newest deliveries, or shows one delivery with its history.',
  positionals: ['[ID]'],
  options: {
    state: choice('STATE', STATES, 'only in this state'),
    ...FILTER_OPTIONS,
    limit: text('NUMBER', 'the maximum number; 50 by default'),
    watch: flag('keep running, and print new and changed deliveries'),
    json: JSON_OPTION,
  },
  async run(call) {
    const { env, values, print, note, signal } = call
    const { json, watch = false, ...filter } = values
    const [id] = call.positionals
    const given = toFilter(filter, LIMITS.listedAtOnce)
    if (id !== undefined) {
      if (watch || Object.keys(given).length > 0)
        throw new UsageError(
          'With an ID, only the option --json is allowed: remove the other options, or remove the ID.',
        )
      const path = `/api/deliveries/${encodeURIComponent(id)}`
      const shown = (await callAdmin(env, 'GET', path)) as ShownDelivery & { events: ShownEvent[] }
      if (json) return void print(JSON.stringify(shown))
      for (const line of table([shown], { color: call.color })) print(line)
      for (const { time, type, details } of shown.events) {
        const pairs = Object.entries(details).map(([key, value]) => `${key}=${JSON.stringify(value ?? null)}`)
        print(cleanLine(['', time.slice(0, 19), type, ...pairs].join('  ')))
      }
      return
    }
    /** Reads pages until one contains deliveries. With a filter by action, a page can be empty although older deliveries match. */
    const read = async (before: object = {}): Promise<Page> => {
      const query = new URLSearchParams({ ...given, ...before })
      const page = (await callAdmin(env, 'GET', `/api/deliveries?${query}`)) as Page
      return page.deliveries.length === 0 && page.next !== null ? read({ before: String(page.next) }) : page
    }
    const response = await read()
    if (json && !watch) return void print(JSON.stringify(response))
    const printAll = (rows: ShownDelivery[], isFirst = false) => {
      const lines = json ? rows.map(row => JSON.stringify(row)) : table(rows, call).slice(isFirst ? 0 : 1)
      for (const line of lines) print(line)
    }
    if (response.deliveries.length > 0 || watch) printAll(response.deliveries, true)
    else print('No delivery matches.')
    if (!watch) return
    const known = new Map(response.deliveries.map(row => [row.delivery, JSON.stringify(row)]))
    while (await sleep(WATCH_MS, true, { signal }).catch(() => false)) {
      const page = await read().catch(error => void note(cleanLine(error.message)))
      const changed = (page?.deliveries ?? []).filter(row => known.get(row.delivery) !== JSON.stringify(row))
      for (const row of changed) known.set(row.delivery, JSON.stringify(row))
      if (changed.length > 0) printAll(changed.toReversed())
    }
  },
})

/** `least`: the minimum width of the column in a narrow terminal. */
type Column = { title: string; least?: number; text: (delivery: ShownDelivery) => string }
const COLUMNS: Column[] = [
  { title: 'RECEIVED', text: d => `${d.received_at.slice(0, 19)}Z` },
  { title: 'DELIVERY', text: d => d.delivery },
  { title: 'STATE', text: d => d.state },
  { title: 'OUTCOME', text: d => d.outcome ?? '-' },
  { title: 'ACTION', least: 10, text: d => d.action ?? '-' },
  { title: 'RUN', text: d => d.run_id ?? '-' },
  { title: 'REPOSITORY', least: 10, text: d => d.repository },
  { title: 'TARGET', least: 10, text: d => target(d) ?? '-' },
  {
    ...{ title: 'REASON', least: 12 },
    text: d =>
      d.cancel_requested_at !== null && d.outcome === null
        ? 'is being canceled'
        : (d.waiting_for ?? d.reason ?? ''),
  },
]
/** The columns that a narrow terminal omits, in this order. */
const OMITTED = ['RUN', 'TARGET', 'REPOSITORY', 'RECEIVED', 'STATE', 'REASON']
const COLORS: Record<string, Color> = {
  ...{ queued: 'yellow', dispatched: 'cyan', running: 'cyan' },
  ...{ succeeded: 'green', failed: 'red', not_started: 'red', cancelled: 'dim', unknown: 'yellow' },
}

/** @param width the width of the terminal: long texts are cut to fit; if the table is still too wide, columns are omitted */
export function table(
  rows: ShownDelivery[],
  { color, width = Number.POSITIVE_INFINITY }: Pick<Call, 'color' | 'width'>,
): string[] {
  const all = COLUMNS.map(({ title, least, text }) => {
    const cells = [title, ...rows.map(row => cleanLine(text(row)))]
    const longest = Math.max(...cells.map(cell => cell.length))
    return { title, cells, width: longest, least: Math.min(least ?? longest, longest) }
  })
  const sum = (widths: number[]) => widths.reduce((total, each) => total + each + 2, -2)
  let shown = all
  for (const title of OMITTED)
    if (sum(shown.map(each => each.least)) > width) shown = shown.filter(each => each.title !== title)
  for (let excess = sum(shown.map(each => each.width)) - width; excess > 0; excess--) {
    const widest = shown.filter(each => each.width > each.least).toSorted((a, b) => b.width - a.width)[0]
    if (!widest) break
    widest.width--
  }
  const cut = (text: string, most: number) => (text.length > most ? `${text.slice(0, most - 1)}…` : text)
  return [null, ...rows].map((row, index) => {
    const padded = shown.map(({ title, cells, width }) => {
      const text = cut(cells[index]!, width).padEnd(width)
      const isColored = row && title === (row.outcome ? 'OUTCOME' : 'STATE')
      return isColored ? color(COLORS[row.outcome ?? row.state] ?? 'dim', text) : text
    })
    const line = padded.join('  ').trimEnd()
    return row ? line : color('bold', line)
  })
}

const target = ({ event_type, workflow, ref }: ShownDelivery) =>
  workflow === null ? event_type : `${workflow}${ref === null ? '' : `@${ref}`}`
