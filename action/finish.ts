import { appendFileSync } from 'node:fs'
import type { PortError } from '../port/client/client.ts'
import type { PortErrorKind } from '../port/client/errors.ts'
import { cutSummary } from '../port/client/run-bodies.ts'
import { knownSecrets } from './complete-inputs.ts'
import { countLines, decide, type Facts, type Job, type Loss, WITHHELD_AFTER } from './conclusion.ts'
import { findOwner } from './ownership.ts'
import { type Remaining, readDocuments, readRemaining, withoutTexts } from './remaining.ts'
import { createReporter } from './reporter/direct.ts'
import { createRelayReporter, type RelayReporter } from './reporter/relay.ts'
import { isUncertain, QuotaError, type Reporter, reportFailure } from './reporter/reporter.ts'
import { claimReport } from './runner/files.ts'
import { readInputs } from './runner/inputs.ts'
import { jobName } from './runner/jobs.ts'
import { findRelay } from './runner/payload.ts'
import { help, isExplained, loadState, type Runner, readWorkflow, type Unreported } from './runner/runner.ts'
import { createMasks, jobCredentials, mask, type Redact } from './secrets/redact.ts'
import { errorLine, sendEntities } from './steps/send.ts'
import { readSteps } from './summary.ts'

/** The time limit for retries, because GitHub stops a canceled job after 4 min 45 s. The final status gets 30 s more. */
const BUDGET_MS = 60_000

/** Runs as the action's `post`: sends entities, steps, log, summary, and final status to Port. Never throws. */
export async function finish(runner: Runner): Promise<void> {
  const { core, env } = runner
  try {
    const state = loadState(core)
    if (!state) return
    if ('unreported' in state) return await warnUnsent(state, runner)
    const remaining = readRemaining(state.files, runner)
    const inputs = readInputs(core.getInput, env)
    mask(runner, [inputs.portClientSecret, inputs.privateKey])
    const job = { state, inputs, workflow: readWorkflow(env) }
    const reporting = openReporting(job, runner)
    const facts = await gather(job, remaining, reporting, runner)
    if (facts) await send(job, facts, reporting, runner)
  } catch (error) {
    const { message } = error as Error
    const more = isExplained(message) ? '' : help(env, 'port')
    core.warning(`Reporting to Port failed: ${message}${more}`)
  }
}

type Reporting = ReturnType<typeof openReporting>

function openReporting({ state, inputs }: Job, runner: Runner) {
  const masks = createMasks()
  let relay: RelayReporter | null = null
  if (state.relay) {
    // If main got no token, this process authenticates to the relay.
    const found = findRelay(state.payload, inputs, runner.env)
    const access = { ...(found ?? state.relay), token: state.relay.token }
    relay = createRelayReporter(access, runner, { budgetMs: BUDGET_MS, finishing: true })
  }
  const { redact } = masks
  const options = { relay, token: state.portToken, budgetMs: BUDGET_MS, redact }
  return { reporter: createReporter(state.runId, inputs, runner, options), relay, masks }
}

/** Returns what the job reports; null if the Port run belongs to another workflow run, or accepts no reports. */
async function gather(
  job: Job,
  remaining: Promise<Remaining>,
  { reporter, relay, masks }: Reporting,
  runner: Runner,
): Promise<Facts | null> {
  const { state, inputs, workflow } = job
  const { core, env, clock } = runner
  const { githubToken: token, checkRunId } = inputs
  const isFailed = inputs.jobStatus === 'failure'
  const hasNeeds = Object.keys(inputs.needs).length > 0
  const options = { token, checkRunId, startedAt: state.startedAt, isFailed, hasNeeds }
  const reading = readSteps(workflow, options, runner)
  const failure = (error: unknown) => reportFailure(error, runner, inputs)
  const owner = await findOwner(state, reporter, workflow, core, failure)
  if (owner === 'another') return null
  const ours = owner === 'ours' ? true : null
  const [read, known, written] = await Promise.all([
    reading,
    knownSecrets(state.payload, inputs, state.decrypted ?? [], reporter, relay),
    remaining,
    ours && reporter.prepare(),
  ])
  mask(runner, known.secrets)
  masks.add([
    ...known.secrets,
    ...jobCredentials(inputs, env, relay?.access().token ?? reporter.token()?.value),
    ...written.masks,
  ])
  const rest = masks.hidesEverything() ? withoutTexts(written) : written
  const all = known.all && rest.allMasks
  if (read.problem !== null) core.notice(read.problem + help(env, 'steps'))
  else if (read.earlier) core.warning(notFirst(read.earlier) + help(env, 'first-step'))
  return {
    ours,
    name: read.job ?? jobName(workflow.job, inputs.matrix),
    steps: read.steps,
    others: read.others,
    annotations: read.annotations,
    rest,
    secrets: { ...known, all },
    entities:
      ours && all ? await sendAll(rest.entities, reporter, masks.redact) : { lines: [], problems: [] },
    durationMs: Math.max(clock() - state.startedAt, 0),
  }
}

