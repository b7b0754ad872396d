import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import {
  type Contexts,
  EvaluationError,
  evaluate,
  evaluateCondition,
  evaluateText,
  evaluateTexts,
  type Status,
} from './evaluate.ts'
import { playJob } from './job.ts'
import type { RunState } from './job-state.ts'
import { isLocal, readWorkflow, type Workflow, type WorkflowJob } from './read-workflow.ts'
import { failJob, newJob } from './records.ts'
import { Expression, refuse, type Template } from './template.ts'
import type { StepResult } from './types.ts'

export type JobResult = { result: StepResult; outputs: Record<string, string> }

type Call = {
  workflow: Workflow
  /** The path of the workflow file in its repository. */
  file: string
  /** github, vars, inputs, secrets. */
  contexts: Contexts & { secrets: Record<string, string> }
  /** The prefix of the jobs' names: "caller / " inside a reusable workflow. */
  prefix: string
}

/** Runs a workflow's jobs, each as soon as the jobs that it needs are complete. Matrix legs run concurrently. */
export async function playJobs(run: RunState, call: Call): Promise<Record<string, JobResult>> {
  const { workflow } = call
  const results: Record<string, JobResult> = {}
  const pending = new Map<string, Promise<void>>()
  const simulate = (job: WorkflowJob): Promise<void> => {
    const started = pending.get(job.id)
    if (started) return started
    const promise = (async () => {
      await Promise.all(job.needs.map(id => simulate(workflow.jobs.find(other => other.id === id)!)))
      results[job.id] = await playOrFail(run, call, job, results)
    })()
    pending.set(job.id, promise)
    return promise
  }
  const ends = await Promise.allSettled(
    workflow.jobs.map(job =>
      simulate(job).catch(error => {
        run.cancelled.abort()
        throw error
      }),
    ),
  )
  for (const end of ends) if (end.status === 'rejected') throw end.reason
  return results
}

/** Runs a job. Fails the job, as GitHub does, if its own expressions can't be evaluated. */
async function playOrFail(
  run: RunState,
  call: Call,
  job: WorkflowJob,
  results: Record<string, JobResult>,
): Promise<JobResult> {
  try {
    return await playOne(run, call, job, results)
  } catch (error) {
    if (!(error instanceof EvaluationError)) throw error
    const begun = run.jobs.find(each => each.id === job.id && each.status !== 'completed')
    const simulated = begun ?? newJob(run, job, call.prefix + job.id, null, 'failure')
    if (!begun) run.jobs.push(simulated)
    failJob(simulated, error.message, Object.values(call.contexts.secrets))
    run.publish()
    return { result: 'failure', outputs: {} }
  }
}

async function playOne(
  run: RunState,
  call: Call,
  job: WorkflowJob,
  results: Record<string, JobResult>,
): Promise<JobResult> {
  const needs = Object.fromEntries(job.needs.map(id => [id, results[id]!]))
  const contexts = { ...call.contexts, needs }
  const ancestors = [...ancestorsOf(call.workflow, job)].map(id => results[id]!.result)
  const holds = () => evaluateCondition(job.if, contexts, jobConditionStatus(run, ancestors))
  if (!holds()) {
    const conclusion = run.cancelled.signal.aborted ? 'cancelled' : 'skipped'
    run.jobs.push(newJob(run, job, call.prefix + displayName(job, contexts, null), null, conclusion))
    run.publish()
    return { result: conclusion, outputs: {} }
  }
  // A job isn't canceled with the run if its condition, such as `if: always()`, is still true.
  const cancelled = new AbortController()
  const cancel = () => {
    if (!holds()) cancelled.abort()
  }
  run.cancelled.signal.addEventListener('abort', cancel, { once: true })
  try {
    const strategy = evaluate(job.strategy, contexts) as { [key: string]: unknown }
    const legs = expandMatrix((strategy.matrix ?? null) as Record<string, unknown> | null)
    const outcome = await playLegs(run, { ...call, contexts }, job, strategy, legs, cancelled)
    return outcome
  } finally {
    run.cancelled.signal.removeEventListener('abort', cancel)
  }
}

