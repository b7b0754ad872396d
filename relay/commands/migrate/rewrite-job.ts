import { isScalar, type Node, type Pair, type Scalar } from 'yaml'
import { guardEmpty } from './guard-empty.ts'
import type { Names } from './map-expression.ts'
import type { Credentials, Report } from './port-step.ts'
import type { Job, JobStep } from './read-job.ts'
import { rewriteText } from './rewrite-scalars.ts'
import { settleStatus } from './settle-status.ts'
import type { TextEdits } from './text-edits.ts'
import type { Finding, Migrated, MigrateOptions } from './types.ts'
import { saysNothing, writeReports, writeStep } from './write-step.ts'
import {
  dashesOf,
  isFlow,
  mapOf,
  nodeAt,
  pairEnd,
  pairOf,
  removePair,
  seqOf,
  startOf,
  textList,
  textOf,
  textsOf,
} from './yaml-nodes.ts'

/** What of a reporting step is not part of what it becomes. */
const REPLACED = ['uses', 'with', 'env', 'run', 'shell', 'working-directory']

export interface Rewrite {
  root: unknown
  edits: TextEdits
  names: Names
  options: MigrateOptions
  findings: Finding[]
  /** What is empty in a run that Port did not start; null where Port starts every run. */
  payload: string | null
  /** With which the action reports, unless it does so through the relay; for a job that names none of its own. */
  credentials: Credentials | null
  /** What became of the workflows that are migrated together with this one, by file name. */
  called: ReadonlyMap<string, Migrated>
}

