import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Token } from '../port/client/client.ts'
import { type ClientPayload, shrinkClientPayload } from '../port/payload.ts'
import { type CompleteInputs, completeInputs } from './complete-inputs.ts'
import { EMPTY_OUTPUTS, makeOutputs } from './outputs.ts'
import { checkRun } from './ownership.ts'
import { type FollowedJob, findWorker, startProgress } from './progress/process.ts'
import { createReporter, OIDC, whyNoReport } from './reporter/direct.ts'
import { createRelayReporter, type RelayReporter } from './reporter/relay.ts'
import type { Reporter } from './reporter/reporter.ts'
import { allOutputs, outputOf, reportDuplicate, reportFailure, reportSecondUse } from './reporter/reporter.ts'
import { claimReport, type JobFiles, jobFiles } from './runner/files.ts'
import { type Inputs, readInputs } from './runner/inputs.ts'
import { findRelay, readPayload } from './runner/payload.ts'
import type { Runner, State, Workflow } from './runner/runner.ts'
import { help, isExplained, quote, readWorkflow, saveState } from './runner/runner.ts'
import { createMasks, jobCredentials, mask, type Redact } from './secrets/redact.ts'

/** How long the main step waits for Port, in milliseconds. If this isn't enough, the post step retries. */
const BUDGET_MS = 10_000
/** The maximum size of the payload in main's state. On Windows, an environment variable has at most 32,767 characters. */
const MOST_SAVED_BYTES = process.platform === 'win32' ? 24_000 : 64_000

interface Job {
  inputs: Inputs
  workflow: Workflow
  /** The values of secret inputs. A value that no key decrypts is included, because it may be plaintext. */
  secrets: string[]
  decrypted: string[]
  problems: string[]
  warnings: string[]
  state: State
  relay: RelayReporter | null
  redact: Redact
}

/** Runs as the action's `main`: sets outputs from the payload, and shows the Port run as started. Never throws; an error fails the step. */
export async function start(runner: Runner, script: string): Promise<void> {
  const { core, env } = runner
  try {
    const inputs = readInputs(core.getInput, env)
    mask(runner, [inputs.portClientSecret, inputs.privateKey])
    const workflow = readWorkflow(env)
    const sent = readPayload(inputs.payload, workflow, env)
    if (sent === null) return startedByHand(workflow, runner)

    const reporting = openReporting(sent, inputs, workflow, runner)
    const { relay, reporter, state, masks } = reporting
    // The state is saved early, so that post also reports a job that is canceled while main waits for Port or the relay.
    if (state) saveState(core, state)

    const readRun = inputs.portClientSecret === '' ? null : reporter.read
    if (sent.port.traceparent) core.exportVariable('TRACEPARENT', sent.port.traceparent)
    const complete = await completeInputs(sent, inputs, { relay, readRun }, env)
    const { decrypted, payload, problems } = complete
    mask(runner, decrypted.masks)
    masks.add([...decrypted.masks, ...jobCredentials(inputs, env)])
    const judged = complete.duplicate && checkRun(sent.run_id, complete.duplicate, workflow.runId)
    const duplicate = judged?.verdict === 'duplicate' ? judged.message : null
    const warnings = setOutputs(complete, relay !== null, duplicate !== null, runner)

    if (duplicate !== null) {
      if (state) saveState(core, null)
      const lacks = { encrypted: decrypted.encrypted, truncated: payload.port.truncated }
      return reportDuplicate(duplicate, inputs, runner, lacks)
    }
    if (!state) return explainSilence(reporting, sent, inputs, runner)
    const job: Job = {
      ...{ inputs, workflow, problems, warnings, state, relay, redact: masks.redact },
      ...{ secrets: decrypted.masks, decrypted: [...decrypted.secrets.keys()] },
    }
    if ((await reportStart(job, reporter, runner)) && inputs.live)
      follow(job, reporter.token(), script, runner)
  } catch (error) {
    const { message } = error as Error
    core.setFailed(
      isExplained(message) ? message : `The action couldn't start: ${message}${help(env, 'runner')}`,
    )
  }
}

function startedByHand(workflow: Workflow, { core }: Runner): void {
  core.notice(
    'The input "port" is empty: a user started this workflow on GitHub, so nothing is reported to Port.',
  )
  openFiles(workflow, 'none', core)
  for (const [name, value] of Object.entries(EMPTY_OUTPUTS)) core.setOutput(name, value)
}

function openFiles(workflow: Workflow, delivery: string, core: Runner['core']): JobFiles {
  const files = jobFiles(workflow.tempFolder, delivery)
  mkdirSync(dirname(files.log), { recursive: true })
  for (const [kind, path] of Object.entries(files)) {
    writeFileSync(path, '', { flag: 'a' })
    core.exportVariable(`PORT_${kind.toUpperCase()}`, path)
  }
  return files
}

