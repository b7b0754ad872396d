import { cleanText } from './clean-text.ts'

/** A workflow run as GitHub's list and its webhooks show it. Times are milliseconds since 1970. */
export interface WorkflowRun {
  id: number
  attempt: number
  /** The workflow that it is a run of; null where GitHub does not name it. */
  workflowId: number | null
  /** File name of that workflow; null where GitHub does not name it. */
  workflow: string | null
  /** The branch or tag that it runs on; null where GitHub does not name it. */
  ref: string | null
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
  path?: string | null
  head_branch?: string | null
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
    // `.github/workflows/deploy.yml@main` in some answers.
    workflow:
      run.path
        ?.replace(/(\.ya?ml)@.*$/s, '$1')
        .split('/')
        .at(-1) ?? null,
    ref: run.head_branch ?? null,
    event: run.event ?? 'unknown',
    title: cleanText(run.display_title ?? run.name ?? ''),
    status: run.status ?? 'unknown',
    conclusion: run.conclusion ?? null,
    url: run.html_url ?? '',
    createdAt,
    updatedAt: Date.parse(run.updated_at ?? '') || createdAt,
  }
}
