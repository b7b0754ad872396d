import { isMap, type Node, parseDocument, type Scalar, visit } from 'yaml'
import { findNames } from './find-names.ts'
import { type Names, runIdOf } from './map-expression.ts'
import { addPermissions } from './permissions.ts'
import { type Job, readJobs } from './read-job.ts'
import { goes, type ReportInput, type Rewrite, rewriteJob, settleJob } from './rewrite-job.ts'
import { rewriteScalars, rewriteText } from './rewrite-scalars.ts'
import { eventsOf, rewriteTriggers } from './rewrite-triggers.ts'
import { hasExpression, onlyExpression } from './template.ts'
import { TextEdits } from './text-edits.ts'
import { type Finding, type Migrated, MigrateError, type MigrateOptions } from './types.ts'
import { isFlow, mapOf, nodeAt, pairEnd, pairOf, removePair, startOf, textOf } from './yaml-nodes.ts'

/**
 * Rewrites a workflow that reports to Port by hand into one whose jobs report by the action. Only what it changes is
 * touched: the rest keeps its comments and its form. What is migrated already stays as it is.
 *
 * @throws MigrateError where the text is no workflow
 */
export function migrateWorkflow(text: string, options: MigrateOptions): Migrated {
  // What is added has the line ends of the rest.
  if (!text.includes('\r\n')) return migrateText(text, options)
  const result = migrateText(text.replaceAll('\r\n', '\n'), options)
  return result.changed ? { ...result, text: result.text.replaceAll('\n', '\r\n') } : { ...result, text }
}

