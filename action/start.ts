import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { PortError, Token } from '../port/client/client.ts'
import type { ClientPayload } from '../port/payload.ts'
import type { RunState } from '../port/types.ts'
import { EMPTY_OUTPUTS, makeOutputs } from './outputs.ts'
import { checkRun, reportDuplicate, reportSecondUse } from './ownership.ts'
import { type FollowedJob, startProgress } from './progress/process.ts'
import { createReporter, OIDC, whyNoReport } from './reporter/direct.ts'
import { createRelayReporter, type RelayReporter } from './reporter/relay.ts'
import type { Reporter } from './reporter/reporter.ts'
import { reportFailure } from './reporter/warnings.ts'
import { type JobFiles, jobFiles } from './runner/files.ts'
import { type Inputs, readInputs } from './runner/inputs.ts'
import { jobName } from './runner/jobs.ts'
import { completePayload, readPayload } from './runner/payload.ts'
import { findWorker } from './runner/processes.ts'
import { findRelay } from './runner/relay-access.ts'
import { help, isExplained, type Runner, readWorkflow, type Workflow } from './runner/runner.ts'
import { type State, saveState } from './runner/state.ts'
import { decryptInputs } from './secrets/decrypt.ts'
import { jobCredentials } from './secrets/masks.ts'
import { createRedact, maskParts } from './secrets/redact.ts'
import { claimReport } from './steps/log.ts'

/** How long the start of a job may wait for Port; post tries again. */
const BUDGET_MS = 10_000

/** What a job is reported with. */
interface Job {
  inputs: Inputs
  workflow: Workflow
  /** The clear texts of secret inputs, and what may be one. */
  secrets: string[]
  /** The names of the secret inputs that the job has in clear. */
  decrypted: string[]
  /** Why the job fails here already. */
  problems: string[]
  /** What is shown in Port as well as in GitHub. */
  warnings: string[]
  state: State
  /** Null where the job reports to Port directly. */
  relay: RelayReporter | null
}

/**
 * Main: payload → outputs, and the run shown as started in Port. Never throws: a problem fails the step.
 *
 * @param script path of the progress reporter's bundle
 */
export async function start(runner: Runner, script: string): Promise<void> {
  const { core, env, clock } = runner
  try {
    const inputs = readInputs(core.getInput, env)
    mask(runner, [inputs.portClientSecret, inputs.privateKey])
    const workflow = readWorkflow(env)
    const sent = readPayload(inputs.payload, workflow, env)
    if (sent === null) return startedByHand(workflow, runner)
    const found = findRelay(sent, inputs, env)
    const access = inputs.portClientSecret === '' ? found : null
    const relay = access && createRelayReporter(access, runner, { budgetMs: BUDGET_MS })
    let redact = createRedact([])
    const reporter = createReporter(sent.run_id ?? '', inputs, runner, {
      budgetMs: BUDGET_MS,
      relay,
      redact: text => redact(text),
    })

    const files = openFiles(workflow, sent.port.delivery, core)
    const silence = whyNoReport(inputs, sent, relay)
    const earlier = silence ? null : claimReport(files.log, inputs.report)
    const state = silence || earlier !== null ? null : firstState(sent, files, relay, clock())
    // At once: a job that is cancelled while this waits for Port or the relay is reported by post.
    if (state) saveState(core, state)

    const readRun = inputs.portClientSecret === '' ? null : reporter.read
    const asked = relay && (await askRelay(sent, relay))
    const { payload, problems } = asked ?? (await complete(sent, readRun, env))
    const judged = asked?.duplicate && checkRun(sent.run_id, asked.duplicate, workflow.runId)
    const duplicate = judged?.verdict === 'duplicate' ? judged.message : null
    const decrypted = decryptInputs(payload, inputs, asked?.secrets, asked?.withheld)
    mask(runner, decrypted.masks)
    redact = createRedact([...decrypted.masks, ...jobCredentials(inputs, env)])
    if (asked?.refusal) {
      const encrypted = decrypted.encrypted.filter(name => asked.withheld.includes(name))
      problems.push(...describeMissing(asked.refusal, payload.port.truncated, encrypted, env))
    }
    problems.push(...decrypted.problems.map(problem => problem + help(env, 'secret-inputs')))
    const outputs = makeOutputs(payload, decrypted.inputs)
    for (const [name, value] of outputs.values) core.setOutput(name, value)
    for (const warning of outputs.warnings) core.warning(warning + help(env, 'outputs'))
    if (decrypted.encrypted.length > 0 && problems.length === 0 && duplicate === null)
      core.warning(encryptedWarning(decrypted.encrypted) + help(env, 'secret-inputs'))
    if (problems.length > 0) core.setFailed(problems.join('\n'))

    if (duplicate) {
      if (state) saveState(core, null)
      const lacks = { encrypted: decrypted.encrypted, truncated: payload.port.truncated }
      return reportDuplicate(duplicate, inputs, runner, lacks)
    }
    if (silence?.level === 'warning') return core.warning(silence.message + help(env, 'credentials'))
    if (silence) return core.info(silence.message)
    if (earlier !== null) return reportSecondUse(earlier, inputs, runner)
    const job: Job = {
      inputs,
      workflow,
      ...{ secrets: decrypted.masks, decrypted: [...decrypted.secrets.keys()] },
      problems,
      warnings: outputs.warnings,
      state: state!,
      relay,
    }
    if ((await reportStart(job, reporter, runner)) && inputs.live)
      follow(job, reporter.token(), script, runner)
  } catch (error) {
    const { message } = error as Error
    core.setFailed(
      isExplained(message) ? message : `The action could not start: ${message}${help(env, 'runner')}`,
    )
  }
}

