import { type Alias, type Document, isMap, type Node, parseDocument, type Scalar, visit } from 'yaml'
import { findNames } from './find-names.ts'
import type { Names } from './map-expression.ts'
import { addPermissions, notePermissions } from './permissions.ts'
import { hasAction, type Job, readJobs } from './read-job.ts'
import { callMayEnd, callProblem, removedFrom, rewriteCall } from './rewrite-call.ts'
import { credentialsOf, goes, type ReportInput, type Rewrite, rewriteJob, settleJob } from './rewrite-job.ts'
import { rewriteScalars, rewriteText } from './rewrite-scalars.ts'
import { eventsOf, otherEvents, PORTS_EVENT, rewriteTriggers, triggerProblem } from './rewrite-triggers.ts'
import { hasExpression } from './template.ts'
import { TextEdits } from './text-edits.ts'
import { type Finding, type Migrated, MigrateError, type MigrateOptions } from './types.ts'
import {
  calledFile,
  isFlow,
  mapOf,
  nodeAt,
  pairEnd,
  pairOf,
  removePair,
  startOf,
  textOf,
  textsOf,
} from './yaml-nodes.ts'

/**
 * Rewrites a workflow that reports to Port by hand into one whose jobs report by the action. Only what it changes is
 * touched: the rest keeps its comments and its form. What is migrated already stays as it is.
 *
 * @param called what became of the workflows that are migrated together with it, by file name
 * @throws MigrateError where the text is no workflow
 */
export function migrateWorkflow(
  text: string,
  options: MigrateOptions,
  called: ReadonlyMap<string, Migrated> = new Map(),
): Migrated {
  // What is added has the line ends of the rest.
  if (!text.includes('\r\n')) return migrateText(text, options, called)
  const result = migrateText(text.replaceAll('\r\n', '\n'), options, called)
  return result.changed ? { ...result, text: result.text.replaceAll('\n', '\r\n') } : { ...result, text }
}

