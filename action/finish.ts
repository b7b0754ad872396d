import { appendFileSync } from 'node:fs'
import type { LogLine, RunUpdate } from '../port/client.ts'
import { PortError } from '../port/client.ts'
import type { ClientPayload } from '../port/client-payload.ts'
import { conclude } from './conclude.ts'
import { jobLine, stepLine } from './describe.ts'
import { help } from './help.ts'
import { type Inputs, type JobStatus, readInputs } from './inputs.ts'
import { judgeRun } from './judge-run.ts'
import { knownSecrets } from './known-secrets.ts'
import { readLogFile } from './log-file.ts'
import { maskParts } from './mask-parts.ts'
import { readPayload } from './payload.ts'
import { createRedact } from './redact.ts'
import { createRelayReporter, findRelay, type RelayReporter } from './relay-reporter.ts'
import { reportTrouble } from './report-trouble.ts'
import { createReporter, type Reporter } from './reporter.ts'
import { type Runner, readWorkflow, type Workflow } from './runner.ts'
import { sendEntities } from './send-entities.ts'
import { loadState, type State } from './state.ts'
import { readSteps } from './steps.ts'
import { stopProgress } from './stop-progress.ts'
import { summarize } from './summarize.ts'

/** All that is left of a cancelled job shares about 4 min 45 s. */
const BUDGET_MS = 60_000

/** What Port shows beside the final status, in place of the label of the running job. */
const LABEL: Record<JobStatus, string> = { success: 'Succeeded', failure: 'Failed', cancelled: 'Cancelled' }

/** Post: entities, steps, log, summary and final status to Port. Never throws, and never fails a job by itself. */
export async function finish(runner: Runner): Promise<void> {
  const { core, env } = runner
  try {
    const state = loadState(core)
    if (!state) return
    const stopping = stopProgress(state.logFile, runner)
    const inputs = readInputs(core.getInput)
    for (const part of [inputs.portClientSecret, inputs.secretKey].flatMap(maskParts)) core.setSecret(part)
    const workflow = readWorkflow(env)
    await reportEnd(
      { state, inputs, workflow, payload: readPayload(inputs.payload, workflow, env) },
      stopping,
      runner,
    )
  } catch (error) {
    core.warning(`Port could not be told: ${(error as Error).message}${help(env, 'port')}`)
  }
}

interface Job {
  state: State
  inputs: Inputs
  workflow: Workflow
  /** As it came, its secret inputs encrypted. */
  payload: ClientPayload
}

async function reportEnd(job: Job, stopping: Promise<number>, runner: Runner): Promise<void> {
  const { state, inputs, workflow } = job
  const { core, env, clock } = runner
  let redact = createRedact([])
  const relay = openRelay(job, runner)
  const reporter = createReporter(state.runId, inputs, runner, {
    relay,
    budgetMs: BUDGET_MS,
    redact: text => redact(text),
  })
  const { githubToken: token, checkRunId } = inputs
  const reading = readSteps(workflow, { token, checkRunId, startedAt: state.startedAt }, runner)
  const trouble = (error: unknown) => reportTrouble(error, runner, inputs)
  if (!state.checked && !(await isOurs(reporter, state, workflow, core, trouble))) return

  const [read, secrets, sent] = await Promise.all([
    reading,
    knownSecrets(job.payload, inputs, reporter, relay),
    stopping,
    reporter.prepare(),
  ])
  for (const part of secrets.flatMap(maskParts)) core.setSecret(part)
  redact = createRedact(secrets)
  const steps = read.steps ?? []
  if (read.steps === null) core.notice(read.problem + help(env, 'steps'))
  else if (read.earlier) core.warning(notFirst(read.earlier) + help(env, 'first-step'))

  let conclusion = conclude(inputs.jobStatus, inputs.needs)
  const entities = await upsertEntities(conclusion, inputs, reporter, runner)
  if (entities.failed) conclusion = 'failure'
  const end = jobLine({ name: workflow.job, status: inputs.jobStatus, durationMs: clock() - state.startedAt })
  const own = readLogFile(state.logFile, sent, true).map(
    ({ text }): LogLine => ({ level: 'INFO', message: text }),
  )
  const lines = [...steps.map(stepLine), ...own, ...entities.lines, end].filter(
    line => line.message.trim() !== '',
  )
  const summary = inputs.summary || summarize(end, job.payload, steps, workflow.url)
  writeJobSummary(redact(summary), env, core)
  await tell(lines, lastUpdate(job, conclusion, summary), reporter, trouble, runner, inputs)
}

