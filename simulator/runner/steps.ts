import { existsSync } from 'node:fs'
import { join, matchesGlob, resolve } from 'node:path'
import { type Contexts, evaluateTexts } from './evaluate.ts'
import { type JobState, type RunState, type Scope, stepContexts } from './job-state.ts'
import { type Action, readAction } from './read-action.ts'
import { isLocal, type WorkflowStep } from './read-workflow.ts'
import { createStepRecord, stepName } from './records.ts'
import { playStep, startStep, type Work } from './step.ts'
import { actionInputs, nodeWork, scriptWork } from './step-work.ts'
import { refuse } from './template.ts'
import type { SimulatedStep } from './types.ts'

export type Prepared = {
  step: WorkflowStep
  action: Action | null
  record: SimulatedStep
  pre: SimulatedStep | null
}

/** Reads the actions of all steps, and creates the steps' records, before any step runs. */
export async function prepareSteps(
  state: JobState,
  steps: WorkflowStep[],
  contexts: Contexts,
): Promise<Prepared[]> {
  const prepared: Prepared[] = []
  for (const step of steps) {
    const action = step.uses === null ? null : await findAction(state.run, step.uses)
    const kind = action === null ? 'run' : action.runs.using === 'composite' ? 'composite' : 'main'
    const name = stepName(step, contexts)
    // The runner doesn't run the pre step of an action in the workspace.
    const hasPre = action?.runs.using === 'node24' && action.runs.pre !== null && !step.uses!.startsWith('./')
    const pre = hasPre ? createStepRecord('pre', `Pre ${name}`, null) : null
    prepared.push({ step, action, record: createStepRecord(kind, name, step.named ? step.id : null), pre })
  }
  return prepared
}

/** Runs the `pre` steps, then the steps, in order, and waits for steps in the background. */
export async function simulateSteps(state: JobState, scope: Scope, prepared: Prepared[]): Promise<void> {
  for (const { step, action, record, pre } of prepared) {
    if (pre === null || action?.runs.using !== 'node24') continue
    const work = nodeWork(state, step, action, action.runs.pre!, [])
    await playStep(state, scope, { step, record: pre, condition: action.runs.preIf, work })
    if (pre.outcome !== 'skipped') registerPost(state, scope, step, action, [pre, record])
  }
  const background: Background = new Map()
  for (const { step, action, record, pre } of prepared) {
    const { control } = step
    const work = control
      ? controlWork(control, background)
      : mainWork(state, scope, step, action, record, pre)
    const plan = { step, record, condition: control ? 'always()' : step.if, work }
    if (step.background) {
      const cancel = new AbortController()
      const done = startStep(state, scope, { ...plan, cancel: cancel.signal })
      // The step that waits for this step gets the error.
      done.catch(() => {})
      background.set(step, { record, cancel, done })
    } else await playStep(state, scope, plan)
  }
  await finishSteps(background, null)
}

/** The steps in the background that no step has waited for. */
type Background = Map<
  WorkflowStep,
  { record: SimulatedStep; cancel: AbortController; done: Promise<() => void> }
>

/** @returns the records of the steps, whose results are then available to later steps */
async function finishSteps(background: Background, steps: WorkflowStep[] | null): Promise<SimulatedStep[]> {
  const records: SimulatedStep[] = []
  for (const step of steps ?? [...background.keys()]) {
    const running = background.get(step)
    if (!running) continue
    background.delete(step)
    const share = await running.done
    share()
    records.push(running.record)
  }
  return records
}

/**
 * Waits for steps in the background, or cancels them. Fails if one of them fails without being canceled. Source:
 * BackgroundStepCoordinator.cs of actions/runner.
 */
function controlWork({ kind, steps }: NonNullable<WorkflowStep['control']>, background: Background): Work {
  return async ({ onLine }) => {
    if (kind === 'cancel') for (const step of steps ?? []) background.get(step)?.cancel.abort()
    const records = await finishSteps(background, steps)
    for (const { name, conclusion } of records) onLine(`  ${name}: ${conclusion}`)
    return kind === 'wait' && records.some(({ conclusion }) => conclusion === 'failure') ? 1 : 0
  }
}

