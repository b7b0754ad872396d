import { type ReadFailure, readFailure } from '../github/errors.ts'
import type { RepositoryFacts } from '../github/repository.ts'
import { Problem } from '../http/problem.ts'
import type { ThrottledLog } from '../log.ts'

type Log = Pick<ThrottledLog, 'warn'>

/** How long facts are cached. The time is short, because the default branch can change. */
const FRESH_MS = 60_000

/**
 * Creates a function that reads a repository's ID and default branch from GitHub, and caches both. Remembers the first
 * ID, to detect whether another repository has taken over the name.
 * @returns a function that throws Problem 503 if GitHub doesn't respond, and 403 if GitHub returns no repository or
 * another repository
 */
export function createRepositoryFacts(deps: {
  ask: (repository: string) => Promise<RepositoryFacts>
  clock: () => number
  log: Log
  throttled: Log
}) {
  const { ask, clock, log, throttled } = deps
  const known = new Map<string, RepositoryFacts & { at: number }>()
  const asking = new Map<string, Promise<RepositoryFacts>>()

  return async (repository: string): Promise<RepositoryFacts> => {
    const name = repository.toLowerCase()
    const kept = known.get(name)
    if (kept && clock() - kept.at < FRESH_MS) return kept
    const facts = asking.get(name) ?? read(repository, name).finally(() => void asking.delete(name))
    asking.set(name, facts)
    return facts
  }

  async function read(repository: string, name: string): Promise<RepositoryFacts> {
    const kept = known.get(name)
    let facts: RepositoryFacts
    try {
      facts = await ask(repository)
    } catch (error) {
      const { kind, reason } = readFailure(error, { repository, now: clock(), tries: 0 })
      // While GitHub doesn't respond, the cached facts stay valid.
      if (kept && kind === 'later') return kept
      throw unknown(repository, kind, reason)
    }
    if (kept && kept.id !== facts.id) {
      log.warn(
        { repository, was: kept.id, is: facts.id },
        'a report was refused: another repository has taken over this name; restart the relay if this change was intended',
      )
      throw new Problem(
        403,
        `${repository} is no longer the same repository: its id has changed since the relay first read it.`,
      )
    }
    known.set(name, { ...facts, at: clock() })
    return facts
  }

  function unknown(repository: string, kind: ReadFailure['kind'], reason: string): Problem {
    throttled.warn(
      { repository, reason },
      "a report was refused: the relay can't read the id and default branch of the run's repository from GitHub",
    )
    if (kind === 'forbidden')
      return new Problem(
        403,
        `The relay can't verify this report, because GitHub doesn't show ${repository} to the relay: give the relay's token or App the permission Metadata: read on the repository.`,
      )
    return new Problem(
      503,
      `The relay can't verify this report, because it can't read ${repository} from GitHub now. Send the report again.`,
      { 'retry-after': '5' },
    )
  }
}