function openReporting(payload: ClientPayload, inputs: Inputs, workflow: Workflow, runner: Runner) {
  const { core, env, clock } = runner
  const found = findRelay(payload, inputs, env)
  const access = inputs.portClientSecret === '' ? found : null
  const relay = access && createRelayReporter(access, runner, { budgetMs: BUDGET_MS })
  const masks = createMasks()
  const options = { budgetMs: BUDGET_MS, relay, redact: masks.redact }
  const reporter = createReporter(payload.run_id ?? '', inputs, runner, options)
  const files = openFiles(workflow, payload.port.delivery, core)
  const silence = whyNoReport(inputs, payload, relay)
  const earlier = silence ? null : claimReport(files.log, inputs.report)
  const state: State = {
    runId: payload.run_id!,
    kind: payload.port.kind === 'node_run' ? 'node_run' : 'action_run',
    startedAt: clock(),
    files,
    payload: shrinkClientPayload(
      { ...payload, port: { ...payload.port, entity: null, event: null, trigger: null } },
      MOST_SAVED_BYTES,
    ),
    ...{ checked: false, linked: false },
    ...(relay && { relay: { ...relay.access(), idToken: null } }),
  }
  return {
    ...{ relay, reporter, files, silence, earlier, masks },
    state: silence === null && earlier === null ? state : null,
  }
}

function setOutputs(
  { payload, decrypted, problems }: CompleteInputs,
  hasRelay: boolean,
  isDuplicate: boolean,
  { core, env }: Runner,
): string[] {
  const { values, warnings } = makeOutputs(payload, decrypted.inputs)
  for (const [name, value] of values) core.setOutput(name, value)
  for (const warning of warnings) core.warning(warning + help(env, 'outputs'))
  if (problems.length > 0) core.setFailed(problems.join('\n'))
  else if (decrypted.encrypted.length > 0 && !isDuplicate)
    core.warning(encryptedWarning(decrypted.encrypted, hasRelay) + help(env, 'secret-inputs'))
  return warnings
}

function explainSilence(
  { silence, earlier, files }: ReturnType<typeof openReporting>,
  payload: ClientPayload,
  inputs: Inputs,
  runner: Runner,
): void {
  const { core, env } = runner
  if (earlier !== null) return void reportSecondUse(earlier, inputs, runner)
  if (!silence) return
  const { level, message } = silence
  if (level === 'info') return void core.info(message)
  core[level](message + help(env, 'credentials'))
  const isResult = inputs.report === 'auto' || inputs.report === 'job'
  saveState(core, {
    unreported: true,
    files,
    decides: isResult && payload.port.reportWorkflowStatus !== false,
  })
}

const encryptedWarning = (names: string[], hasRelay: boolean) =>
  `The secret input${names.length === 1 ? '' : 's'} ${quote(names)} ` +
  `${names.length === 1 ? 'stays' : 'stay'} encrypted. ` +
  (hasRelay
    ? "The relay's secrets don't decrypt this value. If the Port action encrypts with client-side, set private-key."
    : `To have the relay decrypt secret inputs, ${OIDC}; or set port-client-secret, or private-key if the Port action encrypts with client-side.`)

/** @returns whether this job reports to the Port run, and therefore needs a progress reporter */
async function reportStart(job: Job, reporter: Reporter, { core, env }: Runner): Promise<boolean> {
  const { inputs, workflow, decrypted, problems, warnings, state, relay, redact } = job
  const { runId, kind } = state
  if (decrypted.length > 0) state.decrypted = decrypted
  if (problems.length > 0) state.problems = problems
  if (inputs.matrix && inputs.report === 'job') {
    core.warning(
      'This job is a matrix leg, and the first leg that finishes also finishes the Port run. Set report: workflow. Or ' +
        `set report: updates in this job, and add a last job with needs that uses this action with report: job.${help(env, 'matrix')}`,
    )
  }
  const save = (left: State | null) =>
    saveState(core, left && { ...left, portToken: reporter.token() ?? undefined })
  const leave = (error: unknown): boolean => {
    const again = 'The post step of this job retries.'
    const outlook = reportFailure(error, { core, env }, { ...inputs, again })
    save(outlook === 'settled' ? null : { ...state, ...(outlook !== 'later' && { outlook }) })
    return outlook === 'later'
  }

  saveState(core, state)

  let isAnnounced = false
  try {
    const run = kind === 'node_run' && !relay ? null : await reporter.read()
    if (relay) state.relay = relay.access()
    const judged = run && checkRun(runId, run, workflow.runId)
    if (judged && judged.verdict !== 'ours') {
      if (judged.verdict === 'silent') core.notice(judged.message)
      else reportDuplicate(judged.message, inputs, { core, env })
      saveState(core, null)
      return false
    }
    state.checked = true
    isAnnounced = run?.externalRunId === workflow.runId
  } catch (error) {
    leave(error)
    return false
  }

  const [updated, logged] = await Promise.allSettled([
    reporter.update({
      statusLabel: inputs.statusLabel || 'Running',
      link: [workflow.url],
      externalRunId: workflow.runId,
      ...outputOf(kind, allOutputs({}, inputs.needsOutputs, redact).outputs),
    }),
    reporter.log([
      // Another job or an earlier attempt of this workflow run may have sent this line.
      ...(isAnnounced ? [] : [{ level: 'INFO' as const, message: `Workflow run started: ${workflow.url}` }]),
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
    statusLabel: statusLabel || 'Running',
    needsOutputs: inputs.needsOutputs,
    files: state.files,
    github: statusLabel === '' && githubToken !== '' ? { token: githubToken, checkRunId } : null,
    worker: findWorker(workflow.tempFolder),
  }
  try {
    startProgress(job, script, env)
  } catch (error) {
    core.info(
      `The action sends steps and log lines to Port only when the job finishes: ${(error as Error).message}`,
    )
  }
}