function mainWork(
  state: JobState,
  scope: Scope,
  step: WorkflowStep,
  action: Action | null,
  record: SimulatedStep,
  pre: SimulatedStep | null,
): Work {
  if (action === null) return scriptWork(state, scope, step)
  if (action.runs.using === 'composite') return compositeWork(state, scope, step, action)
  const states = pre === null ? [] : [pre]
  const work = nodeWork(state, step, action, action.runs.main, states)
  return attempt => {
    registerPost(state, scope, step, action, [...states, record])
    return work(attempt)
  }
}

/** Registers a step's post step. The first action's post step runs last. */
function registerPost(
  state: JobState,
  scope: Scope,
  step: WorkflowStep,
  action: Action,
  states: SimulatedStep[],
): void {
  if (action.runs.using !== 'node24' || action.runs.post === null) return
  const { post, postIf } = action.runs
  addPost(state, scope, step, states.at(-1)!.name, postIf, nodeWork(state, step, action, post, states))
}

function addPost(
  state: JobState,
  scope: Scope,
  step: WorkflowStep,
  name: string,
  condition: string,
  work: Work,
): void {
  if (scope.posts.some(post => post.step === step)) return
  const record = createStepRecord('post', `Post ${name}`)
  scope.posts.push({
    step,
    record,
    simulate: () => playStep(state, scope, { step, record, condition, work }),
  })
  scope.registerAround?.()
  state.run.publish()
}

function compositeWork(state: JobState, scope: Scope, step: WorkflowStep, action: Action): Work {
  return async ({ env, contexts, log, record, stop }) => {
    if (action.runs.using !== 'composite') return 0
    const inside: Scope = {
      steps: {},
      inputs: actionInputs(action, step, contexts, log),
      secrets: null,
      actionPath: action.directory,
      env,
      failed: false,
      simulated: record.steps,
      stop,
      posts: [],
      registerAround: () => addPost(state, scope, step, record.name, 'always()', compositeCleanup(inside)),
    }
    const prepared = await prepareSteps(state, action.runs.steps, stepContexts(state, inside, env))
    record.steps.push(...prepared.map(one => one.record))
    await simulateSteps(state, inside, prepared)
    gather(record)
    record.outputs = evaluateTexts(action.runs.outputs, stepContexts(state, inside, env))
    return inside.failed ? 1 : 0
  }
}

/**
 * A composite action's post steps appear as a single step of the job, named after the composite action.
 * Source: RegisterPostJobStep of ExecutionContext.cs and ActionRunner.cs of actions/runner.
 */
function compositeCleanup(inside: Scope): Work {
  return async ({ record, stop }) => {
    inside.stop = stop
    for (const post of inside.posts.toReversed()) {
      record.steps.push(post.record)
      await post.simulate()
    }
    gather(record)
    return record.steps.some(({ conclusion }) => conclusion === 'failure') ? 1 : 0
  }
}

/** Combines the output of a composite step's inner steps. */
function gather(record: SimulatedStep): void {
  for (const nested of record.steps) {
    record.log += nested.log
    record.stdout += nested.stdout
    record.stderr += nested.stderr
  }
}

/** Finds the action for `uses:`: a folder of the repository, this action (any owner), or an entry of `actions`. */
async function findAction(run: RunState, uses: string): Promise<Action> {
  const aliases = { ...run.options.actions, '*/port-webhook-action@*': './' }
  const alias = Object.entries(aliases).find(([pattern]) => pattern === uses || matchesGlob(uses, pattern))
  const directory = alias?.[1] ?? uses.slice(2)
  if (!alias && !isLocal(uses)) refuse(`the action "${uses}": name its directory in the option "actions"`)
  const path = resolve(run.repositoryRoot, directory)
  if (!existsSync(join(path, 'action.yml')))
    throw new Error(`There is no action.yml in ${path} ("uses: ${uses}").`)
  return await readAction(path)
}