function migrateText(text: string, options: MigrateOptions): Migrated {
  const document = parseDocument(text, { keepSourceTokens: true, logLevel: 'error' })
  if (document.errors[0])
    throw new MigrateError(`it is not YAML: ${document.errors[0].message.split('\n')[0]}`)
  const root = document.contents
  if (!isMap(root) || !mapOf(nodeAt(root, 'jobs')))
    throw new MigrateError('it is no workflow: it has no jobs.')
  const findings: Finding[] = []
  const edits = new TextEdits(text)
  const jobs = readJobs(root, edits, findings)
  const migrated = jobs.some(job => job.port.isThere)
  const events = eventsOf(document)
  const names = findNames(document, text, startedBy(events, migrated ? undefined : options.on))
  const result = (changed: string): Migrated => ({
    text: changed,
    changed: changed !== text,
    findings: sorted(findings),
  })
  const unable = (message: string) => {
    findings.push({ line: edits.lineOf(pairOf(root, 'on')?.key.range?.[0] ?? 0), level: 'todo', message })
    return result(text)
  }
  const others = events.filter(
    event => !/^(workflow_dispatch|repository_dispatch|workflow_call)$/.test(event),
  )
  const rewrite: Rewrite = { root, edits, names, options, findings, payload: payloadOf(events, names) }
  for (const job of jobs) settleJob(job, rewrite)
  const busy = jobs.filter(job => needsAction(job, names))
  const isAffected = busy.length > 0 || mentionsNames(root, names)
  if (!isAffected) {
    if (migrated || findings.length > 0) return result(text)
    return unable(
      'nothing in it reports to Port: it stays as it is. The relay starts it as a target `workflow`, and ends the run in Port.',
    )
  }
  if (!events.some(event => /^(workflow_dispatch|repository_dispatch|workflow_call)$/.test(event)))
    return unable(
      'Port does not start it (it has neither workflow_dispatch nor repository_dispatch): it stays as it is.',
    )
  if (!migrated && names.start === 'workflow_dispatch' && names.declared.has('port'))
    return unable(
      'it has an input port of its own, which is where the relay puts its payload: rename that, or use --on repository_dispatch.',
    )
  if (
    !migrated &&
    names.start === 'repository_dispatch' &&
    events.includes('workflow_call') &&
    names.declared.size > 0
  )
    return unable(
      'it is called by other workflows too, whose inputs an event does not give: use --on workflow_dispatch.',
    )
  const inBrackets = busy.find(({ map }) => isFlow(map) || isFlow(nodeAt(map, 'steps')))
  if (inBrackets)
    return unable(
      `job ${inBrackets.id} stands between brackets: write its keys and steps on lines of their own.`,
    )
  noteOtherEvents(others, rewrite)
  noteNames(document, names, rewrite)

  const removed = removeReportJobs(jobs, busy, rewrite)
  const left = jobs.filter(job => !removed.has(job))
  const done = new Set<unknown>()
  for (const job of left.filter(job => busy.includes(job))) {
    const report = reportOf(job, left, names, rewrite)
    rewriteJob(job, report, rewrite)
    if (options.credentials || job.port.isThere) continue
    if (addPermissions(root, job.map, edits, done)) notePermissions(job, rewrite)
  }
  for (const job of left) rewriteCall(job, rewrite, done)
  rewriteTriggers(document, edits, names, options, migrated, findings)
  rewriteScalars(root as Node, edits, names, id => jobs.find(job => job.id === id)?.port.id ?? null, findings)
  return result(edits.apply())
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

/** How the end of a job that has the action counts. */
function reportOf(job: Job, jobs: Job[], names: Names, { findings }: Rewrite): ReportInput {
  if (jobs.length === 1 && !job.isMatrix && !names.isCalled) return 'job'
  const ending = jobs.filter(each => endsAsFailure(each))
  if (ending.length === 0) return 'workflow'
  const [last] = ending
  const isLast = ending.length === 1 && !last!.isMatrix && !jobs.some(each => each.needs.includes(last!.id))
  if (isLast && !names.isCalled) return job === last ? 'job' : 'progress'
  if (endsAsFailure(job)) {
    findings.push({
      line: job.line,
      level: 'check',
      message: `job ${job.id} may end the run in Port as FAILURE although it is green: with report: workflow the conclusion of the workflow counts.`,
    })
  }
  return 'workflow'
}

const endsAsFailure = (job: Job) =>
  job.steps.some(({ reports }) => reports.some(({ kind }) => kind === 'status'))

/** Jobs that do nothing but report go, where no other needs them. */
function removeReportJobs(jobs: Job[], busy: Job[], { root, edits }: Rewrite): Set<Job> {
  const removed = new Set<Job>()
  const map = mapOf(nodeAt(root, 'jobs'))!
  for (const job of [...jobs].reverse()) {
    const others = jobs.filter(each => each !== job && !removed.has(each))
    const isIdle = busy.includes(job) && !job.port.isThere && job.steps.length > 0 && job.steps.every(goes)
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

/** A job that calls another workflow hands on no more what is in the event. */
function rewriteCall(job: Job, { root, edits, names, options, findings }: Rewrite, done: Set<unknown>): void {
  if (job.calls === null) return
  const given = mapOf(nodeAt(job.map, 'with'))
  const old = (given?.items ?? []).filter(({ value }) => {
    const text = textOf(value) ?? ''
    const only = onlyExpression(text)
    if (only === null) return false
    const name = /^(?:github\.event\.)?(?:inputs|client_payload)\.([\w-]+)$/.exec(only)?.[1]
    if (name !== undefined && names.contexts.has(name)) return true
    const place = { step: null, condition: false, note: () => {} }
    return onlyExpression(rewriteText(text, false, names, place)) === runIdOf(names)
  })
  if (old.length === 0) return
  const file = job.calls.split('/').at(-1)!.split('@')[0]!
  if (!job.calls.startsWith('./') || !options.together.includes(file)) {
    findings.push({
      line: edits.lineOf(startOf(old[0]!.key)),
      level: 'todo',
      message: `${job.calls} reports to Port too: migrate it in the same command, so that ${old.map(({ key }) => key.value).join(', ')} need not be handed on.`,
    })
    return
  }
  if (old.length === given!.items.length) removePair(job.map, pairOf(job.map, 'with')!, edits)
  else for (const pair of old) removePair(given!, pair, edits)
  if (!options.credentials) addPermissions(root, job.map, edits, done)
}

function notePermissions(job: Job, { edits, findings }: Rewrite): void {
  const text = edits.text.slice(job.map.range![0], job.map.range![1])
  const uses = /secrets\.GITHUB_TOKEN|github\.token|git push|create-pull-request|gh-pages|packages/i.test(
    text,
  )
  findings.push({
    line: job.line,
    level: 'check',
    message: uses
      ? `job ${job.id} had the permissions that the repository gives by default, and uses GITHUB_TOKEN: add to its new permissions what it writes (contents, pull-requests, packages), or use --credentials.`
      : `job ${job.id} had the permissions that the repository gives by default: now it may read, and no more.`,
  })
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
