import { type Contexts, evaluateText } from './evaluate.ts'
import type { WorkflowStep } from './read-workflow.ts'
import type { PlayedStep } from './types.ts'

/** A step that has not started. */
export function createStepRecord(
  kind: PlayedStep['kind'],
  name: string,
  id: string | null = null,
): PlayedStep {
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

/** A step's name as GitHub's pages show it: its own, else "Run" and its first line. */
export function stepName(step: WorkflowStep, contexts: Contexts): string {
  if (step.name !== null) return evaluateText(step.name, contexts)
  const subject = step.uses ?? evaluateText(step.run, contexts)
  return `Run ${subject.trim().split('\n')[0]!.trim()}`
}

/** Marks a step as started now. */
export function startRecord(record: PlayedStep): void {
  record.status = 'in_progress'
  record.startedAt = new Date().toISOString()
}

/** Marks a step as completed now. */
export function completeRecord(
  record: PlayedStep,
  outcome: PlayedStep['outcome'],
  conclusion: PlayedStep['conclusion'] = outcome,
): void {
  const now = new Date()
  record.status = 'completed'
  record.outcome = outcome
  record.conclusion = conclusion
  record.completedAt = now.toISOString()
  record.durationMs = now.getTime() - Date.parse(record.startedAt!)
}