/** Under the token of main; where the relay gave none then, this run proves itself now. */
function openRelay({ state, payload }: Job, runner: Runner): RelayReporter | null {
  if (!state.relay) return null
  const access = state.relay.token === null ? (findRelay(payload, runner.env) ?? state.relay) : state.relay
  return createRelayReporter(access, runner, { budgetMs: BUDGET_MS, ending: true })
}

/** The log goes first, since an ended run takes no more of it. The final status goes even when the log did not. */
async function tell(
  lines: LogLine[],
  update: RunUpdate,
  reporter: Reporter,
  trouble: (error: unknown) => boolean,
  { core, env }: Runner,
  inputs: Inputs,
): Promise<void> {
  const more = Object.keys(update).length > 0
  try {
    await reporter.log(lines)
  } catch (error) {
    const over = error instanceof PortError && !error.temporary && error.kind !== 'refused'
    if (over || !more) return void trouble(error)
    const sentence = `Port did not take the log: ${(error as Error).message}${help(env, 'port')}`
    if (inputs.failOnReportError) core.setFailed(sentence)
    else core.warning(sentence)
  }
  if (more) await reporter.update(update).catch(trouble)
}

async function upsertEntities(
  conclusion: JobStatus,
  inputs: Inputs,
  reporter: Reporter,
  { core, env }: Runner,
): Promise<{ lines: LogLine[]; failed: boolean }> {
  if (conclusion !== 'success') return { lines: [], failed: false }
  const { lines, problems } = await sendEntities(inputs.entities, reporter)
  if (problems.length === 0) return { lines, failed: false }
  const sentence = problems.join('\n') + help(env, 'entities')
  if (inputs.failOnReportError) core.setFailed(sentence)
  else core.warning(sentence)
  return { lines, failed: inputs.failOnReportError }
}

const notFirst = (step: string) =>
  `This action is not the first step of its job: "${step}" ran before it. When such a step fails, this action never ` +
  'starts and Port is told nothing, and post steps may run after Port was told the final status. Move it up.'

/** Only `report: job` ends the Port run; the others leave that to the relay or to another job. */
function lastUpdate({ state, inputs, workflow }: Job, conclusion: JobStatus, summary: string): RunUpdate {
  // A node run's link is replaced with each call.
  const link =
    state.linked && state.kind !== 'node_run' ? {} : { link: [workflow.url], externalRunId: workflow.runId }
  if (inputs.report !== 'job') {
    return { ...(!state.linked && link), ...(inputs.summary && { summary: inputs.summary, ...link }) }
  }
  return { conclusion, statusLabel: LABEL[conclusion], summary, ...link }
}

/** @see https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands#adding-a-job-summary */
function writeJobSummary(summary: string, env: Runner['env'], core: Runner['core']): void {
  if (!env.GITHUB_STEP_SUMMARY) return
  try {
    appendFileSync(env.GITHUB_STEP_SUMMARY, `${summary}\n`)
  } catch (error) {
    core.info(`The job summary could not be written: ${(error as Error).message}`)
  }
}

/** What main could not find out because Port did not answer. */
async function isOurs(
  reporter: Reporter,
  state: State,
  workflow: Workflow,
  core: Runner['core'],
  trouble: (error: unknown) => boolean,
): Promise<boolean> {
  try {
    const judged = judgeRun(state.runId, await reporter.read(), workflow.runId)
    if (judged.verdict !== 'ours') core.notice(judged.message)
    return judged.verdict === 'ours'
  } catch (error) {
    trouble(error)
    return false
  }
}
