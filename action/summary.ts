import type { Annotation } from '../port/annotations.ts'
import type { ClientPayload } from '../port/payload.ts'
import { duration } from '../port/text.ts'
import type { Json, JsonObject, LogLine } from '../port/types.ts'
import type { JobStatus } from './runner/inputs.ts'
import type { ListedJob, ListedStep } from './runner/jobs.ts'
import { createStepLister, listAnnotations, PERMISSION_HINT } from './runner/jobs.ts'
import { type Runner, shorten, type Workflow } from './runner/runner.ts'
import type { Redact } from './secrets/redact.ts'

export interface Step {
  name: string
  conclusion: string | null
  /** The duration of the step; null if the step was skipped or GitHub returns no times. */
  durationMs: number | null
}

const NO_STEPS = {
  ...{ job: null as string | null, earlier: null as string | null, problem: null as string | null },
  ...{ steps: [] as Step[], others: {} as Record<string, string>, annotations: [] as Annotation[] },
}

const MOST_JOBS = 5
/** GitHub shows a finished step about one second late. */
const LAG_MS = 1_000

/**
 * Returns the author's steps in order. `earlier` is the name of a step that ran before this action.
 * @param options.isFailed whether to read this job's annotations. If the job has `needs`, also reads those of other
 *   failed jobs.
 * @param options.startedAt when this action's main step started, in milliseconds since 1970
 */
export async function readSteps(
  workflow: Workflow,
  options: {
    token: string
    checkRunId: string | null
    startedAt: number
    isFailed: boolean
    hasNeeds: boolean
  },
  { fetch, clock, sleep }: Pick<Runner, 'fetch' | 'clock' | 'sleep'>,
): Promise<typeof NO_STEPS> {
  const no = (reason: string) => ({
    ...NO_STEPS,
    problem: `The steps of this job aren't reported to Port: ${reason}`,
  })
  if (options.token === '') return no(`github-token is empty. ${PERMISSION_HINT}`)
  const annotationsOf = async ({ id, failed }: ListedJob) => {
    const others = options.hasNeeds ? failed.filter(other => other !== id) : []
    const jobs = [...(options.isFailed ? [id] : []), ...others].slice(0, MOST_JOBS)
    return jobs.length > 0 ? listAnnotations(workflow, jobs, options.token, fetch) : []
  }
  const list = createStepLister(workflow, options, { fetch, clock })
  try {
    let job = await list()
    if (job?.steps.some(step => step.authors && step.status === 'in_progress')) {
      await sleep(LAG_MS)
      job = await list()
    }
    if (!job) return no("GitHub doesn't list this job among the jobs of the workflow run.")
    const { name, steps, others } = job
    return {
      job: name,
      steps: steps.filter(step => step.authors).map(toStep),
      earlier: findEarlier(steps, options),
      others,
      annotations: await annotationsOf(job),
      problem: null,
    }
  } catch (error) {
    return no((error as Error).message)
  }
}

/** Returns the name of a step that ran before this action. Compares times if no step has this action's default name. */
function findEarlier(steps: ListedStep[], { startedAt }: { startedAt: number }): string | null {
  const own = steps.findIndex(step => step.own)
  const earlier = steps.find(
    (step, index) =>
      step.authors &&
      step.conclusion !== 'skipped' &&
      (own < 0 ? step.completedAt + 1_000 <= startedAt : index < own),
  )
  return earlier?.name ?? null
}

function toStep({ name, status, conclusion, startedAt, completedAt }: ListedStep): Step {
  return {
    name,
    conclusion: conclusion ?? (status === 'in_progress' ? null : 'not run'),
    durationMs: Number.isFinite(completedAt - startedAt) ? Math.max(completedAt - startedAt, 0) : null,
  }
}

// Formats a job for Port: its log lines and its summary.

const MARK: Record<string, string> = { success: '✓', failure: '✗', cancelled: '✗' }
const LEVEL: Record<string, LogLine['level']> = { failure: 'ERROR', cancelled: 'WARN' }

/** `✓ Build image (12 s)` */
export function stepLine(step: Step): LogLine {
  const result = step.conclusion ?? 'still running'
  const word = result === 'success' ? '' : `: ${result}`
  const took = time(step)
  return lineOf(result, `${step.name}${word}${took && ` (${took})`}`)
}

