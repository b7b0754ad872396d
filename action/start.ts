import type { RunState } from '../port/client.ts'
import type { ClientPayload } from '../port/client-payload.ts'
import { completePayload } from './complete-payload.ts'
import { findWorker } from './find-worker.ts'
import { help } from './help.ts'
import { type Inputs, readInputs } from './inputs.ts'
import { judgeRun } from './judge-run.ts'
import { createLogFile, logFilePath } from './log-file.ts'
import { maskParts } from './mask-parts.ts'
import { openSecrets } from './open-secrets.ts'
import { makeOutputs } from './outputs.ts'
import { readPayload } from './payload.ts'
import { createRelayReporter, findRelay, type RelayReporter, type RelayStart } from './relay-reporter.ts'
import { reportTrouble } from './report-trouble.ts'
import { createReporter, type Reporter, whyNoReport } from './reporter.ts'
import { type Runner, readWorkflow, type Workflow } from './runner.ts'
import { startProgress } from './start-progress.ts'
import { type State, saveState } from './state.ts'

/** How long the start of a job may wait for Port; post tries again. */
const BUDGET_MS = 10_000

/** What a job is reported with. */
interface Job {
  inputs: Inputs
  workflow: Workflow
  payload: ClientPayload
  secrets: string[]
  /** Why the job fails here already. */
  problems: string[]
  logFile: string
  /** Null where Port is told without it. */
  relay: RelayReporter | null
}

/**
 * Main: payload → outputs, and the run shown as started in Port. Never throws: a problem fails the step.
 *
 * @param script the companion's
 */
export async function start(runner: Runner, script: string): Promise<void> {
  const { core, env } = runner
  try {
    const inputs = readInputs(core.getInput)
    mask(runner, [inputs.portClientSecret, inputs.secretKey])
    const workflow = readWorkflow(env)
    const sent = readPayload(inputs.payload, workflow, env)
    const access = inputs.portClientSecret === '' ? findRelay(sent, env) : null
    const relay = access && createRelayReporter(access, runner, { budgetMs: BUDGET_MS })
    const reporter = createReporter(sent.run_id ?? '', inputs, runner, { budgetMs: BUDGET_MS, relay })

    const readRun = inputs.portClientSecret === '' ? null : reporter.read
    const asked = relay && (await askRelay(sent, relay, inputs, env))
    const { payload, problems } = asked ?? (await complete(sent, readRun, env))
    const opened = openSecrets(payload, inputs, asked?.secrets)
    mask(runner, opened.secrets)
    problems.push(...opened.problems.map(problem => problem + help(env, 'secret-inputs')))
    const outputs = makeOutputs(payload, opened.inputs)
    for (const [name, value] of outputs.values) core.setOutput(name, value)
    for (const warning of outputs.warnings) core.warning(warning)
    if (opened.sealed.length > 0) core.warning(sealedWarning(opened.sealed) + help(env, 'secret-inputs'))
    if (problems.length > 0) core.setFailed(problems.join('\n'))

    const logFile = logFilePath(workflow.tempFolder, payload.port.delivery)
    const first = createLogFile(logFile)
    core.exportVariable('PORT_LOG', logFile)

    const silence = whyNoReport(inputs, payload, relay)
    if (silence?.level === 'warning') return core.warning(silence.message + help(env, 'credentials'))
    if (silence) return core.info(silence.message)
    if (!first) return core.info('An earlier step of this job reports this run to Port.')
    const job: Job = { inputs, workflow, payload, secrets: opened.secrets, problems, logFile, relay }
    if ((await reportStart(job, reporter, runner)) && inputs.progress) follow(job, script, env)
  } catch (error) {
    core.setFailed((error as Error).message)
  }
}

/** What only the relay has: the rest of the payload, and secret inputs in clear text. A duplicate is judged later. */
async function askRelay(
  payload: ClientPayload,
  relay: RelayReporter,
  inputs: Inputs,
  env: Runner['env'],
): Promise<{ payload: ClientPayload; problems: string[]; secrets: Record<string, string> }> {
  const { encrypted, truncated } = payload.port
  if (encrypted.length === 0 && truncated.length === 0) return { payload, problems: [], secrets: {} }
  let given: RelayStart
  try {
    given = await relay.start()
  } catch (error) {
    const names = [...truncated, ...encrypted].map(name => `"${name}"`).join(', ')
    const problem = `The relay could not be asked for ${names}: ${(error as Error).message}`
    return { payload, problems: [problem + help(env, 'large-payloads')], secrets: {} }
  }
  if (given.payload) {
    const whole = { ...payload, port: { ...payload.port, ...given.payload, truncated: [] } }
    return { payload: whole, problems: [], secrets: given.secrets }
  }
  const missing = truncated.length > 0 && inputs.onDuplicate === 'continue'
  const problem =
    'The rest of the payload is given only to the first workflow run of a delivery, and this is another.'
  return { payload, problems: missing ? [problem + help(env, 'duplicates')] : [], secrets: given.secrets }
}

