import { appendFileSync } from 'node:fs'
import type { PortError } from '../port/client/client.ts'
import type { PortErrorKind } from '../port/client/errors.ts'
import { cutSummary } from '../port/client/messages.ts'
import type { ClientPayload } from '../port/payload.ts'
import type { LogLine } from '../port/types.ts'
import { conclude, countedJobs, jobLine, lastUpdate, needLines, stepLine } from './conclusion.ts'
import { knownSecrets } from './known-secrets.ts'
import { checkRun } from './ownership.ts'
import { type Remaining, readDocuments, readRemaining } from './remaining.ts'
import { createReporter } from './reporter/direct.ts'
import { createRelayReporter, type RelayReporter } from './reporter/relay.ts'
import { QuotaError } from './reporter/relay-request.ts'
import { isUncertain, type Reporter } from './reporter/reporter.ts'
import { reportFailure } from './reporter/warnings.ts'
import { type Inputs, type JobStatus, readInputs } from './runner/inputs.ts'
import { jobName } from './runner/jobs.ts'
import { readPayload } from './runner/payload.ts'
import { findRelay } from './runner/relay-access.ts'
import {
  describeMistake,
  help,
  isExplained,
  type Runner,
  readWorkflow,
  type Topic,
  type Workflow,
} from './runner/runner.ts'
import { loadState, type State } from './runner/state.ts'
import { createMasks, jobCredentials } from './secrets/masks.ts'
import { maskParts, type Redact } from './secrets/redact.ts'
import { sendEntities } from './steps/send-entities.ts'
import { missingLine } from './steps/send-log.ts'
import { readSteps } from './steps-of-job.ts'
import { summarize } from './summary.ts'

/** All that is left of a cancelled job shares about 4 min 45 s; the final status may take half a minute more. */
const BUDGET_MS = 60_000

/** Post: entities, steps, log, summary and final status to Port. Never throws, and never fails a job by itself. */
export async function finish(runner: Runner): Promise<void> {
  const { core, env } = runner
  try {
    const state = loadState(core)
    if (!state) return
    const remaining = readRemaining(state.files, runner)
    const inputs = readInputs(core.getInput, env)
    for (const part of [inputs.portClientSecret, inputs.privateKey].flatMap(maskParts)) core.setSecret(part)
    const workflow = readWorkflow(env)
    // Main has read it.
    const payload = readPayload(inputs.payload, workflow, env)!
    await reportResult({ state, inputs, workflow, payload }, remaining, runner)
  } catch (error) {
    const { message } = error as Error
    const more = isExplained(message) ? '' : help(env, 'port')
    core.warning(`Reporting to Port failed: ${message}${more}`)
  }
}

interface Job {
  state: State
  inputs: Inputs
  workflow: Workflow
  /** As it came, its secret inputs encrypted. */
  payload: ClientPayload
}

