import type { RepositoryFacts } from '../github/read-repository.ts'
import type { RunClaims } from './verify-oidc.ts'

/*
 * Whether a workflow run may speak for a delivery: started by `repository_dispatch`, in the repository that it
 * was sent to, on its default branch, where alone GitHub starts such workflows. Both return why not, for the log,
 * or null where it may. A repository is known by its id: GitHub goes on under the old name when it is renamed.
 */

export function checkEvent({ eventName }: RunClaims): string | null {
  return eventName === 'repository_dispatch' ? null : `the run was started by ${eventName}`
}

export function checkRepository(claims: RunClaims, facts: RepositoryFacts): string | null {
  if (claims.repositoryId !== String(facts.id)) {
    return `the run is of ${claims.repository}, with the id ${claims.repositoryId}; the delivery went to the repository with the id ${facts.id}`
  }
  return claims.ref === `refs/heads/${facts.defaultBranch}`
    ? null
    : `the run is on ${claims.ref}, and the default branch is ${facts.defaultBranch}`
}
