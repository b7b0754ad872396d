import type { RunState } from './job-state.ts'
import { createMasker } from './masker.ts'
import type { WorkflowJob } from './read-workflow.ts'
import { createStepLog } from './step-log.ts'
import { completeRecord, createStepRecord, startRecord } from './step-record.ts'
import type { PlayedJob, StepResult } from './types.ts'

/** A job that waits to be played, or one that has its conclusion without being played. */
export function newJob(
  run: RunState,
  job: WorkflowJob,
  name: string,
  matrix: Record<string, unknown> | null,
  conclusion: StepResult | null,
): PlayedJob {
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

/** Ends a job as failed, with the error in the step that it had reached, else in "Set up job". */
export function failJob(played: PlayedJob, error: string, secrets: string[]): void {
  let step = played.steps.find(({ status }) => status === 'in_progress')
  if (!step) {
    step = createStepRecord('setup', 'Set up job')
    startRecord(step)
    played.steps.push(step)
  }
  const masker = createMasker()
  for (const secret of secrets) masker.add(secret)
  createStepLog(step, masker).annotate('error', error)
  completeRecord(step, 'failure')
  const completedAt = new Date().toISOString()
  Object.assign(played, { status: 'completed', conclusion: 'failure', result: 'failure', completedAt })
}
