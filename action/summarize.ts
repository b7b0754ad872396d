import type { LogLine } from '../port/client.ts'
import type { ClientPayload } from '../port/client-payload.ts'
import type { Json } from '../port/json.ts'
import { duration, stepResult } from './describe.ts'
import type { Step } from './steps.ts'

/** What a reader still takes in; the rest is in the workflow run. */
const MAX_ROWS = 100
const MAX_CELL = 200

/**
 * Markdown from what happened, for Port's run and GitHub's job: how the job ended, with which inputs, its steps,
 * the link. Its tables are padded, so that they also read well as plain text. Of a secret input it holds the name.
 */
export function summarize(job: LogLine, payload: ClientPayload, steps: Step[], url: string): string {
  const inputs = Object.entries(payload.port.inputs)
    .filter(([, value]) => value !== null && value !== '')
    .map(([name, value]) => [
      cell(name),
      payload.port.encrypted.includes(name) ? '(secret)' : cell(text(value)),
    ])
  const left = payload.port.truncated.flatMap(name =>
    name.startsWith('inputs.') ? [[cell(name.slice('inputs.'.length)), '(too large to show)']] : [],
  )
  const rows = steps.map(step => [cell(step.name), stepResult(step), time(step)])
  return [
    job.message,
    ...table(['Input', 'Value'], [...inputs, ...left]),
    ...table(['Step', 'Result', 'Time'], rows),
    `[Workflow run](${url})`,
  ].join('\n\n')
}

function table(head: string[], rows: string[][]): string[] {
  if (rows.length === 0) return []
  const shown = rows.slice(0, MAX_ROWS)
  const widths = head.map((title, column) =>
    Math.max(...[head, ...shown].map(row => row[column]!.length), title.length),
  )
  const line = (row: string[]) => `| ${row.map((text, column) => text.padEnd(widths[column]!)).join(' | ')} |`
  const lines = [
    line(head),
    `| ${widths.map(width => '-'.repeat(Math.max(width, 3))).join(' | ')} |`,
    ...shown.map(line),
  ]
  const more = rows.length - shown.length
  return [lines.join('\n'), ...(more > 0 ? [`… and ${more} more.`] : [])]
}

/** What somebody typed, as text of one cell: nothing in it is Markdown or HTML any more. */
function cell(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim()
  const short = line.length > MAX_CELL ? `${line.slice(0, MAX_CELL).toWellFormed()}…` : line
  return short
    .replace(/[\\|`*~[\]]|(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/gu, '\\$&')
    .replace(/&(?=#|\w+;)/g, '&amp;')
    .replace(/</g, '&lt;')
}

const text = (value: Json) => (typeof value === 'object' ? JSON.stringify(value) : String(value))
const time = ({ durationMs, conclusion }: Step) =>
  durationMs === null || conclusion === 'skipped' ? '' : duration(durationMs)
