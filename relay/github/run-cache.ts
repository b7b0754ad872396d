import { RequestError } from '@octokit/request-error'
import { BoundedMap } from '../cache.ts'
import { readFailure } from './errors.ts'
import { createRequestBudget, type RequestBudget } from './rate-limit-pause.ts'
import type { RunReader, WorkflowRun } from './runs.ts'

type RunEvent = 'repository_dispatch' | 'workflow_dispatch'

interface Want {
  event: RunEvent
  /** Runs created since this time are needed, in milliseconds since 1970 by GitHub's clock; null if `runIds` lists all needed runs. */
  since: number | null
  runIds: readonly number[]
  /** Whether to read the runs by their IDs instead of the list, if the budget allows it. */
  quick?: boolean
}

/** What the cache knows about a repository's runs. Times are milliseconds since 1970. */
export interface Snapshot {
  /** `forbidden`: the credential lacks Actions: read. `unavailable`: the relay can't read the list now. */
  access: 'read' | 'forbidden' | 'unavailable'
  reason: string | null
  /** The milliseconds between GitHub's first and latest consecutive refusals. A single refusal may be a mistake. */
  refusedFor: number
  runs: ReadonlyMap<number, WorkflowRun>
  /** The requested IDs whose runs no longer exist on GitHub. */
  gone: ReadonlySet<number>
  /** When the last successful read of the list started, by the relay's clock; null without such a read. */
  readAt: number | null
  /** The time since which the list contains all runs. */
  covers: number
  /** When the next poll may show new data. */
  nextAt: number
}

const PAGE = 100
/** The minimum time between the starts of two reads of one list. */
const MIN_INTERVAL_MS = 5_000
/** The maximum number of pages to read. Runs on later pages are read by ID. */
const MAX_PAGES = 5
/** If this many needed runs are missing, the next page is read. */
const WORTH_A_PAGE = 3
/** The wait after GitHub's first refusal. It is short, because a single refusal may be a mistake. */
const REFUSED_ONCE_MS = 60_000
/** The longest wait after later refusals. An operator can grant the permission at any time. */
const FORBIDDEN_MS = 300_000
/** After this many consecutive 404s, a run counts as deleted. A single 404 can come from a replica that doesn't have a new run yet. */
const MISSES = 2
/** If no delivery polls a list for this long, the cache forgets the list. */
const FORGOTTEN_MS = 120_000
/** The share of list requests for planned polls. The rest is for new repositories, and for further pages of a list. */
const PLANNED = 0.95
const MINUTE_MS = 60_000
const MAX_BY_ID = 1_000

interface RunCacheDeps {
  github: Pick<RunReader, 'runsPage' | 'run'>
  /** `limitOf`: returns the key of the rate limit for a repository. `perMinute`: returns how many list requests per minute a rate limit allows. */
  limitOf: (repository: string) => string
  perMinute: (limit: string) => number
  /** The budget for all list requests together, including those that GitHub doesn't count. */
  total: Pick<RequestBudget, 'take' | 'freeAt'>
  /** The budget for reading runs by ID. It is separate, so that many old runs don't block the lists. */
  budgetById: RequestBudget
  /** The budgets for quick reads: `all` for all runs together, `ofRun` for each run. */
  quick: { all: RequestBudget; ofRun: () => RequestBudget }
  clock: () => number
}

