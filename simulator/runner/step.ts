import { randomUUID } from 'node:crypto'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { scopeEnv } from './child.ts'
import { type Contexts, EvaluationError, evaluate, evaluateCondition, evaluateTexts } from './evaluate.ts'
import { type JobState, type Scope, scopeStatus, stepContexts } from './job-state.ts'
import type { WorkflowStep } from './read-workflow.ts'
import { completeRecord, startRecord, stepName } from './records.ts'
import { createStepLog, type StepLog } from './step-log.ts'
import type { SimulatedStep, StepResult } from './types.ts'

/** A step's work. @returns the exit code */
export type Work = (attempt: Attempt) => Promise<number | null>

type Attempt = {
  /** The author's variables: workflow, job, `GITHUB_ENV`, step. */
  env: Record<string, string>
  contexts: Contexts
  record: SimulatedStep
  log: StepLog
  /** The paths of the step's own `GITHUB_OUTPUT`, `GITHUB_ENV`, … */
  files: Record<string, string>
  stop: AbortSignal
  onLine: (line: string) => void
}

type Plan = {
  step: WorkflowStep
  record: SimulatedStep
  condition: WorkflowStep['if'] | string
  work: Work
  /** Aborted if another step cancels this step. */
  cancel?: AbortSignal
}

/** Runs one step, and makes its results available to later steps. */
export async function playStep(state: JobState, scope: Scope, plan: Plan): Promise<void> {
  const share = await startStep(state, scope, plan)
  share()
}

/**
 * Runs one step: condition, process, files for the runner, outcome, and conclusion.
 *
 * When the run is canceled, the step is stopped unless its condition is still true, as in the runner.
 *
 * @returns a function that makes the step's results available to later steps
 */
export async function startStep(state: JobState, scope: Scope, plan: Plan): Promise<() => void> {
  const { step, record, condition } = plan
  if (state.ended.aborted || scope.stop?.aborted) return () => {}
  const log = createStepLog(record, state.masker, state.run.options.onLeftOut)
  const notify = () => {
    state.run.publish()
    state.run.options.onStep?.({ job: state.simulated, step: record })
  }
  startRecord(record)
  let outcome: StepResult
  let goesOn = false
  try {
    const before = stepContexts(state, scope, scopeEnv(state, scope))
    const env = { ...scopeEnv(state, scope), ...evaluateTexts(step.env, before) }
    const contexts = stepContexts(state, scope, env)
    if (record.kind !== 'post' && record.kind !== 'pre') record.name = stepName(step, contexts)
    const holds = () =>
      evaluateCondition(condition, stepContexts(state, scope, env), scopeStatus(state, scope))
    notify()
    outcome = holds() ? await attempt(state, scope, plan, { env, contexts, record, log }, holds) : 'skipped'
    if (outcome === 'failure')
      goesOn = evaluate(step.continueOnError, stepContexts(state, scope, env)) === true
  } catch (error) {
    if (!(error instanceof EvaluationError)) throw error
    log.annotate('error', error.message)
    outcome = 'failure'
  }
  const conclusion = goesOn ? 'success' : outcome
  completeRecord(record, outcome, conclusion)
  notify()
  return () => {
    Object.assign(state.addedEnv, record.env)
    state.addedPath.push(...record.path)
    if (conclusion === 'failure') scope.failed = true
    if (step.named && record.kind !== 'post' && record.kind !== 'pre') {
      scope.steps[step.id] = { outputs: record.outputs, outcome, conclusion }
    }
  }
}

async function attempt(
  state: JobState,
  scope: Scope,
  { step, work, cancel }: Plan,
  given: Pick<Attempt, 'env' | 'contexts' | 'record' | 'log'>,
  holds: () => boolean,
): Promise<StepResult> {
  const { record, log, contexts } = given
  const stop = new AbortController()
  const stopBecauseCancelled = () => {
    if (!holds()) stop.abort('cancelled')
  }
  const stopBecauseAround = () => stop.abort('timeout')
  const stopBecauseOther = () => stop.abort('cancelled')
  const minutes = step.timeoutMinutes === null ? null : Number(evaluate(step.timeoutMinutes, contexts))
  const timeout = minutes === null ? undefined : setTimeout(() => stop.abort('timeout'), minutes * 60_000)
  const cancelHere = state.run.options.cancelAt === record.name
  state.cancelled.addEventListener('abort', stopBecauseCancelled, { once: true })
  scope.stop?.addEventListener('abort', stopBecauseAround, { once: true })
  cancel?.addEventListener('abort', stopBecauseOther, { once: true })
  try {
    const files = await createFileCommands(state.temp)
    const onLine = (line: string) => {
      log.line(line)
      if (cancelHere) state.run.cancelled.abort()
    }
    record.exitCode = await work({ ...given, files: files.env, stop: stop.signal, onLine })
    const composite = record.kind === 'composite' ? record.outputs : {}
    const { problems, warnings } = await files.collect(record)
    Object.assign(record.outputs, composite)
    for (const warning of warnings) log.annotate('error', warning)
    for (const problem of problems) log.annotate('error', problem)
    if (state.ended.aborted || stop.signal.reason === 'cancelled') {
      log.annotate('error', 'The operation was canceled.')
      return 'cancelled'
    }
    if (stop.signal.aborted) {
      log.annotate('error', `The action '${record.name}' has timed out after ${minutes} minutes.`)
      return 'failure'
    }
    return record.exitCode === 0 && problems.length === 0 ? 'success' : 'failure'
  } finally {
    clearTimeout(timeout)
    state.cancelled.removeEventListener('abort', stopBecauseCancelled)
    scope.stop?.removeEventListener('abort', stopBecauseAround)
  }
}

