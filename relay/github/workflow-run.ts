import { cleanText } from './clean-text.ts'

/** A workflow run as GitHub's list and its webhooks show it. Times are milliseconds since 1970. */
export interface WorkflowRun {
  id: number
  attempt: number
  /** The workflow that it is a run of; null where GitHub does not say. */
  workflowId: number | null
  /** What starts it, such as `repository_dispatch`. */
  event: string
  /** The workflow's `run-name`; without one the event type of the dispatch. */
  title: string
  /** `completed` when it has ended, `waiting` for the reviewers of an environment; GitHub adds values. */
  status: string
  /** GitHub adds values; null while it runs. */
  conclusion: string | null
  url: string
  createdAt: number
  updatedAt: number
}

/** What GitHub gives, of which older servers and webhooks leave out parts. */
export interface GivenRun {
  id: number
  run_attempt?: number | null
  workflow_id?: number | null
  event?: string | null
  display_title?: string | null
  name?: string | null
  status?: string | null
  conclusion?: string | null
  html_url?: string | null
  created_at?: string | null
  updated_at?: string | null
}

export function toWorkflowRun(run: GivenRun): WorkflowRun {
  const createdAt = Date.parse(run.created_at ?? '') || 0
  return {
    id: run.id,
    attempt: run.run_attempt ?? 1,
    workflowId: run.workflow_id ?? null,
    event: run.event ?? 'unknown',
    title: cleanText(run.display_title ?? run.name ?? ''),
    status: run.status ?? 'unknown',
    conclusion: run.conclusion ?? null,
    url: run.html_url ?? '',
    createdAt,
    updatedAt: Date.parse(run.updated_at ?? '') || createdAt,
  }
}

/** The later of two sights of one run: webhooks overtake each other, and a list may be older than a webhook. */
export function later(a: WorkflowRun, b: WorkflowRun): WorkflowRun {
  return { ...latest(a, b), workflowId: a.workflowId ?? b.workflowId }
}

function latest(a: WorkflowRun, b: WorkflowRun): WorkflowRun {
  if (a.attempt !== b.attempt) return a.attempt > b.attempt ? a : b
  const [aEnded, bEnded] = [a.status === 'completed', b.status === 'completed']
  if (aEnded !== bEnded) return aEnded ? a : b
  return a.updatedAt > b.updatedAt ? a : b
}