/** What cannot be fetched fails the job, but only after Port could be told why. */
async function complete(
  payload: ClientPayload,
  readRun: (() => Promise<RunState>) | null,
  env: Runner['env'],
): Promise<{ payload: ClientPayload; problems: string[] }> {
  try {
    return { payload: await completePayload(payload, readRun), problems: [] }
  } catch (error) {
    return { payload, problems: [(error as Error).message + help(env, 'large-payloads')] }
  }
}

function mask({ core }: Runner, secrets: string[]): void {
  for (const part of secrets.flatMap(maskParts)) core.setSecret(part)
}

const sealedWarning = (names: string[]) =>
  `${names.map(name => `"${name}"`).join(', ')}: these secret inputs stay encrypted. Set port-client-secret, or ` +
  'secret-key where the Port action encrypts with client-side, or let the relay open them.'

/** @returns whether the run is ours, and Port could be asked */
async function reportStart(job: Job, reporter: Reporter, { core, clock, env }: Runner): Promise<boolean> {
  const { inputs, workflow, payload, problems, logFile, relay } = job
  const runId = payload.run_id!
  const kind = payload.port.kind === 'node_run' ? 'node_run' : 'action_run'
  const state: State = { runId, kind, startedAt: clock(), logFile, checked: false, linked: false }
  if (inputs.matrix && inputs.report === 'job') {
    core.warning(
      'This job is a leg of a matrix, and the first leg to end ends the Port run: set report: workflow, or ' +
        `report: progress here and this action with report: job and needs in a last job.${help(env, 'matrix')}`,
    )
  }

  try {
    const run = kind === 'node_run' && !relay ? null : await reporter.read()
    if (relay) state.relay = relay.access()
    if (!isOurs(runId, run, inputs, workflow, { core, env })) return false
    state.checked = true
  } catch (error) {
    if (relay) state.relay = { ...relay.access(), idToken: null }
    if (reportTrouble(error, { core, env }, inputs)) saveState(core, state)
    return false
  }

  const [told, logged] = await Promise.allSettled([
    reporter.update({
      statusLabel: inputs.statusLabel || 'Running',
      link: [workflow.url],
      externalRunId: workflow.runId,
    }),
    reporter.log([
      { level: 'INFO', message: `Workflow run started: ${workflow.url}` },
      ...problems.map(message => ({ level: 'ERROR' as const, message })),
    ]),
  ])
  state.linked = told.status === 'fulfilled'
  const failed = [told, logged].find(result => result.status === 'rejected')
  const goesOn = !failed || reportTrouble(failed.reason, { core, env }, inputs)
  if (goesOn) saveState(core, state)
  return goesOn
}

function follow(
  { inputs, workflow, payload, secrets, logFile, relay }: Job,
  script: string,
  env: Runner['env'],
): void {
  const { portApiUrl, portClientId, portClientSecret, githubToken: token, checkRunId, statusLabel } = inputs
  startProgress(
    {
      runId: payload.run_id!,
      credentials: { portApiUrl, portClientId, portClientSecret },
      relay: relay?.access() ?? null,
      secrets: [...secrets, portClientSecret, inputs.secretKey],
      workflow,
      logFile,
      github: statusLabel === '' && token !== '' ? { token, checkRunId } : null,
      worker: findWorker(workflow.tempFolder),
    },
    script,
    env,
  )
}

/** Says why not. A duplicate fails the step, before any step of the user runs, unless they want it to go on. */
function isOurs(
  runId: string,
  run: RunState | null,
  inputs: Inputs,
  workflow: Workflow,
  { core, env }: Pick<Runner, 'core' | 'env'>,
): boolean {
  if (!run) return true
  const judged = judgeRun(runId, run, workflow.runId)
  if (judged.verdict === 'ours') return true
  const more = help(env, 'duplicates')
  if (judged.verdict === 'silent') core.notice(judged.message)
  else if (inputs.onDuplicate === 'fail') {
    core.setFailed(
      `${judged.message} It stops here, so that nothing is done twice (on-duplicate: fail).${more}`,
    )
  } else {
    core.warning(
      `${judged.message} It goes on, and Port is told nothing of it (on-duplicate: continue).${more}`,
    )
  }
  return false
}