const marked = (result: string, text: string) => `${MARK[result] ?? '–'} ${text}`
const lineOf = (result: string, text: string): LogLine => ({
  level: LEVEL[result] ?? 'INFO',
  message: marked(result, text),
})

/** `✗ Job build: failure`, `– Job deploy: skipped` */
export function needLines(needs: Record<string, string>): LogLine[] {
  return Object.entries(needs)
    .filter(([, result]) => result !== 'success')
    .map(([job, result]) => lineOf(result, `Job ${job}: ${result}`))
}

/** `✓ Job deploy: success after 42 s` */
export const jobLine = (name: string, status: JobStatus, durationMs: number): LogLine =>
  lineOf(status, `Job ${name}: ${status} after ${duration(durationMs)}`)

export function conclusionLines(written: JobStatus | null): LogLine[] {
  if (written === null || written === 'success') return []
  return [lineOf(written, `A step set the conclusion to ${written}`)]
}

/** The maximum number of rows in the summary. */
const MAX_ROWS = 100
const MAX_CELL = 120
/** The maximum length of a paragraph. Markdown renderers take quadratic time for a long line. */
const MAX_PARAGRAPH = 2_000
/** The maximum width of a column. A longer value makes its own row wider, but not the other rows. */
const MAX_WIDTH = 40

export interface JobResult {
  /** The results of the other jobs, followed by this job's result. */
  results: LogLine[]
  problems: string[]
  payload: ClientPayload
  outputs: JsonObject
  steps: Step[]
  url: string
  /** Applied before texts are cut or escaped, because `redact` doesn't recognize a changed secret. */
  redact: Redact
}

/** Returns Markdown that is also readable as plain text. Secret inputs are listed without their values. */
export function summarize({ results, problems, payload, outputs, steps, url, redact }: JobResult): string {
  const { inputs, encrypted, truncated } = payload.port
  const cell = (text: string, options?: { code?: boolean }) =>
    markdownCell(shorten(redact(text).replace(/\s+/g, ' ').trim(), MAX_CELL), options)
  const valueCell = (value: Json) =>
    typeof value === 'object' ? cell(JSON.stringify(value), { code: true }) : cell(String(value))
  const values = Object.entries(inputs)
    .filter(([, value]) => value !== null && value !== '')
    .map(([name, value]) => [cell(name), encrypted.includes(name) ? '(secret)' : valueCell(value)])
  const left = truncated.flatMap(name =>
    name.startsWith('inputs.') ? [[cell(name.slice('inputs.'.length)), '(too large to show)']] : [],
  )
  const rows = steps.map(step => {
    const result = step.conclusion ?? 'still running'
    return [cell(step.name), marked(result, result), time(step)]
  })
  return [
    ...[...results.map(({ message }) => message), ...problems].map(text =>
      markdownText(shorten(redact(text), MAX_PARAGRAPH)),
    ),
    ...table(['Input', 'Value'], [...values, ...left]),
    ...table(
      ['Output', 'Value'],
      Object.entries(outputs).map(([name, value]) => [cell(name), valueCell(value)]),
    ),
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

const time = ({ durationMs, conclusion }: Step) =>
  durationMs === null || conclusion === 'skipped' ? '' : duration(durationMs)

/** Characters that can start markup. Excludes a single `$`, a `_` or `&` within a word, and a `[` that doesn't start a link. */
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

const markdownText = (text: string): string => text.split('\n').map(escapeLine).join('\n')

function escapeLine(line: string): string {
  // A lookahead for the end of the markup would take quadratic time.
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
 * Returns a cell that is readable as plain text. Text that needs escaping becomes code, in which only the cell
 * delimiter has to be escaped.
 * @see https://github.github.com/gfm/#example-200
 */
function markdownCell(text: string, options: { code?: boolean } = {}): string {
  // Code can't contain a backslash before a cell delimiter.
  if (/\\\|/.test(text)) return markdownText(text).replaceAll('|', '\\|')
  const line = text.replaceAll('|', '\\|')
  if (text === '' || !(options.code || markdownText(text) !== text)) return line
  const longest = Math.max(0, ...[...text.matchAll(/`+/g)].map(([run]) => run.length))
  const fence = '`'.repeat(longest + 1)
  const space = /^`|`$/.test(text) ? ' ' : ''
  return fence + space + line + space + fence
}
