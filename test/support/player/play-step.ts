import { type Contexts, EvaluationError, evaluate, evaluateCondition, evaluateTexts } from './evaluate.ts'
import { createFileCommands } from './file-commands.ts'
import { type JobState, type Scope, scopeStatus, stepContexts } from './job-state.ts'
import type { WorkflowStep } from './read-workflow.ts'
import { scopeEnv } from './step-env.ts'
import { createStepLog, type StepLog } from './step-log.ts'
import { completeRecord, startRecord, stepName } from './step-record.ts'
import type { PlayedStep, StepResult } from './types.ts'

/** What a step does once it may run; its answer is the exit code. */
export type Work = (attempt: Attempt) => Promise<number | null>

type Attempt = {
  /** The author's variables: workflow, job, `GITHUB_ENV`, step. */
  env: Record<string, string>
  contexts: Contexts
  record: PlayedStep
  log: StepLog
  /** The paths of the step's own `GITHUB_OUTPUT`, `GITHUB_ENV`, … */
  files: Record<string, string>
  stop: AbortSignal
  onLine: (line: string) => void
}

/**
 * Plays one step: condition, process, files for the runner, outcome and conclusion.
 *
 * A cancel ends it only when its condition no longer holds, as the runner does.
 */
export async function playStep(
  state: JobState,
  scope: Scope,
  plan: { step: WorkflowStep; record: PlayedStep; condition: WorkflowStep['if'] | string; work: Work },
): Promise<void> {
  const { step, record, condition } = plan
  if (state.ended.aborted || scope.stop?.aborted) return
  const log = createStepLog(record, state.masker, state.run.options.onLeftOut)
  const notify = () => {
    state.run.publish()
    state.run.options.onStep?.({ job: state.played, step: record })
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
  if (conclusion === 'failure') scope.failed = true
  if (step.named && record.kind !== 'post' && record.kind !== 'pre') {
    scope.steps[step.id] = { outputs: record.outputs, outcome, conclusion }
  }
  notify()
}

async function attempt(
  state: JobState,
  scope: Scope,
  { step, work }: { step: WorkflowStep; work: Work },
  given: Pick<Attempt, 'env' | 'contexts' | 'record' | 'log'>,
  holds: () => boolean,
): Promise<StepResult> {
  const { record, log, contexts } = given
  const stop = new AbortController()
  const stopBecauseCancelled = () => {
    if (!holds()) stop.abort('cancelled')
  }
  const stopBecauseAround = () => stop.abort('timeout')
  const minutes = step.timeoutMinutes === null ? null : Number(evaluate(step.timeoutMinutes, contexts))
  const timeout = minutes === null ? undefined : setTimeout(() => stop.abort('timeout'), minutes * 60_000)
  const cancelHere = state.run.options.cancelAt === record.name
  state.cancelled.addEventListener('abort', stopBecauseCancelled, { once: true })
  scope.stop?.addEventListener('abort', stopBecauseAround, { once: true })
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
    Object.assign(state.addedEnv, record.env)
    state.addedPath.push(...record.path)
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
