/** How long GitHub wants everybody who uses a credential to wait. */
export interface Pauses {
  /** Milliseconds since 1970; 0 when there is nothing to wait for. */
  until(repository: string): number
  /** @returns whether it is news: no pause was on */
  set(repository: string, now: number, until: number): boolean
  /** Ids of deliveries whose run in Port was told that it waits. */
  told: Set<string>
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
  const until = (repository: string) => pauses.get(scope(repository)) ?? 0
  return {
    until,
    set(repository, now, next) {
      const before = until(repository)
      // Of several that were under way, the one that was asked to wait longest is right.
      pauses.set(scope(repository), Math.max(before, next))
      return before <= now
    },
    told: new Set(),
  }
}
