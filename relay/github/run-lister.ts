import { RequestError } from '@octokit/request-error'
import type { Budget } from './budget.ts'
import { newEntry, type RunsEntry } from './new-entry.ts'
import { readFailure } from './read-failure.ts'
import type { RunReader } from './read-runs.ts'
import { later, type WorkflowRun } from './workflow-run.ts'

/** What is asked for: runs made since then, and the one with this id where it is known. */
interface Want {
  since: number
  runId: number | null
}

/** What is known of the runs of a repository. Times are milliseconds since 1970. */
export interface Look {
  access: RunsEntry['access']
  /** Why not. */
  reason: string | null
  /** How long GitHub has refused, from its first refusal in a row to the last, milliseconds: one may be a mistake. */
  refusedFor: number
  runs: WorkflowRun[]
  /** When the list was read last; null for never. */
  readAt: number | null
  /** From when on all runs are there; -Infinity: only those that webhooks told of. */
  covers: number
  /** The run of the id wanted is not there: it was deleted. */
  gone: boolean
  /** When the next look may show more. */
  nextAt: number
}

/**
 * One list of runs for each repository, shared by everybody in this process who asks, within one budget of
 * requests. Each relay has its own: two relays on one database may ask twice as much.
 */
export interface RunLister {
  /** @param maxAge how old the list may be, milliseconds; it is older where the budget asks for it */
  look(repository: string, want: Want, maxAge: number): Promise<Look>
  /** Takes a run that a webhook brought: the next look shows it without a request. */
  observe(repository: string, run: WorkflowRun): void
}

const PAGE = 100
/** Beyond, runs are fetched by id. */
const MAX_PAGES = 5
/** So many wanted runs missing from a page are worth the next page. */
const WORTH_A_PAGE = 3
/** A first refusal may be a mistake. */
const REFUSED_ONCE_MS = 60_000
/** A token may be given its permission at any time. */
const FORBIDDEN_MS = 300_000
const BY_ID_MS = 30_000
/** A run is gone when it was not there so often: GitHub's copies do not all know a new run at once. */
const MISSES = 2
/** So long after it was made, every copy lists a run. */
const LISTED_MS = 60_000
/** A repository that nobody asked for so long does not count any more. */
const ACTIVE_MS = 120_000
const MAX_OBSERVED = 1_000
/** Further back than this, a clock was set right, not adjusted. */
const SET_BACK_MS = 60_000

/**
 * @param perMinute the requests that the intervals are chosen for: a little less than `budget` allows
 * @param minInterval the shortest time between two readings of one repository's list
 */
