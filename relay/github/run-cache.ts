import { RequestError } from '@octokit/request-error'
import { readFailure } from './errors.ts'
import type { RequestBudget } from './request-budget.ts'
import type { RunReader, WorkflowRun } from './runs.ts'

/** What started the runs of a list. */
type RunEvent = 'repository_dispatch' | 'workflow_dispatch'

/** What is asked for: the list back to a time where one is given, and the runs of these ids. */
interface Want {
  event: RunEvent
  /** Milliseconds since 1970, by GitHub's clock; null where the list alone is of no use. */
  since: number | null
  runIds: readonly number[]
}

/** What is known of the runs of a repository. Times are milliseconds since 1970. */
export interface Snapshot {
  /** `forbidden`: the list may not be read, as without Actions: read. `unavailable`: it cannot be read now. */
  access: 'read' | 'forbidden' | 'unavailable'
  /** Why not. */
  reason: string | null
  /** How long GitHub has refused, from its first refusal in a row to the last, milliseconds: one may be a mistake. */
  refusedFor: number
  runs: ReadonlyMap<number, WorkflowRun>
  /** Wanted ids of runs that were deleted. */
  gone: ReadonlySet<number>
  /** When the list was read last, by the relay's clock; null for never. */
  readAt: number | null
  /** From when on all runs are in the list. */
  covers: number
  /** When the next look may show more. */
  nextAt: number
}

/**
 * One list of runs for each repository and event, shared by all deliveries of this process, within one request budget.
 * Each relay has its own: two relays on one database may send twice as many requests.
 */
export interface RunCache {
  /** @param maxAge how old the list may be, milliseconds; it is older where the budget asks for it */
  poll(repository: string, want: Want, maxAge: number): Promise<Snapshot>
}

interface Entry {
  repository: string
  event: RunEvent
  askedAt: number
  /** The oldest of what was wanted since the last reading. */
  since: number
  /** Ids wanted since the last reading: pages are turned for those, too. */
  wanted: Set<number>
  pages: { runs: WorkflowRun[]; etag: string | null }[]
  byId: Map<number, { run: WorkflowRun | null; etag: string | null; readAt: number; misses: number }>
  access: Snapshot['access']
  reason: string | null
  /** The first and last refusal of GitHub since the list was read last. */
  refused: { first: number; last: number } | null
  readAt: number | null
  covers: number
  /** GitHub is not asked for the list before then. */
  blockedUntil: number
  tries: number
  /** Requests that the last reading took. */
  cost: number
  reading: Promise<void> | null
}

const PAGE = 100
/** The shortest time between two readings of one list. */
const MIN_INTERVAL_MS = 5_000
/** Beyond, runs are read by id. */
const MAX_PAGES = 5
/** When so many wanted runs are missing from a page, the next page is read. */
const WORTH_A_PAGE = 3
/** A first refusal may be a mistake. */
const REFUSED_ONCE_MS = 60_000
/** A token may be given its permission at any time. */
const FORBIDDEN_MS = 300_000
/** A run counts as deleted after so many 404s: GitHub's replicas do not all show a new run at once. */
const MISSES = 2
/** A repository that was not asked for in this time no longer counts. */
const ACTIVE_MS = 120_000
const MAX_BY_ID = 1_000
/** A clock that is further back than this was set, not adjusted. */
const SET_BACK_MS = 60_000

/**
 * @param perMinute the requests that the intervals are chosen for: a little less than `budget` allows
 */