function migrateText(text: string, options: MigrateOptions, called: ReadonlyMap<string, Migrated>): Migrated {
  const document = parseDocument(text, { keepSourceTokens: true, logLevel: 'error' })
  if (document.errors[0])
    throw new MigrateError(`it is not YAML: ${document.errors[0].message.split('\n')[0]}`)
  const root = document.contents
  if (!isMap(root) || !mapOf(nodeAt(root, 'jobs')))
    throw new MigrateError('it is no workflow: it has no jobs.')
  const findings: Finding[] = []
  const edits = new TextEdits(text)
  const migrated = hasAction(root)
  const events = eventsOf(document)
  const names = findNames(document, text, startedBy(events, migrated ? undefined : options.on), called)
  const jobs = readJobs(root, names, edits, findings)
  const onLine = edits.lineOf(pairOf(root, 'on')?.key.range?.[0] ?? 0)
  const stays = (message: string, line = onLine, refused = true): Migrated => ({
    text,
    changed: false,
    findings: [{ line, level: 'todo', message }],
    refused,
    mayEnd: false,
    removed: new Map(),
  })
  const mayEnd = (job: Job) => job.steps.some(step => step.mayEnd) || callMayEnd(job, root, names, called)
  const result = (): Migrated => {
    const { text: changed, lines } = edits.apply()
    if (changed !== text && !migrated) noteLeftOver(changed, lines, goneFrom(document, names), findings)
    return {
      text: changed,
      changed: changed !== text,
      findings: sorted(findings),
      refused: false,
      mayEnd: jobs.some(mayEnd),
      removed: changed === text ? new Map() : removedFrom(document, names),
    }
  }

  const busy = jobs.filter(job => needsAction(job, names))
  const calls = jobs.filter(({ calls }) => called.get(calledFile(calls) ?? '')?.changed)
  const isAffected = busy.length > 0 || mentionsNames(root, names)
  const isStarted = events.some(event => PORTS_EVENT.test(event))
  if (isAffected || calls.length > 0) {
    const alias = firstAlias(root)
    if (alias) return stays('it uses YAML anchors: write them out.', edits.lineOf(alias.range![0]))
    for (const job of calls) {
      const problem = callProblem(job, root, names, called)
      if (problem !== null) return stays(problem, job.line)
    }
  }
  const done = new Set<unknown>()
  const rewrite: Rewrite = {
    root,
    edits,
    names,
    options,
    findings,
    payload: payloadOf(events, names),
    credentials: null,
    called,
  }
  if (!isAffected || !isStarted) {
    if (isAffected && calls.length === 0) {
      return stays(
        'Port does not start it (it has neither workflow_dispatch nor repository_dispatch): it stays as it is.',
        onLine,
        false,
      )
    }
    if (!migrated && events.includes('workflow_dispatch') && calls.length === 0 && findings.length === 0)
      findings.push({
        line: onLine,
        level: 'check',
        message:
          'nothing in it reports to Port: it stays as it is. The relay starts it as a target `workflow`, and ends the run in Port.',
      })
    for (const job of calls) rewriteCall(job, rewrite, done)
    return result()
  }
  const problem = migrated ? null : triggerProblem(document, names)
  if (problem !== null) return stays(problem)
  const inBrackets = busy.find(({ map }) => isFlow(map) || isFlow(nodeAt(map, 'steps')))
  if (inBrackets) {
    return stays(
      `job ${inBrackets.id} stands between brackets: write its keys and steps on lines of their own.`,
      inBrackets.line,
    )
  }
  if (options.credentials && busy.some(({ port }) => !port.step)) {
    rewrite.credentials = jobs.map(credentialsOf).find(each => each !== null) ?? null
    if (!rewrite.credentials)
      return stays(
        'no step names a client id and secret that the first step of a job has too: leave --credentials out.',
      )
  }
  if (options.on !== undefined && options.on !== names.start && names.start !== 'called') {
    const why = migrated ? 'it has the action already' : `it has no ${options.on}`
    findings.push({
      line: onLine,
      level: 'check',
      message: `--on ${options.on} is ignored, since ${why}: what starts it stays.`,
    })
  }
  for (const job of jobs) settleJob(job, rewrite)
  noteOtherEvents(otherEvents(document), rewrite)
  noteNames(document, names, rewrite)

  const removed = removeReportJobs(jobs, busy, rewrite)
  const left = jobs.filter(job => !removed.has(job))
  const ending = left.find(mayEnd)
  if (ending) noteEnding(ending, rewrite)
  const reports = left
    .filter(job => busy.includes(job))
    .map(job => [job, reportOf(job, left, names, ending !== undefined, rewrite)] as const)
  for (const [job, report] of reports) {
    rewriteJob(job, report, rewrite)
    if (options.credentials || job.port.step) continue
    if (addPermissions(root, job.map, edits, done)) notePermissions(job, edits, findings)
  }
  for (const job of left) rewriteCall(job, rewrite, done)
  rewriteTriggers(document, edits, names, options, migrated, findings)
  rewriteScalars(root as Node, edits, names, id => jobs.find(job => job.id === id)?.port.id ?? null, findings)
  return result()
}

function firstAlias(root: unknown): Alias | null {
  let found: Alias | null = null
  visit(root as Node, {
    Alias(_, alias) {
      found = alias
      return visit.BREAK
    },
  })
  return found
}

function startedBy(events: string[], wanted: MigrateOptions['on']): Names['start'] {
  if (wanted && (events.includes('workflow_dispatch') || wanted === 'repository_dispatch')) {
    if (events.includes('workflow_dispatch') || events.includes('repository_dispatch')) return wanted
  }
  if (events.includes('workflow_dispatch')) return 'workflow_dispatch'
  return events.includes('repository_dispatch') ? 'repository_dispatch' : 'called'
}

/** The payload as it comes in the event, empty where somebody or something other than Port starts the workflow. */
function payloadOf(events: string[], { start, isCalled }: Names): Rewrite['payload'] {
  if (start === 'repository_dispatch') {
    const isPorts = (event: string) => /^(workflow|repository)_dispatch$/.test(event)
    return events.every(isPorts) ? null : 'github.event.client_payload'
  }
  // In a workflow that is called, `inputs` are those of the call.
  const isEither = isCalled || events.includes('repository_dispatch')
  return isEither ? 'github.event.inputs.port || github.event.client_payload' : 'inputs.port'
}