async function playLegs(
  run: RunState,
  call: Call,
  job: WorkflowJob,
  strategy: Record<string, unknown>,
  legs: (Record<string, unknown> | null)[],
  cancelled: AbortController,
): Promise<JobResult> {
  const failFast = (strategy['fail-fast'] as boolean | undefined) ?? true
  const width = Number(strategy['max-parallel'] ?? legs.length)
  const done: JobResult[] = []
  const queue = legs.map((matrix, index) => async () => {
    const facts = {
      'fail-fast': failFast,
      'job-index': index,
      'job-total': legs.length,
      'max-parallel': width,
    }
    const contexts = { ...call.contexts, matrix, strategy: facts }
    const leg = { ...call, contexts }
    done[index] = job.uses
      ? await callWorkflow(run, leg, job)
      : await playLeg(run, leg, job, matrix, cancelled.signal)
    if (failFast && done[index].result === 'failure') cancelled.abort()
  })
  const worker = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) await next()
  }
  await Promise.all(Array.from({ length: Math.min(width, legs.length) }, worker))
  const results = done.map(one => one.result)
  const result =
    (['failure', 'cancelled', 'success'] as const).find(one => results.includes(one)) ?? 'skipped'
  const outputs = done.flatMap(one => Object.entries(one.outputs).filter(([, value]) => value !== ''))
  const names = Object.keys(job.outputs).map(name => [name, ''] as const)
  return { result, outputs: Object.fromEntries([...(result === 'skipped' ? [] : names), ...outputs]) }
}

async function playLeg(
  run: RunState,
  call: Call,
  job: WorkflowJob,
  matrix: Record<string, unknown> | null,
  cancelled: AbortSignal,
): Promise<JobResult> {
  const simulated = newJob(run, job, call.prefix + displayName(job, call.contexts, matrix), matrix, null)
  run.jobs.push(simulated)
  run.publish()
  if (cancelled.aborted) {
    Object.assign(simulated, { status: 'completed', conclusion: 'cancelled', result: 'cancelled' })
    run.publish()
  } else {
    await playJob(run, { ...call, job, simulated, workflowEnv: call.workflow.env, cancelled })
  }
  return { result: simulated.result!, outputs: simulated.outputs }
}

/** Replaces a job that calls a reusable workflow in the same repository with that workflow's jobs. */
async function callWorkflow(run: RunState, call: Call, job: WorkflowJob): Promise<JobResult> {
  if (!isLocal(job.uses!)) refuse(`the reusable workflow "${job.uses}" from another repository`)
  const file = job.uses!.slice(2)
  const content = await readFile(resolve(run.repositoryRoot, file), 'utf8')
  const workflow = await readWorkflow(file, content, run.options.onLeftOut)
  if (!workflow.on.workflow_call) throw new Error(`${file} can't be called: its "on" has no workflow_call.`)
  const { github, vars, secrets: own } = call.contexts
  const given = evaluate(job.with, call.contexts) as Record<string, unknown>
  const inputs = workflowInputs(workflow, 'workflow_call', given, { github, vars })
  const handed = job.secrets === 'inherit' ? own : evaluateTexts(job.secrets, call.contexts)
  const secrets = { ...handed, ...(own.GITHUB_TOKEN && { GITHUB_TOKEN: own.GITHUB_TOKEN }) }
  const prefix = `${call.prefix}${displayName(job, call.contexts, call.contexts.matrix as Record<string, unknown>)} / `
  const jobs = await playJobs(run, { workflow, file, contexts: { github, vars, inputs, secrets }, prefix })
  const results = Object.values(jobs).map(one => one.result)
  const outputs = Object.entries(
    (workflow.on.workflow_call.outputs ?? {}) as Record<string, Record<string, Template>>,
  )
  return {
    result: (['failure', 'cancelled', 'success'] as const).find(one => results.includes(one)) ?? 'skipped',
    outputs: Object.fromEntries(
      outputs.map(([name, output]) => [
        name,
        evaluateText(output.value ?? '', { github, vars, inputs, jobs }),
      ]),
    ),
  }
}