async function sendAll(written: Remaining['entities'], reporter: Reporter, redact: Redact) {
  const { entities, problems } = await readDocuments(written.documents, redact)
  const sent = await sendEntities(entities, reporter)
  return {
    lines: [...written.lines, ...problems.map(errorLine), ...sent.lines],
    problems: [...written.problems, ...problems, ...sent.problems],
  }
}

/** Sends the log before the final status, because Port accepts no log lines for a finished run. */
async function send(job: Job, facts: Facts, { reporter, masks }: Reporting, runner: Runner): Promise<void> {
  const { core, env } = runner
  const { failOnReportError } = job.inputs
  const failure = (error: unknown) => reportFailure(error, runner, job.inputs)
  const shown = (sentence: string) => (masks.hidesEverything() ? sentence : masks.redact(sentence))
  const warnOrFail = ({ sentence, topic }: Loss) => {
    const message = shown(sentence) + help(env, topic)
    if (failOnReportError) core.setFailed(message)
    else core.warning(message)
  }

  let result = decide(job, facts, masks.redact)
  if (facts.ours) {
    for (const loss of result.losses) warnOrFail(loss)
    for (const sentence of result.mistakes) core.warning(shown(sentence) + help(env, 'port-run'))
  }
  writeJobSummary(cutSummary(masks.redact(result.summary)), env, core)
  if (!facts.ours) return

  const hasUpdate = Object.keys(result.update).length > 0
  try {
    await reporter.log(result.lines)
  } catch (error) {
    const { kind, message } = error as PortError
    if (SETTLED.includes(kind) || !hasUpdate) return void failure(error)
    const topic = kind === 'credentials' ? kind : 'port'
    warnOrFail({ sentence: `${describeLoss(error, result.lines.length)}: ${message}`, topic })
    if (failOnReportError) result = decide(job, facts, masks.redact, true)
  }
  if (result.withheldAfter) core.notice(WITHHELD_AFTER)
  if (hasUpdate) await reporter.update(result.update).catch(failure)
}

const SETTLED: PortErrorKind[] = ['finished', 'synchronized', 'unknown_run']

function describeLoss(error: unknown, lines: number): string {
  if (error instanceof QuotaError) return `${countLines(lines - error.linesSent)} of the log were omitted`
  return isUncertain(error)
    ? 'Port may not have received all of the log'
    : "Port didn't accept all of the log"
}

const notFirst = (step: string) =>
  `This action isn't the first step of its job: "${step}" ran before it. If that step fails, this action never ` +
  `starts, and nothing is reported to Port. A post step of "${step}" can also run after the action has sent the final status. Make this action the first step.`

/** @see https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands#adding-a-job-summary */
function writeJobSummary(summary: string, env: Runner['env'], core: Runner['core']): void {
  if (!env.GITHUB_STEP_SUMMARY) return
  try {
    appendFileSync(env.GITHUB_STEP_SUMMARY, `${summary}\n`)
  } catch (error) {
    core.info(`The job summary couldn't be written: ${(error as Error).message}`)
  }
}

/** Runs in post if the job can't report. Warns about the texts that steps wrote for Port, because the action can't send them. */
async function warnUnsent({ files, decides }: Unreported, runner: Runner): Promise<void> {
  const { core, env } = runner
  const { failOnReportError } = readInputs(core.getInput, env)
  const { lines, entities, run, problems } = await readRemaining(files, runner)
  // Another step of this job reports, or has already printed the warning.
  if (claimReport(files.log, 'off') !== null) return
  const texts = lines.filter(line => line.trim() !== '').length
  const entries = Object.entries({
    'status-label': run.statusLabel,
    link: run.links,
    summary: run.summary,
    output: Object.keys(run.outputs),
    conclusion: run.conclusion ?? '',
  }).flatMap(([name, value]) => (value.length > 0 ? [name] : []))
  const written = [
    ...(texts > 0 ? [`${texts === 1 ? '1 line' : `${texts} lines`} of $PORT_LOG`] : []),
    ...(entities.documents.length > 0 ? ['$PORT_ENTITIES'] : []),
    ...(entries.length > 0 ? [`$PORT_RUN (${entries.join(', ')})`] : []),
  ]
  const unsent =
    written.length > 0 ? [`These texts of steps weren't sent to Port: ${written.join('; ')}.`] : []
  const sentences = [...unsent, ...problems.map(({ sentence }) => sentence)]
  if (sentences.length === 0) return
  const fails = decides && run.conclusion !== null && run.conclusion !== 'success'
  if (fails) sentences.push(FAILS)
  const message = sentences.join(' ') + help(env, 'credentials')
  if (fails || failOnReportError) core.setFailed(message)
  else core.warning(message)
}

const FAILS =
  'The job fails, because "conclusion" in $PORT_RUN isn\'t success, and the run in Port would otherwise succeed.'