/** A user has started the workflow on GitHub: the job runs as it would without Port. */
function startedByHand(workflow: Workflow, { core }: Runner): void {
  core.notice(
    'The input "port" is empty, so a user started this workflow on GitHub, and nothing is reported to Port.',
  )
  // Steps may write to them all the same.
  openFiles(workflow, 'none', core)
  for (const [name, value] of EMPTY_OUTPUTS) core.setOutput(name, value)
}

function openFiles(workflow: Workflow, delivery: string, core: Runner['core']): JobFiles {
  const files = jobFiles(workflow.tempFolder, delivery)
  mkdirSync(dirname(files.log), { recursive: true })
  for (const [kind, path] of Object.entries(files)) {
    // An earlier step of the job may have created it.
    writeFileSync(path, '', { flag: 'a' })
    core.exportVariable(`PORT_${kind.toUpperCase()}`, path)
  }
  return files
}

/** What post needs at least, before Port or the relay was asked anything. */
const firstState = (
  payload: ClientPayload,
  files: JobFiles,
  relay: RelayReporter | null,
  startedAt: number,
): State => ({
  runId: payload.run_id!,
  kind: payload.port.kind === 'node_run' ? 'node_run' : 'action_run',
  startedAt,
  files,
  checked: false,
  linked: false,
  ...(relay && { relay: { ...relay.access(), idToken: null } }),
})

/** What only the relay has: the rest of the payload, and secret inputs in clear text. */
async function askRelay(
  payload: ClientPayload,
  relay: RelayReporter,
): Promise<{
  payload: ClientPayload
  problems: string[]
  secrets: Record<string, string>
  /** The run in Port, where another workflow run has the delivery. */
  duplicate: RunState | null
  /** The secret inputs that it may be able to decrypt, and does not give. */
  withheld: string[]
  /** Why it does not give what is missing, as a sentence about that. */
  refusal: ((names: string) => string) | null
}> {
  const { encrypted, truncated } = payload.port
  const nothing = { payload, problems: [], secrets: {}, duplicate: null, withheld: [], refusal: null }
  if (encrypted.length === 0 && truncated.length === 0) return nothing
  try {
    const { payload: rest, secrets, duplicate, run } = await relay.start()
    if (duplicate) return { ...nothing, duplicate: run, withheld: encrypted }
    const whole = rest ? { ...payload, port: { ...payload.port, ...rest, truncated: [] } } : payload
    return { ...nothing, payload: whole, secrets }
  } catch (error) {
    const { kind, message } = error as PortError
    const unasked = (names: string) => `The relay could not be asked for ${names}: ${message}`
    return { ...nothing, withheld: encrypted, refusal: kind === 'ended' ? ended : unasked }
  }
}

/** As for a re-run, or a job that begins after another one has ended the run in Port. */
const ended = (names: string) =>
  `The relay no longer gives ${names}, since the delivery has ended: run the Port action again.`

/** A sentence where something is missing that only the relay could give. */
function describeMissing(
  refusal: (names: string) => string,
  truncated: string[],
  encrypted: string[],
  env: Runner['env'],
): string[] {
  const missing = [...truncated, ...encrypted]
  if (missing.length === 0) return []
  const names = missing.map(name => `"${name}"`).join(', ')
  return [refusal(names) + help(env, truncated.length > 0 ? 'large-payloads' : 'secret-inputs')]
}

