import { type Contexts, evaluateText } from './evaluate.ts'
import { createMasker, type RunState } from './job-state.ts'
import type { WorkflowJob, WorkflowStep } from './read-workflow.ts'
import { createStepLog } from './step-log.ts'
import type { SimulatedJob, SimulatedStep, StepResult } from './types.ts'

/** Creates a job that waits to run or, with a conclusion, a job that doesn't run. */
export function newJob(
  run: RunState,
  job: WorkflowJob,
  name: string,
  matrix: Record<string, unknown> | null,
  conclusion: StepResult | null,
): SimulatedJob {
  return {
    id: job.id,
    databaseId: run.runId * 1000 + run.attempt * 100 + run.jobs.length,
    name,
    matrix,
    status: conclusion === null ? 'queued' : 'completed',
    conclusion,
    result: conclusion,
    outputs: {},
    steps: [],
    startedAt: null,
    completedAt: null,
    orphans: [],
  }
}

/** Fails a job. Shows the error in the step that the job had reached, or else in "Set up job". */
export function failJob(simulated: SimulatedJob, error: string, secrets: string[]): void {
  let step = simulated.steps.find(({ status }) => status === 'in_progress')
  if (!step) {
    step = createStepRecord('setup', 'Set up job')
    startRecord(step)
    simulated.steps.push(step)
  }
  const masker = createMasker()
  for (const secret of secrets) masker.add(secret)
  createStepLog(step, masker).annotate('error', error)
  completeRecord(step, 'failure')
  const completedAt = new Date().toISOString()
  Object.assign(simulated, { status: 'completed', conclusion: 'failure', result: 'failure', completedAt })
}

/** Creates a step that hasn't started. */
export function createStepRecord(
  kind: SimulatedStep['kind'],
  name: string,
  id: string | null = null,
): SimulatedStep {
  return {
    name,
    number: 0,
    kind,
    id,
    status: 'queued',
    outcome: null,
    conclusion: null,
    exitCode: null,
    stdout: '',
    stderr: '',
    log: '',
    outputs: {},
    state: {},
    env: {},
    path: [],
    summary: '',
    annotations: [],
    startedAt: null,
    completedAt: null,
    durationMs: 0,
    steps: [],
  }
}

/** Returns a step's name as GitHub shows it: the author's name, or else "Run" and the first line. */
export function stepName(step: WorkflowStep, contexts: Contexts): string {
  if (step.name !== null) return evaluateText(step.name, contexts)
  const subject = step.uses ?? evaluateText(step.run, contexts)
  return `Run ${subject.trim().split('\n')[0]!.trim()}`
}

/** Marks a step as started now. */
export function startRecord(record: SimulatedStep): void {
  record.status = 'in_progress'
  record.startedAt = new Date().toISOString()
}

/** Marks a step as completed now. */
export function completeRecord(
  record: SimulatedStep,
  outcome: SimulatedStep['outcome'],
  conclusion: SimulatedStep['conclusion'] = outcome,
): void {
  const now = new Date()
  record.status = 'completed'
  record.outcome = outcome
  record.conclusion = conclusion
  record.completedAt = now.toISOString()
  record.durationMs = now.getTime() - Date.parse(record.startedAt!)
}
