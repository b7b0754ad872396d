import type { CredentialError } from './credential.ts'

/** Where a request failed: before the App had a token for the repository, or with a token (null). */
type Stage = CredentialError['stage'] | null

/**
 * Why GitHub does not accept the relay's own credential, as a clause; null where it refuses for another
 * reason. It applies to every request with this credential, until a person renews it.
 */
export function readCredentialFailure(stage: Stage, status: number, message: string): string | null {
  if (status === 401 && stage) {
    return `GitHub does not know the relay's App (401: ${message}): check GITHUB_APP_ID, that GITHUB_APP_PRIVATE_KEY is a key of that App, and the clock of the relay's server`
  }
  if (status === 401) {
    return `GitHub does not know the relay's credential (401: ${message}): it is wrong or has expired; renew GITHUB_TOKEN, or the App's key, in the relay's environment`
  }
  if (status === 403 && (stage || /suspended/i.test(message))) {
    return stage
      ? `GitHub gives the relay's App no token (403: ${message}): look at its installation (the owner's Settings, GitHub Apps, Configure); it may be suspended, or wait for its new permissions to be accepted`
      : `GitHub has suspended the account of the relay's credential (403: ${message})`
  }
  return null
}

/** Why the App has no token for one repository, as a sentence; what {@link readCredentialFailure} reads is excluded. */
export function noTokenSentence(
  stage: CredentialError['stage'],
  status: number,
  message: string,
  repository: string,
): string {
  return stage === 'installation' || status === 404
    ? `The relay's GitHub App is not installed on ${repository} (${status}: ${message}): install it there, or add the repository to its installation (the owner's Settings, GitHub Apps, Configure, Repository access).`
    : `GitHub gives the relay's App no token for ${repository} (${status}: ${message}): look at its installation (the owner's Settings, GitHub Apps, Configure).`
}