async function reportResult(job: Job, remaining: Promise<Remaining>, runner: Runner): Promise<void> {
  const { state, inputs, workflow, payload } = job
  const { core, env, clock } = runner
  const masks = createMasks()
  const relay = createRelay(job, runner)
  const reporter = createReporter(state.runId, inputs, runner, {
    relay,
    token: state.portToken,
    budgetMs: BUDGET_MS,
    redact: masks.redact,
  })
  const { githubToken: token, checkRunId } = inputs
  const reading = readSteps(workflow, { token, checkRunId, startedAt: state.startedAt }, runner)
  const failure = (error: unknown) => reportFailure(error, runner, inputs)
  const whose = await judge(state, reporter, workflow, core, failure)
  if (whose === 'not ours') return

  const [read, known, rest] = await Promise.all([
    reading,
    knownSecrets(payload, inputs, state.decrypted ?? [], reporter, relay),
    remaining,
    whose === 'ours' && reporter.prepare(),
  ])
  for (const part of known.secrets.flatMap(maskParts)) core.setSecret(part)
  masks.add([
    ...known.secrets,
    ...jobCredentials(inputs, env, relay?.access().token ?? reporter.token()?.value),
    ...rest.masks,
  ])
  const steps = read.steps ?? []
  if (read.steps === null) core.notice(read.problem + help(env, 'steps'))
  else if (read.earlier) core.warning(notFirst(read.earlier) + help(env, 'first-step'))

  let status = inputs.jobStatus
  const needs = countedJobs(inputs.needs, read.others)
  const toMessage = (sentence: string, topic: Topic) => masks.redact(sentence) + help(env, topic)
  /** What Port did not receive is a warning, or with `fail-on-report-error` a failure of the job and of the run. */
  const warnOrFail = (sentence: string, topic: Topic) => {
    if (!inputs.failOnReportError) return core.warning(toMessage(sentence, topic))
    core.setFailed(toMessage(sentence, topic))
    status = 'failure'
  }
  const written = inputs.report === 'job' ? rest.run.conclusion : null
  const conclusion = () => conclude(status, needs, written)
  const own = known.all
    ? rest
    : { ...rest, lines: [], entities: NO_ENTITIES, run: { ...rest.run, summary: '', links: [] } }
  const links = own.run.links.filter(link => masks.redact(link) === link)
  const withheld = !known.all && hasTexts(rest, inputs)
  const entities = whose === 'ours' ? await sendAll(own.entities, reporter, masks.redact) : NO_ENTITIES
  const unsent = [
    ...rest.problems,
    ...(withheld && !known.ended ? [{ sentence: WITHHELD, topic: 'secret-inputs' as const }] : []),
  ]
  /** What the author has written to `$PORT_RUN` that does not count. */
  const mistakes = [
    ...rest.run.problems.map(problem => describeMistake(problem, '$PORT_RUN', masks.redact)),
    ...(links.length < own.run.links.length ? [SECRET_LINK] : []),
    ...(written === rest.run.conclusion ? [] : [noEffect(inputs.report)]),
  ]
  if (whose === 'ours') {
    if (entities.problems.length > 0) warnOrFail(entities.problems.join('\n'), 'entities')
    if (rest.lost > 0) warnOrFail(lostMeanwhile(rest.lost), 'port')
    for (const { sentence, topic } of unsent) warnOrFail(sentence, topic)
    for (const sentence of mistakes) core.warning(toMessage(sentence, 'port-run'))
  }

  const name = read.job ?? jobName(workflow.job, inputs.matrix)
  const durationMs = Math.max(clock() - state.startedAt, 0)
  // Read again at each use: a later problem may change the status.
  const ends = () => [...needLines(needs), ...conclusionLines(written), jobLine({ name, status, durationMs })]
  const ownSummary = own.run.summary || (known.all ? inputs.summary : '')
  const { problems = [], explained = false } = state
  const all = [...problems, ...entities.problems]
  const summary = () =>
    ownSummary ||
    summarize({ ends: ends(), problems: all, payload, steps, url: workflow.url, redact: masks.redact })
  writeJobSummary(cutSummary(masks.redact(summary())), env, core)
  if (whose === 'unknown') return

  const lines = [
    ...(rest.lost > 0 ? [missingLine(rest.lost)] : []),
    ...own.lines.map((message): LogLine => ({ level: 'INFO', message })),
    ...(explained ? [] : problems.map((message): LogLine => ({ level: 'ERROR', message }))),
    ...steps.map(stepLine),
    ...entities.lines,
    ...[...unsent.map(({ sentence }) => sentence), ...mistakes].map(
      (message): LogLine => ({ level: 'WARN', message }),
    ),
    ...ends(),
  ].filter(line => line.message.trim() !== '')

  // The log goes first, since an ended run takes no more of it. The final status goes even when the log did not.
  const ending = () => lastUpdate(job, { conclusion: conclusion(), summary: summary(), ownSummary, links })
  const more = Object.keys(ending()).length > 0
  try {
    await reporter.log(lines)
  } catch (error) {
    const { kind, message } = error as PortError
    if (SETTLED.includes(kind) || !more) return void failure(error)
    const what =
      error instanceof QuotaError
        ? `${countLines(lines.length - error.linesSent)} of the log left out`
        : isUncertain(error)
          ? 'Port may not have received all of the log'
          : 'Port did not accept all of the log'
    warnOrFail(`${what}: ${message}`, kind === 'credentials' ? kind : 'port')
  }
  // That another job has finished the delivery is no error of this one.
  if (withheld && known.ended) core.notice(WITHHELD_AFTER)
  if (more) await reporter.update(ending()).catch(failure)
}

