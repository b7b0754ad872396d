import type { ClientPayload } from '../port/payload.ts'
import type { Json, LogLine } from '../port/types.ts'
import { duration, stepResult } from './conclusion.ts'
import type { Redact } from './secrets/redact.ts'
import type { Step } from './steps-of-job.ts'

/** What a reader still takes in; the rest is in the workflow run. */
const MAX_ROWS = 100
const MAX_CELL = 120
/** Of a paragraph: what makes text of Markdown takes time by the square of a line. */
const MAX_PARAGRAPH = 2_000
/** A longer value stands out of its column, rather than make each row that long. */
const MAX_WIDTH = 40

/** What happened in a job. */
export interface JobResult {
  /** How it ended, and before it those of others that count. */
  ends: LogLine[]
  /** Why. */
  problems: string[]
  payload: ClientPayload
  steps: Step[]
  url: string
  /** Each text is redacted before it is cut or escaped, after which no secret is found in it. */
  redact: Redact
}

/**
 * Markdown from what happened, for Port's run and GitHub's job: how the job ended, with which inputs, its steps,
 * the link. Its tables are padded, so that they also read well as plain text. Of a secret input it holds the name.
 */
export function summarize({ ends, problems, payload, steps, url, redact }: JobResult): string {
  const { inputs, encrypted, truncated } = payload.port
  const cell = (text: string, options?: { code?: boolean }) => shortCell(redact(text), options)
  const valueCell = (value: Json) =>
    typeof value === 'object' ? cell(JSON.stringify(value), { code: true }) : cell(String(value))
  const values = Object.entries(inputs)
    .filter(([, value]) => value !== null && value !== '')
    .map(([name, value]) => [cell(name), encrypted.includes(name) ? '(secret)' : valueCell(value)])
  const left = truncated.flatMap(name =>
    name.startsWith('inputs.') ? [[cell(name.slice('inputs.'.length)), '(too large to show)']] : [],
  )
  const rows = steps.map(step => [cell(step.name), stepResult(step), time(step)])
  return [
    ...[...ends.map(({ message }) => message), ...problems].map(text =>
      markdownText(shorten(redact(text), MAX_PARAGRAPH)),
    ),
    ...table(['Input', 'Value'], [...values, ...left]),
    ...table(['Step', 'Result', 'Time'], rows),
    `[Workflow run](${url})`,
  ].join('\n\n')
}

function table(head: string[], rows: string[][]): string[] {
  if (rows.length === 0) return []
  const shown = rows.slice(0, MAX_ROWS)
  const widths = head.map((_, column) =>
    Math.min(Math.max(...[head, ...shown].map(row => row[column]!.length)), MAX_WIDTH),
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

function shortCell(text: string, options?: { code?: boolean }): string {
  return markdownCell(shorten(text.replace(/\s+/g, ' ').trim(), MAX_CELL), options)
}

const shorten = (text: string, most: number) =>
  text.length > most ? `${text.slice(0, most).toWellFormed()}…` : text

const time = ({ durationMs, conclusion }: Step) =>
  durationMs === null || conclusion === 'skipped' ? '' : duration(durationMs)

/** What Markdown or GitHub takes for markup of its own: no lone `$`, no `_` or `&` between words, no `[` without a link. */
const ACTIVE = new RegExp(
  [
    /[`*]/u,
    /\\(?=[!-/:-@[-`{-~])/u,
    /(?<![\p{L}\p{N}])_(?=\S)|(?<=\S)_(?![\p{L}\p{N}])/u,
    /[[~$]/u,
    /<(?=[a-z/!?])/u,
    /&(?=#|\w+;)/u,
  ]
    .map(({ source }) => source)
    .join('|'),
  'giu',
)

/** Text of a paragraph that stays as it is. */
function markdownText(text: string): string {
  return text.split('\n').map(escapeLine).join('\n')
}

function escapeLine(line: string): string {
  // A look ahead for what ends it would take quadratic time.
  const lastEnd: Record<string, number> = {
    '[': Math.max(line.lastIndexOf(']('), line.lastIndexOf(']:')),
    '~': line.lastIndexOf('~'),
    $: line.lastIndexOf('$'),
  }
  return line.replace(ACTIVE, (found, offset: number) => {
    const end = lastEnd[found]
    if (end !== undefined && end <= offset) return found
    return HTML[found] ?? `\\${found}`
  })
}

const HTML: Record<string, string> = { '&': '&amp;', '<': '&lt;' }

/**
 * Text of one cell of a table, on one line. It also reads well as plain text: what needs no escape has none, and else it is
 * code, in which only the end of the cell has to be escaped.
 *
 * @see https://github.github.com/gfm/#example-200
 */
function markdownCell(text: string, options: { code?: boolean } = {}): string {
  // Code cannot hold a backslash before the end of a cell.
  if (/\\\|/.test(text)) return markdownText(text).replaceAll('|', '\\|')
  const line = text.replaceAll('|', '\\|')
  if (text === '' || !(options.code || markdownText(text) !== text)) return line
  const longest = Math.max(0, ...[...text.matchAll(/`+/g)].map(([run]) => run.length))
  const fence = '`'.repeat(longest + 1)
  const space = /^`|`$/.test(text) ? ' ' : ''
  return fence + space + line + space + fence
}