/** What a job still says to Port itself, its statuses settled; steps that say nothing are to go. */
export function settleJob(job: Job, rewrite: Rewrite): void {
  const { edits, options, findings } = rewrite
  for (const [index, step] of job.steps.entries()) {
    if (step.fate !== 'reports') continue
    const stepsFollow = job.steps.slice(index + 1).some(({ fate }) => fate === 'stays')
    const { reports, notes } = settleStatus(step.reports, { step: step.if, job: job.if }, stepsFollow)
    step.reports = reports
    const checks = reports.flatMap(report => (report.kind === 'entity' ? (report.checks ?? []) : []))
    for (const message of [...notes, ...checks])
      findings.push({ line: edits.lineOf(startOf(step.map)), level: 'check', message })
    const isClosed = reports.some(report => report.kind === 'entity' && /"blueprint": "_/.test(report.json))
    if (isClosed && !options.credentials) {
      findings.push({
        line: edits.lineOf(startOf(step.map)),
        level: 'check',
        message:
          'a run may write entities of blueprints that begin with _ only where RELAY_REPORT_BLUEPRINTS lists them: add them there, or use --credentials.',
      })
    }
    leaveOut(step, rewrite)
  }
}

/** Takes the reports from a step that says nothing, so that it goes; one whose outputs are read stays. */
function leaveOut(step: JobStep, { edits, options }: Rewrite): void {
  if (saysNothing(step.reports, options.keepLogs) && !isReferenced(step, edits.text)) step.reports = []
  else if (step.reports.length === 0)
    step.reports = [{ kind: 'log', text: textOf(nodeAt(step.map, 'name')) ?? 'done' }]
}

const isReferenced = ({ id }: JobStep, text: string) =>
  id !== null && (text.includes(`steps.${id}.`) || text.includes(`steps['${id}']`))

/** Whether a step is taken out. */
export const goes = (step: JobStep): boolean =>
  step.fate === 'token' || (step.fate === 'reports' && step.reports.length === 0)

/** Puts the action first, and makes of each reporting step what it becomes. */
export function rewriteJob(job: Job, report: ReportInput, rewrite: Rewrite): void {
  const { edits } = rewrite
  const seq = seqOf(nodeAt(job.map, 'steps'))
  if (!seq) return
  // Only a job whose end is the run's gives it a conclusion.
  for (const step of report === 'job' ? [] : job.steps) {
    const left = step.reports.filter(({ kind }) => kind !== 'status')
    if (left.length === step.reports.length) continue
    step.reports = left
    leaveOut(step, rewrite)
  }
  const dashes = dashesOf(seq)
  const column = edits.columnOf(dashes[0]!)
  const taken = job.steps.filter(goes)
  if (job.port.step) addId(job.port.step, job.port.id, edits)
  else {
    const key = pairOf(job.map, 'steps')!.key
    const isSpaced = job.steps.length > 1 && /\n[ \t]*\n/.test(edits.text.slice(dashes[0], dashes[1]))
    const space = isSpaced && taken.length < job.steps.length ? '\n' : ''
    edits.insert(edits.nextLine(startOf(key)), actionStep(job, report, rewrite, ' '.repeat(column)) + space)
  }
  for (const step of job.steps) {
    const index = seq.items.indexOf(step.map)
    if (goes(step)) removeStep(dashes[index]!, step, edits)
    else if (step.fate === 'reports') convertStep(job, step, rewrite)
  }
}

/** The action's step needs the id by which its outputs are read. */
function addId({ id, map }: JobStep, needed: string, edits: TextEdits): void {
  if (id !== null) return
  const uses = pairOf(map, 'uses')!
  const at = pairEnd(uses, edits)
  if (isFlow(map)) edits.insert(at, `, id: ${needed}`)
  else edits.insert(startOf(uses.key), `id: ${needed}\n${' '.repeat(edits.columnOf(startOf(uses.key)))}`)
}

/** How the job's end counts for Port. */
export type ReportInput = 'job' | 'workflow' | 'updates'

function actionStep(
  job: Job,
  report: ReportInput,
  { options, findings, edits, payload, credentials }: Rewrite,
  pad: string,
): string {
  const inputs: string[] = []
  if (credentials) inputs.push(...credentialInputs(credentialsOf(job) ?? credentials))
  if (report !== 'job') inputs.push(`report: ${report}`)
  else if (job.needs.length > 0) inputs.push('needs: ${{ toJSON(needs) }}')
  const entities = job.steps.filter(({ reports }) => reports.some(({ kind }) => kind === 'entity'))
  const isTolerant = (step: JobStep) =>
    step.continueOnError || step.reports.every(report => report.kind !== 'entity' || report.isTolerant)
  // As `UPSERT` did.
  if (!entities.every(isTolerant)) {
    inputs.push('fail-on-report-error: true')
    for (const step of entities.filter(isTolerant))
      findings.push({
        line: edits.lineOf(startOf(step.map)),
        level: 'check',
        message:
          'an entity that Port refused did not fail the job here; fail-on-report-error counts for the whole job.',
      })
  }
  const lines = [`- uses: ${options.action}`, `  id: ${job.port.id}`]
  if (payload !== null) lines.push(`  if: \${{ ${payload} }}`)
  if (inputs.length > 0) lines.push('  with:', ...inputs.map(line => `    ${line}`))
  return lines.map(line => `${pad}${line}\n`).join('')
}

/** Those of a step that the first step of the job has too. */
export const credentialsOf = (job: Job): Credentials | null =>
  job.steps
    .flatMap(({ credentials }) => credentials ?? [])
    .find(({ id, secret }) => !/\bsteps\b/.test(id + secret)) ?? null

const credentialInputs = ({ id, secret, url }: Credentials): string[] => [
  `port-client-id: ${id}`,
  `port-client-secret: ${secret}`,
  ...(url === '' || /^https:\/\/api\.(getport|port)\.io\/?$/.test(url) ? [] : [`port-api-url: ${url}`]),
]

/** Takes a step's lines out, and one of the empty lines around it. */
function removeStep(dash: number, { map }: JobStep, edits: TextEdits): void {
  const start = edits.lineStart(dash)
  const last = map.items.at(-1)
  const lastChar = Math.max(dash, (last ? pairEnd(last, edits) : dash + 1) - 1)
  let end = isFlow(map) ? edits.nextLine(Math.max(lastChar, map.range![1] - 1)) : edits.nextLine(lastChar)
  while (end < edits.text.length && edits.text.slice(end, edits.nextLine(end)).trim() === '') {
    if (edits.nextLine(end) === end) break
    end = edits.nextLine(end)
  }
  edits.replace(start, end, '')
}

function convertStep(job: Job, step: JobStep, rewrite: Rewrite): void {
  const { edits, names, findings } = rewrite
  const { map } = step
  const line = edits.lineOf(startOf(map))
  const place = {
    step: job.port.id,
    condition: false,
    note: (level: Finding['level'], message: string) => findings.push({ line, level, message }),
  }
  const map1 = (text: string) => rewriteText(text, false, names, place)
  const own = `steps.${job.port.id}.outputs.`
  const isFull = (argument: string) => {
    const isOwn = ['entity', 'event', 'trigger', 'inputs'].some(name => argument === own + name)
    const input = /^inputs\.([\w-]+)$/.exec(argument)?.[1]
    return (isOwn && rewrite.payload === null) || names.declared.get(input ?? '')?.type === 'boolean'
  }
  const moved = (text: string) => guardEmpty(map1(text), isFull)
  const reports = step.reports.map((report): Report => {
    if (report.kind !== 'entity') return { ...report, text: moved(report.text) }
    return {
      ...report,
      json: moved(report.json),
      ...(report.identifier && { identifier: moved(report.identifier) }),
    }
  })
  const read = step.id !== null && edits.text.includes(`steps.${step.id}.outputs.identifier`)
  // Variables of the step that its `if` or its name reads.
  const rest = map.items
    .filter(({ key }) => !REPLACED.includes(String(key.value)))
    .map(pair => edits.text.slice(startOf(pair.key), pairEnd(pair, edits)))
  const env = (mapOf(nodeAt(map, 'env'))?.items ?? []).flatMap(({ key, value }): [string, string][] => {
    const name = String(key.value)
    return rest.some(text => /\benv\b/.test(text) && text.includes(name))
      ? [[name, map1(textOf(value) ?? '')]]
      : []
  })
  const written = writeReports(reports, read, rewrite.payload !== null, env)
  if (isFlow(map)) {
    const pad = edits.columnOf(startOf(map))
    const more = [...rest.map(map1), ...shellOf(job, rewrite)]
    edits.replace(map.range![0], map.range![1], writeStep(written, pad, more))
    return
  }
  const column = edits.columnOf(startOf(map.items[0]!.key))
  const [first, ...others] = map.items.filter(({ key }) => REPLACED.includes(String(key.value)))
  const comments = [first!, ...others].flatMap(pair => commentsIn(pair, edits))
  const text = writeStep(written, column, [...comments, ...shellOf(job, rewrite)])
  for (const pair of others) removePair(map, pair, edits)
  edits.replace(startOf(first!.key), pairEnd(first!, edits), text)
}

/** The comments of a key's mapping, from the line of the key on. */
function commentsIn({ key, value }: Pair<Scalar, Node | null>, { text }: TextEdits): string[] {
  const map = mapOf(value)
  if (!map) return []
  const values = map.items.map(({ value }) => value).filter(value => isScalar(value)) as Scalar[]
  const [start, end] = [key.range![1], map.range![1]]
  return [...text.slice(start, end).matchAll(/(?:^|[ \t])(#.*)$/gm)].flatMap(({ index, 1: comment }) => {
    const at = start + index + 1
    return values.some(value => value.range![0] <= at && at < value.range![1]) ? [] : [comment!.trimEnd()]
  })
}

/** A step of the workflow's own shell and folder must not change how the report is written. */
function shellOf(job: Job, { root }: Rewrite): string[] {
  const defaults = [root, job.map].map(each => textsOf(nodeAt(nodeAt(each, 'defaults'), 'run')))
  const shell = defaults.map(each => each.get('shell')).findLast(each => each !== undefined)
  // Only Linux has containers, and their images may have no bash.
  const inContainer = nodeAt(job.map, 'container') !== null
  const other =
    shell === undefined
      ? !inContainer && mayBeWindows(nodeAt(job.map, 'runs-on'))
      : !/^(bash|sh)\b/.test(shell)
  return [
    ...(other ? ['shell: bash'] : []),
    ...(defaults.some(each => each.has('working-directory')) ? ['working-directory: .'] : []),
  ]
}

/** Whether a job may run on Windows, where scripts are for PowerShell: no label says that it is another system. */
function mayBeWindows(runsOn: Node | null): boolean {
  const labels = textList(mapOf(runsOn) ? nodeAt(runsOn, 'labels') : runsOn)
  return !labels.some(label => /^(ubuntu|macos|linux)/i.test(label))
}