const NO_ENTITIES = { documents: [], lines: [], problems: [] }

/** Whether steps or the author have left texts for Port, in which a secret may stand. */
const hasTexts = ({ lines, entities, run }: Remaining, inputs: Inputs): boolean =>
  lines.length > 0 ||
  entities.documents.length > 0 ||
  run.summary !== '' ||
  run.links.length > 0 ||
  inputs.summary !== ''

async function sendAll(
  written: Remaining['entities'],
  reporter: Reporter,
  redact: Redact,
): Promise<{ lines: LogLine[]; problems: string[] }> {
  const { entities, problems } = await readDocuments(written.documents, redact)
  const sent = await sendEntities(entities, reporter)
  const mistakes = problems.map((problem): LogLine => ({ level: 'ERROR', message: `✗ ${problem}` }))
  return {
    lines: [...written.lines, ...mistakes, ...sent.lines],
    problems: [...written.problems, ...problems, ...sent.problems],
  }
}

/** What a step has written about the end of the run, where it changes that. */
const conclusionLines = (written: JobStatus | null): LogLine[] =>
  written === null || written === 'success'
    ? []
    : [
        {
          level: written === 'failure' ? 'ERROR' : 'WARN',
          message: `✗ A step has set the conclusion: ${written}`,
        },
      ]

/** The run takes no further report. Credentials that are refused now may be accepted a moment later. */
const SETTLED: PortErrorKind[] = ['ended', 'synchronized', 'unknown_run']

const SECRET_LINK =
  'A link in $PORT_RUN contains a secret, and secrets are not sent to Port: the link is left out.'

const noEffect = (report: Inputs['report']) => `conclusion in $PORT_RUN has no effect with report: ${report}.`

const WITHHELD =
  'What is left in $PORT_LOG and $PORT_ENTITIES, and summary, links and entities of yours, are not sent to Port: the secret ' +
  'inputs, which must not be in them, could not be decrypted again.'

const WITHHELD_AFTER =
  'What is left in $PORT_LOG and $PORT_ENTITIES, and summary, links, and entities of yours, are not sent to Port: the delivery ' +
  'has finished, and the relay no longer gives the secret inputs, which must not be in them.'

const countLines = (count: number) => (count === 1 ? '1 line' : `${count} lines`)

const lostMeanwhile = (count: number) =>
  `Port may not have received all of the log: its answer to ${countLines(count)} got lost while the job ran.`

/** Under the token of main; where the relay gave none then, this run proves itself now. */
function createRelay({ state, inputs, payload }: Job, runner: Runner): RelayReporter | null {
  if (!state.relay) return null
  const found = findRelay(payload, inputs, runner.env)
  const access = { ...(found ?? state.relay), token: state.relay.token }
  return createRelayReporter(access, runner, { budgetMs: BUDGET_MS, ending: true })
}

const notFirst = (step: string) =>
  `This action is not the first step of its job: "${step}" ran before it. When such a step fails, this action never ` +
  'starts and nothing is reported to Port, and post steps may run after the final status was sent. Move it up.'

/** @see https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands#adding-a-job-summary */
function writeJobSummary(summary: string, env: Runner['env'], core: Runner['core']): void {
  if (!env.GITHUB_STEP_SUMMARY) return
  try {
    appendFileSync(env.GITHUB_STEP_SUMMARY, `${summary}\n`)
  } catch (error) {
    core.info(`The job summary could not be written: ${(error as Error).message}`)
  }
}

/** Whether the run is this job's to report, which main could not find out where Port did not answer. */
async function judge(
  state: State,
  reporter: Reporter,
  workflow: Workflow,
  core: Runner['core'],
  failure: (error: unknown) => unknown,
): Promise<'ours' | 'not ours' | 'unknown'> {
  if (state.outlook === 'lost') return 'unknown'
  if (state.checked) return 'ours'
  try {
    const judged = checkRun(state.runId, await reporter.read(), workflow.runId)
    if (judged.verdict === 'ours') return 'ours'
    core.notice(judged.message)
    return 'not ours'
  } catch (error) {
    // Otherwise main has reported it.
    if (state.outlook !== 'doubtful') failure(error)
    return 'unknown'
  }
}