/** Creates the cache of runs. All deliveries of a relay share its lists and its budget. */
export function createRunCache(deps: RunCacheDeps) {
  const { github, limitOf, perMinute, total, budgetById, clock, quick } = deps
  const budgets = new BoundedMap<string, RequestBudget>(MAX_BY_ID)
  function budgetOf(limit: string): RequestBudget {
    const budget = budgets.get(limit) ?? createRequestBudget(() => perMinute(limit), MINUTE_MS, clock)
    budgets.set(limit, budget)
    return budget
  }
  const quickOfRun = new BoundedMap<number, RequestBudget>(MAX_BY_ID)
  const open = (repository: string, event: RunEvent) => ({
    limit: limitOf(repository),
    list: createRunList(repository, event, {
      ...{ github, budget: budgetOf(limitOf(repository)), total, clock },
    }),
    byId: createRunsById(repository, { github, budget: budgetById, clock }),
    polledAt: clock(),
  })
  const entries = new Map<string, ReturnType<typeof open>>()

  /** Returns the age at which a list is read again, so that all lists with the same rate limit stay within its budget. */
  function plan(limit: string): number {
    const intervalOf = (lists: number, of = limit) =>
      Math.max(MIN_INTERVAL_MS, (lists * MINUTE_MS) / (perMinute(of) * PLANNED))
    let ofLimit = 0
    for (const [key, entry] of entries) {
      const longest = FORGOTTEN_MS + intervalOf(entries.size, entry.limit)
      // A time in the future means that the clock was set back.
      if (Math.abs(clock() - entry.polledAt) > longest) entries.delete(key)
      else if (entry.limit === limit) ofLimit++
    }
    return intervalOf(ofLimit)
  }

  function takeQuick(id: number): boolean {
    const ofRun = quickOfRun.get(id) ?? quick.ofRun()
    quickOfRun.set(id, ofRun)
    return ofRun.take() && quick.all.take()
  }

  return {
    /** Returns a repository's runs. @param maxAge the maximum age of the list, in milliseconds. The list can be older if the budget is used up. */
    async poll(
      repository: string,
      { event, since, runIds, quick = false }: Want,
      maxAge: number,
    ): Promise<Snapshot> {
      const key = `${event} ${repository.toLowerCase()}`
      const interval = plan(limitOf(repository))
      const entry = entries.get(key) ?? open(repository, event)
      entries.set(key, Object.assign(entry, { polledAt: clock() }))
      const { list, byId } = entry
      const age = Math.max(maxAge, interval)
      const { readAt, access: before } = list.access()
      // Without access to the list, a 404 doesn't show that the run was deleted.
      if (quick && readAt !== null && before !== 'forbidden' && runIds.every(takeQuick)) {
        for (const id of runIds) await byId.read(id)
      } else {
        await list.refresh(since, runIds, age)
      }
      const runs = new Map(list.runs())
      const access = list.access()
      for (const id of runs.keys()) byId.deleteBefore(id, access.readAt ?? 0)
      const isForbidden = access.access === 'forbidden'
      const missing = runIds.filter(id => !runs.has(id))
      if (!isForbidden) for (const id of missing) await byId.read(id, Math.max(maxAge, MIN_INTERVAL_MS))
      const gone = new Set<number>()
      for (const id of runIds) {
        const run = byId.get(id)
        if (run !== 'gone' && run) runs.set(id, run)
        else if (run === 'gone' && !runs.has(id)) gone.add(id)
      }
      const dueAt = Math.max(clock(), list.blockedUntil(), (access.readAt ?? 0) + age)
      return { ...access, runs, gone, nextAt: isForbidden ? clock() : dueAt }
    },
  }
}

export type RunCache = ReturnType<typeof createRunCache>

type ReadDeps = Pick<RunCacheDeps, 'github' | 'clock'> & { budget: RequestBudget }

