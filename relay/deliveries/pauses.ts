/** How long GitHub wants everybody who uses a credential to wait. */
export interface Pauses {
  /** Milliseconds since 1970; 0 when there is nothing to wait for. */
  until(repository: string): number
  set(repository: string, until: number): void
}

/**
 * GitHub limits a credential, not a repository: once it has asked one delivery to wait, all of the same
 * credential wait, rather than each finding out for itself.
 *
 * @param perOwner a GitHub App has a limit for each installation; a token one for all
 */
export function createPauses(perOwner: boolean): Pauses {
  const pauses = new Map<string, number>()
  const scope = (repository: string) => (perOwner ? repository.replace(/\/.*/, '').toLowerCase() : '')
  return {
    until: repository => pauses.get(scope(repository)) ?? 0,
    set: (repository, until) => pauses.set(scope(repository), until),
  }
}
