import type { ClientPayload } from '../../port/client-payload.ts'
import type { Config } from '../config.ts'
import { createCredential } from './credential.ts'
import { type Outcome, readError } from './errors.ts'
import { createJobReader, type JobReader } from './read-jobs.ts'
import { createRepositoryReader, type RepositoryReader } from './read-repository.ts'
import { createRunReader, type RunReader } from './read-runs.ts'
import { serverUrl } from './server-url.ts'
import { split } from './split.ts'
import { toWorkflowRun, type WorkflowRun } from './workflow-run.ts'

export type { WorkflowRun } from './workflow-run.ts'

export interface GitHub extends RunReader, JobReader, RepositoryReader {
  /** Where people look: `https://github.com`, or the server of GITHUB_API_URL. */
  serverUrl: string
  /** Sends one `repository_dispatch`, and never a second time: it is not idempotent. */
  dispatch(
    target: { repository: string; eventType: string },
    payload: ClientPayload,
    tries: number,
  ): Promise<Outcome>
  /** Runs that `repository_dispatch` started since then, newest first, at most 100. */
  listRuns(repository: string, since: number): Promise<WorkflowRun[]>
}

/** GitHub as the relay sees it, by token or as a GitHub App. */
export function createGitHub(config: Config['github'], clock: () => number = Date.now): GitHub {
  const credential = createCredential(config, clock)
  return {
    serverUrl: serverUrl(config.apiUrl),
    ...createRunReader(credential),
    ...createJobReader(credential),
    ...createRepositoryReader(credential),
    async dispatch({ repository, eventType }, payload, tries) {
      const [owner, repo] = split(repository)
      try {
        await credential.use(repository, octokit =>
          octokit.repos.createDispatchEvent({
            owner,
            repo,
            event_type: eventType,
            client_payload: payload,
          }),
        )
        return { kind: 'accepted' }
      } catch (error) {
        return readError(error, { repository, eventType, now: clock(), tries })
      }
    },
    listRuns: (repository, since) =>
      credential.use(repository, async octokit => {
        const [owner, repo] = split(repository)
        const { data } = await octokit.actions.listWorkflowRunsForRepo({
          owner,
          repo,
          event: 'repository_dispatch',
          created: `>=${new Date(since).toISOString().slice(0, 19)}Z`,
          per_page: 100,
        })
        return data.workflow_runs.map(toWorkflowRun)
      }),
  }
}