/** What cannot be fetched fails the job, after the reason was reported to Port. */
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

const encryptedWarning = (names: string[]) =>
  `The secret input${names.length === 1 ? '' : 's'} ${names.map(name => `"${name}"`).join(', ')} ` +
  `${names.length === 1 ? 'stays' : 'stay'} encrypted. To have the relay decrypt secret inputs, ${OIDC}; or set ` +
  'port-client-secret, or private-key if the Port action encrypts with client-side.'

/** @returns whether the run is ours, and Port could be asked */
async function reportStart(job: Job, reporter: Reporter, { core, env }: Runner): Promise<boolean> {
  const { inputs, workflow, decrypted, problems, warnings, state, relay } = job
  const { runId, kind } = state
  if (decrypted.length > 0) state.decrypted = decrypted
  if (problems.length > 0) state.problems = problems
  if (inputs.matrix && inputs.report === 'job') {
    core.warning(
      'This job is a leg of a matrix, and the first leg to end ends the Port run: set report: workflow, or ' +
        `report: updates here and this action with report: job and needs in a last job.${help(env, 'matrix')}`,
    )
  }
  const save = (left: State | null) =>
    saveState(core, left && { ...left, portToken: reporter.token() ?? undefined })
  /** Leaves to post what it may still do. */
  const leave = (error: unknown): boolean => {
    const again = 'The post step of this job retries.'
    const outlook = reportFailure(error, { core, env }, { ...inputs, again })
    save(outlook === 'settled' ? null : { ...state, ...(outlook !== 'later' && { outlook }) })
    return outlook === 'later'
  }

  saveState(core, state)

  try {
    const run = kind === 'node_run' && !relay ? null : await reporter.read()
    if (relay) state.relay = relay.access()
    if (!isOurs(runId, run, inputs, workflow, { core, env })) {
      saveState(core, null)
      return false
    }
    state.checked = true
  } catch (error) {
    leave(error)
    return false
  }

  const leg = inputs.matrix ? `, job ${jobName(workflow.job, inputs.matrix)}` : ''
  const [updated, logged] = await Promise.allSettled([
    reporter.update({
      statusLabel: labelOf(inputs),
      link: [workflow.url],
      externalRunId: workflow.runId,
    }),
    reporter.log([
      { level: 'INFO', message: `Workflow run started${leg}: ${workflow.url}` },
      ...warnings.map(message => ({ level: 'WARN' as const, message })),
      ...problems.map(message => ({ level: 'ERROR' as const, message })),
    ]),
  ])
  state.linked = updated.status === 'fulfilled'
  if (problems.length > 0) state.explained = logged.status === 'fulfilled'
  const failed = [updated, logged].find(result => result.status === 'rejected')
  if (failed) return leave(failed.reason)
  save(state)
  return true
}

/** Until a step runs, or as long as the job does. */
const labelOf = ({ statusLabel }: Inputs) => statusLabel || 'Running'

function follow(
  { inputs, workflow, secrets, state, relay }: Job,
  token: Token | null,
  script: string,
  { core, env }: Runner,
): void {
  const { portApiUrl, portClientId, portClientSecret, githubToken, checkRunId, statusLabel } = inputs
  const access = relay?.access() ?? null
  const job: FollowedJob = {
    runId: state.runId,
    kind: state.kind,
    credentials: { portApiUrl, portClientId, portClientSecret },
    portToken: token,
    relay: access,
    secrets: [...secrets, ...jobCredentials(inputs, env, access?.token ?? token?.value)],
    workflow,
    statusLabel: labelOf(inputs),
    files: state.files,
    github: statusLabel === '' && githubToken !== '' ? { token: githubToken, checkRunId } : null,
    worker: findWorker(workflow.tempFolder),
  }
  try {
    startProgress(job, script, env)
  } catch (error) {
    core.info(`Steps and log lines are sent only at the end of the job: ${(error as Error).message}`)
  }
}

/** Reports the reason where it is not. */
function isOurs(
  runId: string,
  run: RunState | null,
  inputs: Inputs,
  workflow: Workflow,
  runner: Pick<Runner, 'core' | 'env'>,
): boolean {
  if (!run) return true
  const judged = checkRun(runId, run, workflow.runId)
  if (judged.verdict === 'silent') runner.core.notice(judged.message)
  if (judged.verdict === 'duplicate') reportDuplicate(judged.message, inputs, runner)
  return judged.verdict === 'ours'
}
