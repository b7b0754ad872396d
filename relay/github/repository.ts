import type { Credential } from './credentials.ts'
import { mustBeGitHub } from './response.ts'

export interface RepositoryFacts {
  /** The repository's ID. A rename doesn't change it. */
  id: number
  /** The current name. It differs from the requested name if the repository was renamed or transferred. */
  fullName: string
  defaultBranch: string
}

/** A workflow that GitHub lists. `file`: the name of its file. */
export type ListedWorkflow = { id: number; file: string; isActive: boolean }
export const MAX_LISTED = 100

export type RepositoryReader = ReturnType<typeof createRepositoryReader>

export function createRepositoryReader(credential: Credential) {
  return {
    /** @throws RequestError, CredentialError: see `readFailure` */
    repository: (repository: string): Promise<RepositoryFacts> =>
      credential.use(repository, async (octokit, at) => {
        const { data } = await octokit.repos.get(at)
        mustBeGitHub(typeof data.id === 'number' && typeof data.default_branch === 'string')
        return { id: data.id, fullName: data.full_name, defaultBranch: data.default_branch }
      }),
    /** Lists up to MAX_LISTED workflows. Needs Actions: read. */
    workflows: (repository: string): Promise<ListedWorkflow[]> =>
      credential.use(repository, async (octokit, at) => {
        const { data } = await octokit.actions.listRepoWorkflows({ ...at, per_page: MAX_LISTED })
        mustBeGitHub(Array.isArray(data.workflows))
        return data.workflows.map(({ id, path, state }) => ({
          ...{ id, file: path.replace(/^.*\//, ''), isActive: state === 'active' },
        }))
      }),
  }
}
