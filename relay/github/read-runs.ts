import { RequestError } from '@octokit/request-error'
import { cleanText } from './clean-text.ts'
import type { Credential } from './credential.ts'
import { mustBeGitHub } from './github-answer.ts'
import { toWorkflowRun, type WorkflowRun } from './workflow-run.ts'

/** What a conditional request gave: null when nothing changed since `etag`, which GitHub's limit does not count. */
interface Tagged<T> {
  data: T | null
  etag: string | null
}

/** Reads workflow runs. Every function throws what Octokit throws, or CredentialError. */
export interface RunReader {
  /** The page of runs that this event started, newest first, 100 each. */
  runsPage(
    repository: string,
    page: number,
    etag: string | null,
    event: string,
  ): Promise<Tagged<WorkflowRun[]>>
  run(repository: string, id: number, etag: string | null): Promise<Tagged<WorkflowRun>>
  /** Names of the workflows of the default branch, with their state: `active`, `disabled_manually`, … */
  workflows(repository: string): Promise<{ name: string; state: string }[]>
}

const PAGE = 100

export function createRunReader(credential: Credential): RunReader {
  return {
    runsPage: (repository, page, etag, event) =>
      credential.use(repository, async (octokit, at) => {
        // The same address each time, so that the ETag holds: no `created` filter that moves.
        return tagged(
          octokit.actions.listWorkflowRunsForRepo({
            ...at,
            event,
            per_page: PAGE,
            page,
            headers: conditional(etag),
          }),
          etag,
          data => data.workflow_runs.map(toWorkflowRun),
        )
      }),
    run: (repository, id, etag) =>
      credential.use(repository, async (octokit, at) => {
        const headers = conditional(etag)
        return tagged(octokit.actions.getWorkflowRun({ ...at, run_id: id, headers }), etag, data => {
          mustBeGitHub(data.id === id)
          return toWorkflowRun(data)
        })
      }),
    workflows: repository =>
      credential.use(repository, async (octokit, at) => {
        const { data } = await octokit.actions.listRepoWorkflows({ ...at, per_page: 100 })
        return data.workflows.map(({ name, state }) => ({ name: cleanText(name), state }))
      }),
  }
}

const conditional = (etag: string | null) => (etag ? { 'if-none-match': etag } : {})

async function tagged<D, T>(
  request: Promise<{ data: D; headers: { etag?: string } }>,
  etag: string | null,
  read: (data: D) => T,
): Promise<Tagged<T>> {
  try {
    const { data, headers } = await request
    return { data: read(data), etag: headers.etag ?? null }
  } catch (error) {
    if (error instanceof RequestError && error.status === 304) return { data: null, etag }
    throw error
  }
}