export function createRunLister(parts: {
  github: Pick<RunReader, 'runsPage' | 'run'>
  budget: Budget
  /** Apart, so that many old runs do not keep the lists from being read. */
  budgetById: Budget
  clock: () => number
  perMinute: number
  minInterval?: number
}): RunLister {
  const { github, budget, budgetById, clock, perMinute, minInterval = 5_000 } = parts
  const entries = new Map<string, RunsEntry>()

  function open(repository: string): RunsEntry {
    const key = repository.toLowerCase()
    const known = entries.get(key)
    // A clock that has been set back since says nothing of when to ask.
    const entry = known && known.askedAt <= clock() + SET_BACK_MS ? known : newEntry(repository)
    entries.set(key, entry)
    return entry
  }

  /** How old a list may be, so that all repositories together stay within the budget. */
  function interval(now: number): number {
    let cost = 0
    for (const [key, entry] of entries) {
      if (entry.askedAt > now - ACTIVE_MS) cost += entry.access === 'read' ? entry.cost : 0
      else if (!entry.reading) entries.delete(key)
    }
    return Math.max(minInterval, (cost * 60_000) / perMinute)
  }

  async function read(entry: RunsEntry): Promise<void> {
    const { since, wanted } = entry
    entry.since = Number.POSITIVE_INFINITY
    entry.wanted = new Set()
    let cost = 0
    try {
      let page = 0
      for (;;) {
        if (!budget.take()) {
          if (page === 0) entry.blockedUntil = budget.freeAt()
          break
        }
        cost++
        const known = entry.pages[page]
        const { data, etag } = await github.runsPage(entry.repository, page + 1, known?.etag ?? null)
        if (data) {
          entry.pages[page] = { runs: data, etag }
          // What was known of further pages has moved on.
          entry.pages.length = page + 1
        }
        for (const run of entry.pages[page]?.runs ?? []) wanted.delete(run.id)
        page++
        const { runs } = entry.pages[page - 1] as RunsEntry['pages'][number]
        const oldest = runs.at(-1)?.createdAt ?? 0
        const last = runs.length < PAGE
        entry.covers = last ? 0 : oldest
        const enough = last || (oldest < since && wanted.size < WORTH_A_PAGE)
        if (enough || page === MAX_PAGES) break
      }
      if (page === 0) return
      entry.pages.length = page
      Object.assign(entry, { access: 'read', reason: null, refused: null, readAt: clock(), tries: 0 })
      const listed = new Set(entry.pages.flatMap(({ runs }) => runs.map(run => run.id)))
      for (const id of listed) entry.byId.delete(id)
      // Deleted, where the list goes back to it; who still wants it asks for it by id.
      for (const { id, createdAt } of entry.observed.values())
        if (createdAt > entry.covers && createdAt < clock() - LISTED_MS && !listed.has(id))
          entry.observed.delete(id)
    } catch (error) {
      trouble(entry, error)
    } finally {
      entry.cost = Math.max(1, cost)
    }
  }

  function trouble(entry: RunsEntry, error: unknown): void {
    const now = clock()
    const found = readFailure(error, { repository: entry.repository, now, tries: entry.tries++ })
    entry.access = found.kind === 'forbidden' ? 'forbidden' : 'unavailable'
    entry.reason = found.reason
    if (found.kind === 'later') {
      entry.blockedUntil = found.at
      return
    }
    entry.blockedUntil = now + (entry.refused ? FORBIDDEN_MS : REFUSED_ONCE_MS)
    entry.refused = { first: entry.refused?.first ?? now, last: now }
  }

  async function readById(entry: RunsEntry, id: number, maxAge: number): Promise<void> {
    const known = entry.byId.get(id)
    if (known && clock() - known.readAt < Math.max(maxAge, BY_ID_MS)) return
    if (!budgetById.take()) return
    try {
      const { data, etag } = await github.run(entry.repository, id, known?.etag ?? null)
      entry.byId.set(id, { run: data ?? known?.run ?? null, etag, readAt: clock(), misses: 0 })
    } catch (error) {
      const status = error instanceof RequestError && error.response ? error.status : 0
      // The list could be read, so this is not a matter of permission.
      const misses = (known?.misses ?? 0) + 1
      if (status === 404) {
        entry.byId.set(id, { run: null, etag: null, readAt: clock(), misses })
        if (misses >= MISSES) entry.observed.delete(id)
      } else trouble(entry, error)
    }
  }

  return {
    async look(repository, { since, runId }, maxAge) {
      const entry = open(repository)
      const asked = clock()
      entry.askedAt = asked
      entry.since = Math.min(entry.since, runId === null ? since : Number.POSITIVE_INFINITY)
      if (runId !== null) entry.wanted.add(runId)
      const age = Math.max(maxAge, interval(asked))
      const told = runId !== null && entry.observed.get(runId)?.status === 'completed'
      if (!told && asked >= entry.blockedUntil && asked - (entry.readAt ?? Number.NEGATIVE_INFINITY) >= age) {
        entry.reading ??= read(entry).finally(() => {
          entry.reading = null
        })
      }
      await entry.reading
      const listed = () => entry.pages.some(({ runs }) => runs.some(run => run.id === runId))
      if (!told && runId !== null && entry.access === 'read' && entry.readAt !== null && !listed()) {
        await readById(entry, runId, maxAge)
      }
      return show(entry, runId, age)
    },
    observe(repository, run) {
      const entry = open(repository)
      entry.askedAt = Math.max(entry.askedAt, clock())
      const known = entry.observed.get(run.id)
      entry.observed.delete(run.id)
      entry.observed.set(run.id, known ? later(known, run) : run)
      const oldest = entry.observed.size > MAX_OBSERVED ? entry.observed.keys().next().value : undefined
      if (oldest !== undefined) entry.observed.delete(oldest)
    },
  }

  function show(entry: RunsEntry, runId: number | null, age: number): Look {
    const runs = new Map<number, WorkflowRun>()
    const add = (run: WorkflowRun) => {
      const known = runs.get(run.id)
      runs.set(run.id, known ? later(known, run) : run)
    }
    for (const page of entry.pages) for (const run of page.runs) add(run)
    const one = runId === null ? undefined : entry.byId.get(runId)
    if (one?.run) add(one.run)
    for (const run of entry.observed.values()) add(run)
    return {
      access: entry.readAt === null && entry.access === 'read' ? 'unavailable' : entry.access,
      reason: entry.reason,
      refusedFor: entry.refused ? entry.refused.last - entry.refused.first : 0,
      runs: [...runs.values()],
      readAt: entry.readAt,
      // Where only webhooks tell, no more will be known.
      covers: entry.access === 'forbidden' ? Number.NEGATIVE_INFINITY : entry.covers,
      gone: one !== undefined && one.misses >= MISSES && !runs.has(runId as number),
      nextAt:
        entry.access === 'forbidden'
          ? clock()
          : Math.max(clock(), entry.blockedUntil, entry.readAt === null ? 0 : entry.readAt + age),
    }
  }
}
