import type { RepositoryFacts } from '../github/read-repository.ts'
import type { RunClaims } from './verify-oidc.ts'

/*
 * Whether a workflow run may speak for a delivery: started by `repository_dispatch`, in the repository that it
 * was sent to, by name and by id, on its default branch, where alone GitHub starts such workflows. Both return
 * why not, for the log, or null where it may.
 */

export function checkRun(claims: RunClaims, delivery: { repository: string }): string | null {
  if (claims.eventName !== 'repository_dispatch') return `the run was started by ${claims.eventName}`
  return claims.repository.toLowerCase() === delivery.repository.toLowerCase()
    ? null
    : `the run is of ${claims.repository}, and the delivery went to ${delivery.repository}`
}

export function checkRepository(claims: RunClaims, facts: RepositoryFacts): string | null {
  if (claims.repositoryId !== String(facts.id)) {
    return `the run is of a repository with the id ${claims.repositoryId}; GitHub says that of this name has ${facts.id}`
  }
  return claims.ref === `refs/heads/${facts.defaultBranch}`
    ? null
    : `the run is on ${claims.ref}, and the default branch is ${facts.defaultBranch}`
}