const sorted = (findings: Finding[]) => {
  const seen = new Set<string>()
  return findings
    .filter(({ line, message }) => {
      const key = `${line} ${message}`
      return !seen.has(key) && seen.add(key)
    })
    .sort((a, b) => a.line - b.line)
}

/** Whether a job reports, or reads in its steps what the action gives. */
function needsAction(job: Job, names: Names): boolean {
  if (job.calls !== null) return false
  if (job.steps.some(({ fate }) => fate !== 'stays')) return true
  return ['steps', 'outputs'].some(key => changes(nodeAt(job.map, key), names, job.port.id))
}

/** Whether any expression of a node would be mapped. */
function changes(node: Node | null, names: Names, step: string | null): boolean {
  let found = false
  if (node === null) return false
  visit(node, {
    Scalar(_, scalar: Scalar) {
      const text = textOf(scalar)
      if (text === null || !hasExpression(text)) return
      if (rewriteText(text, false, names, { step, condition: false, note: () => {} }) === text) return
      found = true
      return visit.BREAK
    },
    Pair(_, { key, value }) {
      const text = String((key as Scalar).value) === 'if' ? textOf(value) : null
      if (text === null) return
      if (rewriteText(text, true, names, { step, condition: true, note: () => {} }) !== text) found = true
      return found ? visit.BREAK : undefined
    },
  })
  return found
}

const mentionsNames = (root: unknown, names: Names) =>
  names.contexts.size + names.runIds.size > 0 || changes(root as Node, names, null)

/** The relay takes an end that is not the action's for a person's, and cancels the workflow, where the action reports ends. */
function noteEnding(job: Job, { edits, findings }: Rewrite): void {
  const step = job.steps.find(({ mayEnd }) => mayEnd)
  findings.push({
    line: step ? edits.lineOf(startOf(step.map)) : job.line,
    level: 'check',
    message:
      'this may end the run in Port by hand; where the action reports ends, the relay takes that for a person’s and cancels the workflow. So every job has report: updates, and the relay ends the run with the workflow: take it out when this is replaced.',
  })
}

/** How the end of a job that has the action counts. */
function reportOf(
  job: Job,
  jobs: Job[],
  names: Names,
  endsByHand: boolean,
  { findings }: Rewrite,
): ReportInput {
  const report = ownReport(job) ?? (endsByHand ? 'updates' : reportAmong(job, jobs, names))
  if (report !== 'job' && endsAsFailure(job)) {
    findings.push({
      line: job.line,
      level: 'check',
      message: `job ${job.id} may end the run in Port as FAILURE although it is green: with report: ${report} the conclusion of the workflow counts.`,
    })
  }
  return report
}

/** The input `report` of the action that a job has already. */
const ownReport = ({ port: { step } }: Job): ReportInput | null =>
  step && ((textsOf(nodeAt(step.map, 'with')).get('report') ?? 'job') as ReportInput)

function reportAmong(job: Job, jobs: Job[], names: Names): ReportInput {
  if (jobs.length === 1 && !job.isMatrix && !names.isCalled) return 'job'
  const [last, ...others] = jobs.filter(each => endsAsFailure(each))
  const isLast =
    last && others.length === 0 && !last.isMatrix && !jobs.some(each => each.needs.includes(last.id))
  if (!isLast || names.isCalled) return 'workflow'
  return job === last ? 'job' : 'updates'
}

const endsAsFailure = (job: Job) =>
  job.steps.some(({ reports }) => reports.some(({ kind }) => kind === 'status'))

