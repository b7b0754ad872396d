import { type Annotation, annotationLines } from '../port/annotations.ts'
import { describeLeftOut, worstOf } from '../port/client/run-bodies.ts'
import type { Conclusion, JsonObject, LogLine, ReportedJob, RunUpdate } from '../port/types.ts'
import type { Remaining } from './remaining.ts'
import { allOutputs, linksOf, outputOf } from './reporter/reporter.ts'
import type { Inputs, JobStatus } from './runner/inputs.ts'
import { describeMistake, type State, type Topic, type Workflow } from './runner/runner.ts'
import type { Redact } from './secrets/redact.ts'
import { EMPTY_RUN_FILE } from './steps/run.ts'
import { missingLine } from './steps/send.ts'
import { conclusionLines, jobLine, needLines, type Step, stepLine, summarize } from './summary.ts'

// Decides which conclusion, log, and summary a finished job reports. All functions are pure.

const LABEL: Record<JobStatus, string> = { success: 'Succeeded', failure: 'Failed', cancelled: 'Canceled' }

/**
 * Returns the other jobs that affect the result: those in `needs`. If GitHub skipped all of these, also returns all
 * failed and canceled jobs of the workflow run, because GitHub skips the jobs that depend on a failed or canceled job.
 * @param others the conclusions of jobs, by display name
 */
export function countedJobs(needs: Record<string, string>, others: Record<string, string>) {
  const results = Object.values(needs)
  if (results.length === 0 || results.some(result => result !== 'skipped')) return needs
  const failed = Object.entries(others).filter(([, result]) => result === 'failure' || result === 'cancelled')
  return { ...Object.fromEntries(failed), ...needs }
}

export type Job = { state: State; inputs: Inputs; workflow: Workflow }

export interface Facts {
  /** True if this workflow run reports to the Port run; null if the action couldn't find out. */
  ours: true | null
  name: string
  durationMs: number
  steps: Step[]
  others: Record<string, string>
  annotations: Annotation[]
  rest: Remaining
  /** `all`: whether the action knows every secret that steps may have seen. `finished`: whether the relay has stopped returning decrypted values. */
  secrets: { all: boolean; finished?: boolean }
  entities: { lines: LogLine[]; problems: string[] }
}

export type Loss = { sentence: string; topic: Topic }

/** @param logFailed whether the job must fail, because the log couldn't be sent (`fail-on-report-error`) */
export function decide(job: Job, facts: Facts, redact: Redact, logFailed = false) {
  const { state, inputs, workflow } = job
  const { ours, rest, secrets, entities, steps } = facts
  const reportsResult = inputs.report === 'job' || inputs.report === 'auto'
  const written = reportsResult ? rest.run.conclusion : null
  const own = secrets.all ? rest.run : EMPTY_RUN_FILE
  const needsOutputs = secrets.all ? inputs.needsOutputs : {}
  const { outputs, left } = allOutputs(own.outputs, needsOutputs, redact)
  const outputNames = Object.keys({ ...own.outputs, ...needsOutputs })
  const isReplaced = state.kind === 'node_run' && !state.relay && !reportsResult
  const links = own.links.filter(link => redact(link) === link)
  const withheld = !secrets.all && rest.allMasks && hasTexts(rest, inputs)
  const unsent: Loss[] = [...rest.problems]
  if (withheld && !secrets.finished) unsent.push({ sentence: WITHHELD, topic: 'secret-inputs' })
  const mistakes = [
    ...rest.run.problems.map(problem => describeMistake(problem, '$PORT_RUN', redact)),
    ...(links.length < own.links.length ? [SECRET_LINK] : []),
    ...(outputNames.some(name => redact(name) !== name) ? [SECRET_NAME] : []),
    ...(left.length > 0 ? [describeLeftOut(left)] : []),
    ...(isReplaced && Object.keys(outputs).length > 0 ? [replaced(inputs.report)] : []),
    ...(written === rest.run.conclusion ? [] : [noEffect(inputs.report)]),
  ]
  const losses: Loss[] = []
  if (entities.problems.length > 0) losses.push({ sentence: entities.problems.join('\n'), topic: 'entities' })
  if (rest.lost > 0) losses.push({ sentence: lostMeanwhile(rest.lost), topic: 'port' })
  losses.push(...unsent)
  const failed = logFailed || (ours === true && inputs.failOnReportError && losses.length > 0)
  const status = failed ? 'failure' : inputs.jobStatus
  const needs = countedJobs(inputs.needs, facts.others)
  const { name, durationMs } = facts
  const results = [...needLines(needs), ...conclusionLines(written), jobLine(name, status, durationMs)]
  const { problems = [], explained = false } = state
  const ownSummary = own.summary || (secrets.all ? inputs.summary : '')
  const summary =
    ownSummary ||
    summarize({
      ...{ results, steps, url: workflow.url, payload: state.payload, redact },
      problems: [...problems, ...entities.problems],
      outputs: state.kind === 'node_run' ? {} : outputs,
    })
  return {
    losses,
    mistakes,
    withheldAfter: withheld && secrets.finished === true,
    summary,
    lines: [
      ...(rest.lost > 0 ? [missingLine(rest.lost)] : []),
      ...toLines('INFO', secrets.all ? rest.lines : []),
      ...toLines('ERROR', explained ? [] : problems),
      ...annotationLines(secrets.all ? facts.annotations : [], text => text),
      ...steps.map(stepLine),
      ...entities.lines,
      ...toLines('WARN', [...unsent.map(({ sentence }) => sentence), ...mistakes]),
      ...results,
    ].filter(line => line.message.trim() !== ''),
    update: lastUpdate(job, {
      // Skipped jobs are ignored. In Port, `success` becomes SUCCESS, and any other conclusion becomes FAILURE.
      ...{ status, author: worstOf([...(Object.values(needs) as Conclusion[]), written]) },
      ...{ name, summary, ownSummary, links, outputs },
    }),
  }
}