const files = { GITHUB_ENV: 'set_env', GITHUB_OUTPUT: 'set_output', GITHUB_PATH: 'add_path' } as const
const more = { GITHUB_STATE: 'save_state', GITHUB_STEP_SUMMARY: 'step_summary' } as const
const summaryLimit = 1024 * 1024

/**
 * Creates the files in which a step writes commands for the runner, one of each kind per step.
 *
 * `collect` reads the files into the step's record, removes them, and returns the runner's messages about invalid
 * content. Each message fails the step, except for the message about a summary that is too long.
 */
async function createFileCommands(temp: string) {
  const directory = join(temp, '_runner_file_commands')
  await mkdir(directory, { recursive: true })
  const id = randomUUID()
  const paths = Object.entries({ ...files, ...more }).map(([name, file]) => [
    name,
    join(directory, `${file}_${id}`),
  ])
  const env: Record<string, string> = Object.fromEntries(paths)
  await Promise.all(Object.values(env).map(path => writeFile(path, '')))

  const collect = async (step: SimulatedStep) => {
    const problems: string[] = []
    const warnings: string[] = []
    const read = async (name: string) => await readFile(env[name]!, 'utf8').catch(() => '')
    const values = async (name: string) => {
      try {
        return readEnvFile(await read(name))
      } catch (error) {
        const command = name.replace('GITHUB_', '').toLowerCase()
        problems.push(`Unable to process file command '${command}' successfully.`, (error as Error).message)
        return {}
      }
    }
    step.env = await values('GITHUB_ENV')
    if ('NODE_OPTIONS' in step.env) {
      delete step.env.NODE_OPTIONS
      problems.push("Can't store NODE_OPTIONS output parameter using '$GITHUB_ENV' command.")
    }
    step.outputs = await values('GITHUB_OUTPUT')
    step.state = await values('GITHUB_STATE')
    step.path = (await read('GITHUB_PATH')).split(/\r?\n/).filter(line => line !== '')
    step.summary = await read('GITHUB_STEP_SUMMARY')
    const size = Buffer.byteLength(step.summary)
    if (size > summaryLimit) {
      step.summary = ''
      warnings.push(
        `$GITHUB_STEP_SUMMARY upload aborted, supports content up to a size of 1024k, got ${Math.floor(size / 1024)}k.`,
      )
    }
    await Promise.all(Object.values(env).map(path => rm(path, { force: true })))
    return { problems, warnings }
  }
  return { env, collect }
}

/**
 * Reads a file that a step wrote for the runner (`GITHUB_ENV`, `GITHUB_OUTPUT`, `GITHUB_STATE`):
 * `name=value` lines and `name<<DELIMITER` blocks. Throws the runner's messages.
 * A line ends with LF. On Windows, a line can also end with CR LF; on other systems, a CR belongs to the value.
 * Source: FileCommandManager.cs of actions/runner.
 */
function readEnvFile(content: string): Record<string, string> {
  const values: Record<string, string> = {}
  const lines = content.split(process.platform === 'win32' ? /\r?\n/ : '\n')
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index]!
    if (line === '') continue
    const equals = line.indexOf('=')
    const heredoc = line.indexOf('<<')
    if (equals >= 0 && (heredoc < 0 || equals < heredoc)) {
      if (equals === 0) throw new Error(`Invalid format '${line}'. Name must not be empty`)
      values[line.slice(0, equals)] = line.slice(equals + 1)
    } else if (heredoc >= 0) {
      const name = line.slice(0, heredoc)
      const delimiter = line.slice(heredoc + 2)
      if (name === '' || delimiter === '') {
        throw new Error(`Invalid format '${line}'. Name must not be empty and delimiter must not be empty`)
      }
      const end = lines.indexOf(delimiter, index + 1)
      if (end < 0) throw new Error(`Invalid value. Matching delimiter not found '${delimiter}'`)
      values[name] = lines.slice(index + 1, end).join('\n')
      index = end
    } else {
      throw new Error(`Invalid format '${line}'`)
    }
  }
  return values
}