/** Jobs that do nothing but report go, where no other needs them. */
function removeReportJobs(jobs: Job[], busy: Job[], { root, edits }: Rewrite): Set<Job> {
  const removed = new Set<Job>()
  const map = mapOf(nodeAt(root, 'jobs'))!
  for (const job of [...jobs].reverse()) {
    const others = jobs.filter(each => each !== job && !removed.has(each))
    const isIdle = busy.includes(job) && !job.port.step && job.steps.length > 0 && job.steps.every(goes)
    if (
      !isIdle ||
      others.some(each => each.needs.includes(job.id)) ||
      !others.some(each => busy.includes(each))
    )
      continue
    removed.add(job)
    const pair = pairOf(map, job.id)!
    if (isFlow(map)) removePair(map, pair, edits)
    else {
      let end = edits.nextLine(pairEnd(pair, edits) - 1)
      while (end < edits.text.length && edits.text.slice(end, edits.nextLine(end)).trim() === '')
        end = edits.nextLine(end)
      const start = edits.lineStart(startOf(pair.key))
      edits.replace(start, end, commentsAround(job, start, end, edits))
    }
  }
  return removed
}

/** The comments of a job that stand outside of its steps: they stay, whatever they are about. */
function commentsAround(job: Job, start: number, end: number, { text }: TextEdits): string {
  const steps = job.steps.map(({ map }) => map.range!)
  return [...text.slice(start, end).matchAll(/^[ \t]*#.*\n/gm)]
    .filter(({ index }) => !steps.some(([from, to]) => from <= start + index && start + index < to))
    .map(([line]) => `  ${line.trimStart()}`)
    .join('')
}

/** The inputs that the workflow has no more, as they are declared or read. */
function goneFrom(document: Document, names: Names): Set<string> {
  const isLeft = names.start === 'repository_dispatch' && eventsOf(document).includes('workflow_dispatch')
  const gone = [...names.contexts, ...names.runIds, ...(isLeft ? names.declared.keys() : [])]
  return new Set(gone.map(name => name.toLowerCase()))
}

/** Readers of an input that is no more, such as `jq` on the event: each line of the result that names one. */
function noteLeftOver(text: string, lines: number[], gone: Set<string>, findings: Finding[]): void {
  const reference = /(?<!\bport\.)\b(inputs|client_payload)\s*(?:\.|\[\s*\\?["'])\s*([\w-]+)/gi
  // A name that is Port's own is the input's wherever it is read as a key.
  const key = /(?<!\b(?:env|outputs))[.'"](port_?\w+)(?![\w-])/gi
  for (const [index, line] of text.split('\n').entries()) {
    const read = [...line.matchAll(reference)]
      .filter(([, from, name]) => !(/payload/i.test(from!) && /^(run_id|action|port)$/i.test(name!)))
      .map(([, , name]) => name!)
    const named = new Set([...read, ...[...line.matchAll(key)].map(([, name]) => name!)])
    for (const name of named) {
      if (!gone.has(name.toLowerCase())) continue
      findings.push({
        line: lines[index]!,
        level: 'check',
        message: `${name} is no input any more, and this line still reads it: let it read the outputs of the action.`,
      })
    }
  }
}

function noteOtherEvents(others: string[], { root, edits, findings }: Rewrite): void {
  if (others.length === 0) return
  findings.push({
    line: edits.lineOf(pairOf(root, 'on')!.key.range![0]),
    level: 'check',
    message: `${others.join(', ')} starts it too, without a payload of Port: there the action does not run, its outputs are empty, and nothing is sent to Port.`,
  })
}

/** Names that are Port's own in its examples, and could be an input of the Port action as well. */
const AMBIGUOUS = [
  'entity',
  'trigger',
  'blueprint',
  'inputs',
  'payload',
  'context',
  'run_id',
  'runid',
  'triggered_by',
  'trigger_user_email',
]

function noteNames(
  document: ReturnType<typeof parseDocument>,
  names: Names,
  { edits, findings }: Rewrite,
): void {
  const inputs = mapOf(nodeAt(nodeAt(document.get('on', true), 'workflow_dispatch'), 'inputs'))
  for (const { key } of inputs?.items ?? []) {
    const name = String(key.value)
    if (!AMBIGUOUS.includes(name.toLowerCase()) || names.contexts.has(name) || names.runIds.has(name))
      continue
    findings.push({
      line: edits.lineOf(startOf(key)),
      level: 'check',
      message: `${name} is read as an input of the Port action; where Port filled it from the run itself, read the action's outputs instead.`,
    })
  }
}