function ancestorsOf(workflow: Workflow, job: WorkflowJob, found = new Set<string>()): Set<string> {
  for (const id of job.needs) {
    found.add(id)
    ancestorsOf(workflow, workflow.jobs.find(other => other.id === id)!, found)
  }
  return found
}

function jobConditionStatus(run: RunState, ancestors: StepResult[]): Status {
  const cancelled = run.cancelled.signal.aborted
  return {
    success: !cancelled && ancestors.every(result => result === 'success'),
    failure: !cancelled && ancestors.includes('failure'),
    cancelled,
  }
}

/** Returns a job's name. Appends a matrix leg's values in parentheses, unless the name contains an expression. */
function displayName(job: WorkflowJob, contexts: Contexts, matrix: Record<string, unknown> | null): string {
  const name =
    job.name === null ? job.id : evaluateText(job.name, { ...contexts, matrix, strategy: contexts.strategy })
  if (matrix === null || job.name instanceof Expression) return name
  const values = Object.values(matrix).map(value =>
    typeof value === 'object' ? JSON.stringify(value) : value,
  )
  return `${name} (${values.join(', ')})`
}

type Leg = Record<string, unknown>

/**
 * Returns every combination of a matrix, after `exclude` and `include`; a single null for a job without a matrix.
 * Source: https://docs.github.com/actions/how-tos/write-workflows/choose-what-workflows-do/run-job-variations
 */
function expandMatrix(matrix: Record<string, unknown> | null): (Leg | null)[] {
  if (matrix === null) return [null]
  const { include, exclude, ...lists } = matrix
  const axes = Object.keys(lists)
  let legs: Leg[] = axes.length === 0 ? [] : [{}]
  for (const axis of axes) {
    const values = lists[axis]
    if (!Array.isArray(values)) throw new Error(`matrix.${axis} isn't a list.`)
    legs = legs.flatMap(leg => values.map(value => ({ ...leg, [axis]: value })))
  }
  const excluded = (exclude ?? []) as Leg[]
  legs = legs.filter(leg => !excluded.some(rule => matches(rule, leg, Object.keys(rule))))
  const originals = legs.map(leg => ({ ...leg }))
  for (const extra of (include ?? []) as Leg[]) {
    const shared = axes.filter(axis => axis in extra)
    const hits = originals.flatMap((leg, index) => (matches(extra, leg, shared) ? [index] : []))
    if (hits.length === 0) legs.push({ ...extra })
    for (const index of hits) Object.assign(legs[index]!, extra)
  }
  return legs
}

function matches(rule: Leg, leg: Leg, keys: string[]) {
  return keys.every(key => JSON.stringify(rule[key]) === JSON.stringify(leg[key]))
}

/**
 * Returns the `inputs` context of a called or manually dispatched workflow. The given values have their declared types;
 * other inputs have their defaults. Throws an error that lists missing required inputs or unknown inputs.
 */
export function workflowInputs(
  workflow: Workflow,
  event: 'workflow_call' | 'workflow_dispatch',
  given: Record<string, unknown>,
  contexts: Contexts,
): Record<string, unknown> {
  const declared = (workflow.on[event]?.inputs ?? {}) as Record<string, Record<string, Template> | null>
  const unknown = Object.keys(given).filter(name => !(name in declared))
  const missing = Object.keys(declared).filter(name => declared[name]?.required === true && !(name in given))
  if (unknown.length > 0) throw new Error(`${workflow.name} declares no input ${unknown.join(', ')}.`)
  if (missing.length > 0) throw new Error(`${workflow.name} requires the input ${missing.join(', ')}.`)
  return Object.fromEntries(
    Object.entries(declared).map(([name, definition]) => {
      const value = given[name] ?? evaluate(definition?.default ?? null, contexts)
      return [name, typed(value, String(definition?.type ?? 'string'))]
    }),
  )
}

function typed(value: unknown, type: string): unknown {
  if (type === 'boolean') return value === true || value === 'true'
  if (type === 'number') return Number(value ?? 0)
  return value === null ? '' : String(value)
}