export function createRunCache(deps: {
  github: Pick<RunReader, 'runsPage' | 'run'>
  budget: RequestBudget
  /** Apart, so that many old runs do not keep the lists from being read. */
  budgetById: RequestBudget
  clock: () => number
  perMinute: number
}): RunCache {
  const { github, budget, budgetById, clock, perMinute } = deps
  const entries = new Map<string, Entry>()

  return {
    async poll(repository, { event, since, runIds }, maxAge) {
      const entry = open(repository, event)
      const asked = clock()
      entry.askedAt = asked
      entry.since = Math.min(entry.since, since ?? Number.POSITIVE_INFINITY)
      for (const id of runIds) entry.wanted.add(id)
      const age = Math.max(maxAge, interval(asked))
      if (asked >= entry.blockedUntil && asked - (entry.readAt ?? Number.NEGATIVE_INFINITY) >= age) {
        entry.reading ??= read(entry).finally(() => {
          entry.reading = null
        })
      }
      await entry.reading
      const listed = listedRuns(entry)
      if (entry.access !== 'forbidden') {
        for (const id of runIds)
          if (!listed.has(id)) await readById(entry, id, Math.max(maxAge, MIN_INTERVAL_MS))
      }
      return show(entry, listed, runIds, age)
    },
  }

  function open(repository: string, event: RunEvent): Entry {
    const key = `${event} ${repository.toLowerCase()}`
    const known = entries.get(key)
    // After the clock was set back, the times of the entry are of no use.
    const entry = known && known.askedAt <= clock() + SET_BACK_MS ? known : newEntry(repository, event)
    entries.set(key, entry)
    return entry
  }

  /** How old a list may be, so that all lists together stay within the budget. */
  function interval(now: number): number {
    let cost = 0
    for (const [key, entry] of entries) {
      if (entry.askedAt > now - ACTIVE_MS) cost += entry.access === 'read' ? entry.cost : 0
      else if (!entry.reading) entries.delete(key)
    }
    return Math.max(MIN_INTERVAL_MS, (cost * 60_000) / perMinute)
  }

  async function read(entry: Entry): Promise<void> {
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
        const { data, etag } = await github.runsPage(
          entry.repository,
          page + 1,
          known?.etag ?? null,
          entry.event,
        )
        if (data) {
          entry.pages[page] = { runs: data, etag }
          // Further pages have shifted.
          entry.pages.length = page + 1
        }
        const { runs } = entry.pages[page] as Entry['pages'][number]
        for (const run of runs) wanted.delete(run.id)
        page++
        const oldest = runs.at(-1)?.createdAt ?? 0
        const isLast = runs.length < PAGE
        entry.covers = isLast ? 0 : oldest
        if (isLast || (oldest < since && wanted.size < WORTH_A_PAGE) || page === MAX_PAGES) break
      }
      if (page === 0) return
      entry.pages.length = page
      Object.assign(entry, { access: 'read', reason: null, refused: null, readAt: clock(), tries: 0 })
      for (const id of listedRuns(entry).keys()) entry.byId.delete(id)
    } catch (error) {
      noteFailure(entry, error)
    } finally {
      entry.cost = Math.max(1, cost)
    }
  }

  function noteFailure(entry: Entry, error: unknown): void {
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

  async function readById(entry: Entry, id: number, maxAge: number): Promise<void> {
    const known = entry.byId.get(id)
    if ((known && clock() - known.readAt < maxAge) || !budgetById.take()) return
    try {
      const { data, etag } = await github.run(entry.repository, id, known?.etag ?? null)
      keep({ run: data ?? known?.run ?? null, etag, misses: 0 })
    } catch (error) {
      // The list could be read, or is not forbidden: the run does not exist, and no permission is missing.
      const isMissing = error instanceof RequestError && error.response?.status === 404
      if (isMissing) keep({ run: null, etag: null, misses: (known?.misses ?? 0) + 1 })
    }

    function keep(found: { run: WorkflowRun | null; etag: string | null; misses: number }): void {
      entry.byId.delete(id)
      entry.byId.set(id, { ...found, readAt: clock() })
      const oldest = entry.byId.size > MAX_BY_ID ? entry.byId.keys().next().value : undefined
      if (oldest !== undefined) entry.byId.delete(oldest)
    }
  }

  function show(
    entry: Entry,
    listed: ReadonlyMap<number, WorkflowRun>,
    runIds: readonly number[],
    age: number,
  ): Snapshot {
    const runs = new Map(listed)
    const gone = new Set<number>()
    for (const id of runIds) {
      const one = entry.byId.get(id)
      if (one?.run) runs.set(id, one.run)
      else if (one && one.misses >= MISSES && !runs.has(id)) gone.add(id)
    }
    const { access, reason, refused, readAt, covers, blockedUntil } = entry
    return {
      access: readAt === null && access === 'read' ? 'unavailable' : access,
      reason,
      refusedFor: refused ? refused.last - refused.first : 0,
      runs,
      gone,
      readAt,
      covers,
      nextAt: access === 'forbidden' ? clock() : Math.max(clock(), blockedUntil, (readAt ?? 0) + age),
    }
  }
}

const listedRuns = (entry: Entry) =>
  new Map(entry.pages.flatMap(({ runs }) => runs.map(run => [run.id, run] as const)))

const newEntry = (repository: string, event: RunEvent): Entry => ({
  repository,
  event,
  askedAt: 0,
  since: Number.POSITIVE_INFINITY,
  wanted: new Set(),
  pages: [],
  byId: new Map(),
  access: 'read',
  reason: null,
  refused: null,
  readAt: null,
  covers: Number.POSITIVE_INFINITY,
  blockedUntil: 0,
  tries: 0,
  cost: 1,
  reading: null,
})