const toLines = (level: LogLine['level'], messages: string[]): LogLine[] =>
  messages.map(message => ({ level, message }))

/**
 * Returns the last update. With `report: job`, this update finishes the Port run. With `report: auto`, the relay
 * finishes the Port run later, with this result or a worse one. With other values of `report`, the update contains
 * nothing but the author's summary, if there is one.
 */
function lastUpdate(
  { state, inputs, workflow }: Job,
  end: {
    status: JobStatus
    author: Conclusion
    name: string
    summary: string
    ownSummary: string
    links: string[]
    outputs: JsonObject
  },
): RunUpdate {
  // An update without a link removes a node run's link.
  const known = state.linked && state.kind !== 'node_run' && end.links.length === 0
  const link = known
    ? {}
    : { link: linksOf(workflow.url, end.links, state.kind), externalRunId: workflow.runId }
  const output = outputOf(state.kind, end.outputs)
  if (inputs.report !== 'job' && inputs.report !== 'auto') {
    const linkMissing = !state.linked || end.links.length > 0
    return {
      ...((linkMissing || output.output) && { ...link, ...output }),
      ...(end.ownSummary && { summary: end.ownSummary, ...link }),
    }
  }
  const { author, summary } = end
  const conclusion = worstOf([end.status, author])
  const id = Number(inputs.checkRunId) || null
  const name = end.name.slice(0, MOST_NAME)
  const job: ReportedJob = { ...{ id, name, author }, ownSummary: end.ownSummary !== '' }
  const rest = { statusLabel: LABEL[conclusion], summary, ...link, ...output }
  const finishes = state.payload.port.reportWorkflowStatus !== false
  if (inputs.report === 'auto' || (state.relay && !finishes)) return { conclusion, ...rest, job }
  return finishes ? { conclusion, ...rest } : rest
}

/** The maximum length of an output name that the relay accepts. */
const MOST_NAME = 300

/** Whether steps or the author wrote texts for Port that can contain a secret. */
const hasTexts = ({ lines, entities, run }: Remaining, { summary }: Inputs): boolean =>
  [lines, entities.documents, run.summary, run.links, Object.keys(run.outputs), summary].some(
    each => each.length > 0,
  )

const SECRET_LINK =
  "A link in $PORT_RUN is omitted, because it contains a secret, and secrets aren't sent to Port."

const SECRET_NAME =
  "An output is omitted, because its name contains a secret, and secrets aren't sent to Port."

const replaced = (report: Inputs['report']) =>
  `Port drops the outputs of this job when the Port run finishes: with report: ${report}, the relay or another job finishes the Port run, and ` +
  'that final update replaces the outputs that this job sends with Port credentials. To keep the outputs, remove port-client-id and ' +
  'port-client-secret, so that this job reports through the relay. Or add a last job with needs and report: job, and write the outputs there.'

const noEffect = (report: Inputs['report']) =>
  `"conclusion" in $PORT_RUN has no effect if the input report is "${report}".`

const withheldBecause = (reason: string) =>
  "Log lines and entities that Port doesn't have yet, your summary, links, and outputs aren't sent to Port, " +
  `because they can contain secret inputs, and ${reason}.`
const WITHHELD = withheldBecause("the action couldn't decrypt these inputs again to redact them")
export const WITHHELD_AFTER = withheldBecause(
  'the relay no longer returns these inputs for redaction, because the delivery has finished',
)

export const countLines = (count: number) => (count === 1 ? '1 line' : `${count} lines`)

const lostMeanwhile = (count: number) =>
  `Port may not have received ${countLines(count)} of the log: Port's response was lost while the job ran.`
