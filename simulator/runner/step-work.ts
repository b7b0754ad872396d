import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { runInJob, stepEnv } from './child.ts'
import { type Contexts, evaluateText, evaluateTexts } from './evaluate.ts'
import type { JobState, Scope } from './job-state.ts'
import type { Action } from './read-action.ts'
import type { WorkflowStep } from './read-workflow.ts'
import type { Work } from './step.ts'
import { logHeader, type StepLog } from './step-log.ts'
import { refuse } from './template.ts'
import type { SimulatedStep } from './types.ts'

/** The contexts that GitHub allows in an input's default. */
const defaultContexts = ['github', 'strategy', 'matrix', 'job', 'runner']

/**
 * Evaluates an action's inputs: `with:` first, then the defaults in its `action.yml`.
 *
 * As the runner does, logs a warning about inputs that the action doesn't declare, and about deprecated inputs.
 */
export function actionInputs(
  action: Action,
  step: WorkflowStep,
  contexts: Contexts,
  log: StepLog | null,
): Record<string, string> {
  const given = evaluateTexts(step.with, contexts)
  const names = new Map(Object.keys(given).map(name => [name.toLowerCase(), name]))
  const narrow = Object.fromEntries(defaultContexts.map(name => [name, contexts[name]]))
  const inputs: Record<string, string> = {}
  for (const [name, input] of Object.entries(action.inputs)) {
    const authored = names.get(name.toLowerCase())
    inputs[name] = authored === undefined ? evaluateText(input.default, narrow) : given[authored]!
    if (authored !== undefined && input.deprecation !== null) {
      log?.annotate('warning', `Input '${name}' has been deprecated with message: ${input.deprecation}`)
    }
    names.delete(name.toLowerCase())
  }
  for (const name of names.values()) inputs[name] = given[name]!
  if (names.size > 0) {
    const valid = Object.keys(action.inputs).map(name => `'${name}'`)
    const unknown = [...names.values()].map(name => `'${name}'`)
    log?.annotate(
      'warning',
      `Unexpected input(s) ${unknown.join(', ')}, valid inputs are [${valid.join(', ')}]`,
    )
  }
  return inputs
}

/**
 * Runs a JavaScript action's `pre`, `main`, or `post` in a separate process.
 *
 * Inputs are evaluated again each time. `states`: the records whose `GITHUB_STATE` the process can read.
 */
export function nodeWork(
  state: JobState,
  step: WorkflowStep,
  action: Action,
  entry: string,
  states: SimulatedStep[],
): Work {
  return async ({ env, contexts, files, log, record, stop, onLine }) => {
    const inputs = actionInputs(action, step, contexts, record.kind === 'main' ? log : null)
    if (record.kind === 'post') log.write('Post job cleanup.')
    else logHeader(log, `Run ${step.uses}`, inputs, env)
    const { repository: self, workflow_sha: sha } = state.run.github
    const source = step.uses!.replace(/^\$\/.*/, `${self}@${sha}`)
    const [repository, ref] = source.startsWith('./') ? ['', ''] : source.split('@')
    const own: Record<string, string> = {
      ...files,
      GITHUB_ACTION: step.id,
      GITHUB_ACTION_PATH: action.directory,
      GITHUB_ACTION_REPOSITORY: repository!,
      GITHUB_ACTION_REF: ref!,
    }
    for (const [name, value] of Object.entries(inputs))
      own[`INPUT_${name.replaceAll(' ', '_').toUpperCase()}`] = value
    for (const { state: saved } of states) {
      for (const [name, value] of Object.entries(saved)) own[`STATE_${name}`] = value
    }
    const script = sourcesOf(action, entry) ?? join(action.directory, entry)
    const end = await runInJob(state, {
      command: process.execPath,
      args: [script],
      cwd: state.workspace,
      env: stepEnv(state, env, own),
      onLine,
      stop,
    })
    record.stdout = end.stdout
    record.stderr = end.stderr
    return end.exitCode
  }
}

/** Returns a script that runs this action's sources instead of its bundle. Null unless coverage is measured. */
function sourcesOf({ directory }: Action, entry: string): string | null {
  if (!process.env.NODE_V8_COVERAGE) return null
  const script = join(directory, entry.replace(/^action\/dist\//, 'test/action-sources/'))
  return existsSync(script) ? script : null
}

/** The commands by `shell:`. Without `shell:`, bash stops at the first error, except inside a pipe. */
const shells: Record<string, [command: string, ...args: string[]]> = {
  '': ['bash', '-e'],
  bash: ['bash', '--noprofile', '--norc', '-eo', 'pipefail'],
  sh: ['sh', '-e'],
}

/** Runs a `run:` step. Writes its script to a file first, as the runner does. */
export function scriptWork(state: JobState, scope: Scope, step: WorkflowStep): Work {
  return async ({ env, contexts, files, log, record, stop, onLine }) => {
    const shell = evaluateText(step.shell ?? state.job.shell, contexts)
    const [command, ...args] = shells[shell] ?? refuse(`the shell "${shell}" of "${record.name}"`)
    const script = evaluateText(step.run, contexts)
    const file = join(state.temp, `${randomUUID()}.sh`)
    await writeFile(file, script)
    const folder = evaluateText(step.workingDirectory ?? state.job.workingDirectory, contexts)
    logHeader(log, `Run ${script.trim().split('\n')[0]}`, { '': script.trimEnd() }, env)
    const own = {
      ...files,
      GITHUB_ACTION: step.id,
      ...(scope.actionPath && { GITHUB_ACTION_PATH: scope.actionPath }),
    }
    const end = await runInJob(state, {
      command,
      args: [...args, file],
      cwd: resolve(state.workspace, folder),
      env: stepEnv(state, env, own),
      onLine,
      stop,
    })
    record.stdout = end.stdout
    record.stderr = end.stderr
    if (end.exitCode !== 0 && !stop.aborted)
      log.annotate('error', `Process completed with exit code ${end.exitCode}.`)
    return end.exitCode
  }
}
