import type { Credential } from './credential.ts'
import { split } from './split.ts'

/** What the OIDC token of a run must fit. */
export interface RepositoryFacts {
  /** Stays when the name goes to another repository. */
  id: number
  defaultBranch: string
}

export interface RepositoryReader {
  /** @throws RequestError, CredentialError: see `readFailure` */
  repository(repository: string): Promise<RepositoryFacts>
}

export function createRepositoryReader(credential: Credential): RepositoryReader {
  return {
    repository: repository =>
      credential.use(repository, async octokit => {
        const [owner, repo] = split(repository)
        const { data } = await octokit.repos.get({ owner, repo })
        return { id: data.id, defaultBranch: data.default_branch }
      }),
  }
}