/** Keeps the newest runs that one type of event started in a repository. */
function createRunList(
  repository: string,
  event: RunEvent,
  { github, budget, total, clock }: ReadDeps & Pick<RunCacheDeps, 'total'>,
) {
  /** The next read must contain the runs since this time, and the runs with these IDs. */
  let since = Number.POSITIVE_INFINITY
  let wanted = new Set<number>()
  const pages: { runs: WorkflowRun[]; etag: string | null }[] = []
  let covers = Number.POSITIVE_INFINITY
  let readAt: number | null = null
  let failure: Pick<Snapshot, 'access' | 'reason'> | null = null
  /** The times of GitHub's first and latest refusal since the latest successful read. */
  let refused: { first: number; last: number } | null = null
  let tries = 0
  let blockedUntil = 0
  let reading: Promise<void> | null = null

  return {
    runs: () => new Map(pages.flatMap(({ runs }) => runs.map(run => [run.id, run] as const))),
    /** Records which runs are needed. If the list is older than `maxAge` and the budget allows it, reads the list. */
    async refresh(from: number | null, runIds: readonly number[], maxAge: number) {
      since = Math.min(since, from ?? Number.POSITIVE_INFINITY)
      for (const id of runIds) wanted.add(id)
      const now = clock()
      if (now >= blockedUntil && now - (readAt ?? Number.NEGATIVE_INFINITY) >= maxAge) {
        reading ??= read().finally(() => {
          reading = null
        })
      }
      await reading
    },
    access: (): Pick<Snapshot, 'access' | 'reason' | 'refusedFor' | 'readAt' | 'covers'> => ({
      access: failure?.access ?? (readAt === null ? 'unavailable' : 'read'),
      reason: failure?.reason ?? null,
      refusedFor: refused ? refused.last - refused.first : 0,
      readAt,
      covers,
    }),
    blockedUntil: () => blockedUntil,
  }

  async function read(): Promise<void> {
    const [oldestWanted, missing, startedAt] = [since, wanted, clock()]
    since = Number.POSITIVE_INFINITY
    wanted = new Set()
    let page = 0
    try {
      for (;;) {
        if (!budget.take()) {
          if (page === 0) blockedUntil = budget.freeAt()
          break
        }
        if (!total.take()) {
          budget.giveBack()
          if (page === 0) blockedUntil = total.freeAt()
          break
        }
        const runs = await readPage(page++)
        for (const run of runs) missing.delete(run.id)
        const oldest = runs.at(-1)?.createdAt ?? 0
        const isLast = runs.length < PAGE
        covers = isLast ? 0 : oldest
        if (isLast || page === MAX_PAGES) break
        if (oldest < oldestWanted && missing.size < WORTH_A_PAGE) break
      }
      if (page === 0) return
      pages.length = page
      failure = null
      refused = null
      tries = 0
      readAt = startedAt
    } catch (error) {
      noteFailure(error)
    }
  }

  async function readPage(page: number): Promise<WorkflowRun[]> {
    const { data, etag } = await github.runsPage(repository, page + 1, pages[page]?.etag ?? null, event)
    // GitHub doesn't count a 304 against the rate limit.
    if (!data) budget.giveBack()
    if (data) {
      pages[page] = { runs: data, etag }
      // If this page has changed, the cached pages after it are outdated.
      pages.length = page + 1
    }
    return pages[page]?.runs ?? []
  }

  function noteFailure(error: unknown): void {
    const now = clock()
    const found = readFailure(error, { repository, now, tries: tries++ })
    failure = { access: found.kind === 'forbidden' ? 'forbidden' : 'unavailable', reason: found.reason }
    if (found.kind === 'later') {
      blockedUntil = found.at
      return
    }
    blockedUntil = now + (refused ? FORBIDDEN_MS : REFUSED_ONCE_MS)
    refused = { first: refused?.first ?? now, last: now }
  }
}

/** Reads runs that aren't in the list by their IDs. */
function createRunsById(repository: string, { github, budget, clock }: ReadDeps) {
  interface Known {
    run: WorkflowRun | null
    etag: string | null
    readAt: number
    misses: number
  }
  const entries = new BoundedMap<number, Known>(MAX_BY_ID)

  return {
    /** Reads a run. Without `maxAge`, reads it immediately, and doesn't count the request against the budget. */
    async read(id: number, maxAge?: number) {
      const known = entries.get(id)
      const readAt = clock()
      if (maxAge !== undefined && ((known && readAt - known.readAt < maxAge) || !budget.take())) return
      try {
        const { data, etag } = await github.run(repository, id, known?.etag ?? null)
        entries.set(id, { run: data ?? known?.run ?? null, etag, misses: 0, readAt })
      } catch (error) {
        // The credential can read the list, so this 404 doesn't mean that a permission is missing.
        if (!(error instanceof RequestError) || error.response?.status !== 404) return
        entries.set(id, { run: null, etag: null, misses: (known?.misses ?? 0) + 1, readAt })
      }
    },
    get(id: number): WorkflowRun | 'gone' | undefined {
      const known = entries.get(id)
      return known && (known.run ?? (known.misses >= MISSES ? 'gone' : undefined))
    },
    /** Forgets a run, unless it was read after the list. */
    deleteBefore(id: number, readAt: number) {
      if ((entries.get(id)?.readAt ?? 0) <= readAt) entries.delete(id)
    },
  }
}
