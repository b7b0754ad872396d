import type { Delivery } from '../delivery/delivery.ts'
import {
  type BindingFacts,
  bindRuns,
  decisiveRuns,
  isNamed,
  refresh,
  startEvent,
  titleIds,
  unclearRuns,
} from '../delivery/match.ts'
import type { Found } from '../delivery/observation.ts'
import type { RunCache } from '../github/run-cache.ts'
import type { WorkflowRun } from '../github/runs.ts'
import { MAX_OTHERS, type Store } from '../store/store.ts'

export type FindOwners = ReturnType<typeof createFindOwners>
export type FindRuns = ReturnType<typeof createFindRuns>

/** Creates a function that reads the facts about a delivery's workflow runs. `match.ts` decides which runs belong to the delivery. */
export function createFindRuns(deps: {
  store: Pick<Store, 'findRuns' | 'attemptedBetween' | 'clock'>
  cache: RunCache
  findOwners: FindOwners
  /** GitHub's time minus the store's time, in milliseconds. */
  clockOffset: () => number
  startTimeout: number
}) {
  const { store, cache, findOwners, clockOffset, startTimeout } = deps
  /** @param options.quick whether to read a bound run by its ID now */
  return async (
    delivery: Delivery,
    options: { maxAge: number; externalRunId: number | null; quick?: boolean },
  ): Promise<Found> => {
    const { maxAge, externalRunId, quick = false } = options
    const present = decisiveRuns(delivery.runs)
    const attemptedAt = delivery.attemptedAt ?? delivery.dispatchedAt ?? delivery.queuedAt
    const since = present.length > 0 ? null : attemptedAt + clockOffset() - startTimeout
    const wanted = present.filter(run => run.status !== 'completed').map(run => run.id)
    const isKnown = present.some(run => run.evidence !== 'title')
    const external = isKnown ? null : externalRunId
    const snapshot = await cache.poll(
      delivery.repository,
      {
        event: startEvent(delivery),
        since,
        quick: quick && wanted.length > 0,
        runIds: external === null ? wanted : [...new Set([...wanted, external])],
      },
      maxAge,
    )
    // clockOffset() is called again, because a relay that has just started learns GitHub's time from the response to this poll.
    const dispatchedAt = attemptedAt + clockOffset()
    const bound = delivery.runs.map(run => refresh(run, snapshot.runs.get(run.id)))
    const whole = snapshot.access === 'read' && snapshot.covers < dispatchedAt
    if (isKnown) return { runs: bound, candidates: [], snapshot, whole, elsewhere: false }

    const runs = [...snapshot.runs.values()]
    // Without access to the list, the relay uses the run that Port identifies.
    if (external !== null && snapshot.access === 'forbidden' && !snapshot.runs.has(external)) {
      runs.push(unseenRun(external))
    }
    const ids = runs.map(run => run.id)
    const recorded = await store.findRuns(delivery.repository, ids)
    const now = store.clock()
    const facts: BindingFacts = {
      ...{ runs, bound, externalRunId: external, clockOffset: clockOffset(), dispatchedAt, startTimeout },
      ...{ readAt: (snapshot.readAt ?? 0) + clockOffset(), whole, owners: new Map(), others: [] },
      // Runs that this delivery bound by title don't count as taken, because Port may now identify one of them.
      taken: new Set(recorded.filter(run => run.delivery !== delivery.id || run.past).map(run => run.id)),
    }
    const unclear = unclearRuns(delivery, facts)
    if (unclear.length > 0) {
      const from = attemptedAt - startTimeout
      const [others, owners] = await Promise.all([
        store.attemptedBetween(delivery.repository, from, now, delivery.id),
        findOwners(delivery.repository, unclear),
      ])
      // A list of MAX_OTHERS deliveries may be incomplete, and a missing delivery could have the same event type.
      const rest = others.length === MAX_OTHERS ? [{ eventType: delivery.eventType }] : []
      Object.assign(facts, { owners, others: [...others, ...rest] })
    }
    return { ...bindRuns(delivery, facts), snapshot, whole }
  }
}

const unseenRun = (id: number): WorkflowRun => ({
  ...{ id, attempt: 1, workflowId: null, workflow: null, ref: null, event: 'unknown', title: '' },
  ...{ status: 'unknown', conclusion: null, url: '', createdAt: 0, updatedAt: 0 },
})

export type FindByTitle = ReturnType<typeof createFindByTitle>

/** The number of IDs per query. A query has two parameters per ID, padded to a power of two. SQLite accepts 32,766 parameters. */
const MAX_IDS = 4_000

/** Creates a function that finds a repository's open and finished deliveries by the IDs in the titles of workflow runs. */
export function createFindByTitle(store: Pick<Store, 'findByTitle'>) {
  return async (repository: string, titles: readonly string[]): Promise<Delivery[]> => {
    const ids = [...new Set(titles.flatMap(titleIds))]
    const found: Delivery[] = []
    for (let first = 0; first < ids.length; first += MAX_IDS)
      found.push(...(await store.findByTitle(repository, ids.slice(first, first + MAX_IDS))))
    return found.filter(delivery => titles.some(title => isNamed(title, delivery)))
  }
}

/**
 * Creates a function that finds the delivery of each run by the run's title. If a title contains the IDs of several
 * deliveries, the run belongs to the newest one: a title can quote the ID of an earlier delivery, but not of a later
 * one.
 */
export function createFindOwners(findByTitle: FindByTitle) {
  return async (repository: string, runs: readonly WorkflowRun[]): Promise<ReadonlyMap<number, Delivery>> => {
    const titles = runs.map(run => run.title)
    const found = await findByTitle(repository, titles)
    const named = found.sort((a, b) => a.receivedAt - b.receivedAt || a.seq - b.seq)
    return new Map(
      runs.flatMap(run => {
        const owner = named.findLast(delivery => isNamed(run.title, delivery))
        return owner ? [[run.id, owner] as const] : []
      }),
    )
  }
}
