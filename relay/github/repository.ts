import type { Credential } from './credentials.ts'
import { mustBeGitHub } from './response.ts'

/** Facts that the claims of a run's OIDC token must match. */
export interface RepositoryFacts {
  /** Unchanged when the repository is renamed; another repository has another one. */
  id: number
  /** Its current name: it differs from the requested one if the repository was renamed or transferred. */
  fullName: string
  defaultBranch: string
}

export interface RepositoryReader {
  /** @throws RequestError, CredentialError: see `readFailure` */
  repository(repository: string): Promise<RepositoryFacts>
}

export function createRepositoryReader(credential: Credential): RepositoryReader {
  return {
    repository: repository =>
      credential.use(repository, async (octokit, at) => {
        const { data } = await octokit.repos.get(at)
        mustBeGitHub(typeof data.id === 'number' && typeof data.default_branch === 'string')
        return { id: data.id, fullName: data.full_name, defaultBranch: data.default_branch }
      }),
  }
}
