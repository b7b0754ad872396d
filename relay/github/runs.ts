import { RequestError } from '@octokit/request-error'
import { z } from 'zod'
import { cleanText } from '../../port/text.ts'
import type { Credential } from './credentials.ts'
import { type DispatchPolicy, postDispatch } from './dispatch.ts'
import { mustBeGitHub, readMessage } from './response.ts'

/** A workflow run in GitHub's lists and webhooks. Times are milliseconds since 1970. */
export interface WorkflowRun {
  id: number
  attempt: number
  /** The workflow's id; null if GitHub doesn't return it. */
  workflowId: number | null
  /** The workflow's file name; null if GitHub doesn't return it. */
  workflow: string | null
  /** The run's branch or tag; null if GitHub doesn't return it. */
  ref: string | null
  event: string
  /** The `run-name`. If the workflow sets none, the event type of a `repository_dispatch`, or the workflow's name. */
  title: string
  /** Such as `completed`, or `waiting` (for the reviewers of an environment). GitHub can add values. */
  status: string
  /** The conclusion; null while the run is in progress. GitHub can add values. */
  conclusion: string | null
  url: string
  createdAt: number
  updatedAt: number
}

// Older servers omit some fields.
const text = z.string().nullish().catch(null)
const whole = z.number().int().nullish().catch(null)

/** A run in GitHub's responses and webhooks. */
export const givenRun = z.object({
  ...{ id: z.number().int(), run_attempt: whole, workflow_id: whole, path: text, head_branch: text },
  ...{ event: text, display_title: text, name: text, status: text, conclusion: text, html_url: text },
  ...{ created_at: text, updated_at: text },
})
type GivenRun = Partial<z.infer<typeof givenRun>> & { id: number }

export function toWorkflowRun(run: GivenRun): WorkflowRun {
  const createdAt = Date.parse(run.created_at ?? '') || 0
  return {
    id: run.id,
    attempt: run.run_attempt ?? 1,
    workflowId: run.workflow_id ?? null,
    // Some responses contain `.github/workflows/deploy.yml@main`.
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

const PAGE = 100

export type RunReader = ReturnType<typeof createRunReader>

/** Creates functions that read workflow runs. All of them throw Octokit's errors and CredentialError. */
export function createRunReader(credential: Credential) {
  return {
    /** Returns a page of up to 100 runs that this type of event started. The newest run is first. */
    runsPage: (repository: string, page: number, etag: string | null, event: string) =>
      credential.use(repository, async (octokit, at) => {
        // The request has no `created` filter: its changing value would make the ETag useless.
        const query = { ...at, event, per_page: PAGE, page, headers: conditional(etag) }
        const request = octokit.actions.listWorkflowRunsForRepo(query)
        return tagged(request, etag, data => data.workflow_runs.map(toWorkflowRun))
      }),
    /** Counts the runs that any event started in a period. Times: milliseconds since 1970, by GitHub's clock. */
    countRuns: (repository: string, from: number, to: number) =>
      credential.use(repository, async (octokit, at) => {
        const created = [from, to].map(time => new Date(time).toISOString().slice(0, 19)).join('Z..')
        const query = { ...at, created: `${created}Z`, per_page: 1 }
        return (await octokit.actions.listWorkflowRunsForRepo(query)).data.total_count
      }),
    run: (repository: string, id: number, etag: string | null) =>
      credential.use(repository, async (octokit, at) => {
        const headers = conditional(etag)
        return tagged(octokit.actions.getWorkflowRun({ ...at, run_id: id, headers }), etag, data => {
          mustBeGitHub(data.id === id)
          return toWorkflowRun(data)
        })
      }),
  }
}

const conditional = (etag: string | null) => (etag ? { 'if-none-match': etag } : {})

/** Sends a conditional request. `data`: null after a 304, which doesn't count against the rate limit. */
async function tagged<D, T>(
  request: Promise<{ data: D; headers: { etag?: string } }>,
  etag: string | null,
  read: (data: D) => T,
): Promise<{ data: T | null; etag: string | null }> {
  try {
    const { data, headers } = await request
    return { data: read(data), etag: headers.etag ?? null }
  } catch (error) {
    if (error instanceof RequestError && error.status === 304) return { data: null, etag }
    throw error
  }
}

/**
 * Creates functions that cancel workflow runs or run failed jobs again. All of them need Actions: write, and throw
 * Octokit's errors and CredentialError.
 */
export function createRunControl(credential: Credential, policy: DispatchPolicy) {
  const post = (
    route: 'cancel' | 'force-cancel' | 'rerun-failed-jobs',
    repository: string,
    runId: number,
    maySend = policy.maySend,
  ): Promise<'accepted' | 'finished'> =>
    credential.use(repository, async octokit => {
      try {
        const address = `/actions/runs/{run_id}/${route}`
        const parameters = { placeholders: { run_id: runId } }
        const response = await postDispatch(octokit, repository, address, parameters, { ...policy, maySend })
        if ('foreign' in response) throw new Error(response.foreign)
        return 'accepted'
      } catch (error) {
        if (isFinished(error)) return 'finished'
        throw error
      }
    })
  return {
    /** Cancels a run. Steps with `if: always()` and post steps still run. Returns `finished` if the run had already finished. */
    cancelRun: (repository: string, runId: number) => post('cancel', repository, runId),
    /** Force-cancels a run that `cancelRun` didn't stop. Not even post steps run after that. */
    forceCancelRun: (repository: string, runId: number) => post('force-cancel', repository, runId),
    /** Starts the next attempt of a run, with the failed and canceled jobs and the jobs that need them. */
    rerunFailedJobs: (repository: string, runId: number, maySend: () => boolean) =>
      post('rerun-failed-jobs', repository, runId, maySend),
  }
}

/** Whether a 409 means that the run has finished. A 409 can also mean that a re-run hasn't started yet. */
function isFinished(error: unknown): boolean {
  if (!(error instanceof RequestError) || error.status !== 409 || !error.response) return false
  return !/not yet/i.test(readMessage(error.response.data))
}
