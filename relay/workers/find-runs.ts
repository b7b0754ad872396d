import type { Delivery, DeliveryRun, Evidence } from '../delivery/delivery.ts'
import {
  type BindingFacts,
  decisiveRuns,
  isNamed,
  isOfAnother,
  isSinceDispatch,
  matchRuns,
  mergeRuns,
  refresh,
  startEvent,
  titleIds,
} from '../delivery/match.ts'
import type { Found } from '../delivery/observation.ts'
import type { RunCache } from '../github/run-cache.ts'
import type { WorkflowRun } from '../github/runs.ts'
import { MAX_OTHERS, type Store } from '../store/store.ts'

export type FindOwners = ReturnType<typeof createFindOwners>
export type FindRuns = ReturnType<typeof createFindRuns>

/** Creates a function that finds a delivery's workflow runs: the bound runs, and the runs for which `match.ts` finds evidence. */
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
    // clockOffset() is called again: if the relay has just started, GitHub's time is known only since this response.
    const dispatchedAt = attemptedAt + clockOffset()
    const seen = delivery.runs.map(run => refresh(run, snapshot.runs.get(run.id)))
    const whole = snapshot.access === 'read' && snapshot.covers < dispatchedAt
    const found = { runs: seen, candidates: [], snapshot, whole, elsewhere: false }
    if (isKnown) return found

    const runs = [...snapshot.runs.values()]
    // Without access to the list, the relay uses the run that Port identifies.
    if (external !== null && snapshot.access === 'forbidden' && !snapshot.runs.has(external)) {
      runs.push(unseenRun(external))
    }
    const idsOf = (runs: readonly WorkflowRun[]) => runs.map(run => run.id)
    const recorded = await store.findRuns(delivery.repository, idsOf(runs))
    const now = store.clock()
    const facts: BindingFacts = {
      runs,
      // Runs that this delivery bound by title don't count as taken, because Port may now identify one of them.
      taken: new Set(recorded.filter(run => run.delivery !== delivery.id || run.past).map(run => run.id)),
      undecided: new Set(),
      externalRunId: external,
      clockOffset: clockOffset(),
      dispatchedAt,
      readAt: (snapshot.readAt ?? 0) + clockOffset(),
      startTimeout,
      whole,
      others: [],
    }
    let match = matchRuns(delivery, facts)
    const isNew = match.runs.some(run => !seen.some(each => each.id === run.id))
    if (match.evidence !== 'port' && isNew) {
      const from = attemptedAt - startTimeout
      const isTitled = (run: WorkflowRun) => isNamed(run.title, delivery)
      // No other run's title affects the match.
      const relevant = runs.filter(
        run => !facts.taken.has(run.id) && (isTitled(run) || isSinceDispatch(run, facts)),
      )
      const [others, owners] = await Promise.all([
        store.attemptedBetween(delivery.repository, from, now, delivery.id),
        findOwners(delivery.repository, relevant),
      ])
      const isForeign = (run: WorkflowRun) => {
        const owner = owners.get(run.id)
        if (owner) return owner.id !== delivery.id && (isTitled(run) || isOfAnother(run, [owner], facts))
        return !isTitled(run) && isOfAnother(run, [], facts)
      }
      const isUndecided = (run: WorkflowRun) => isTitled(run) && !owners.has(run.id)
      // A list of MAX_OTHERS deliveries may be incomplete. The delivery that is missing could have the same event type.
      const rest = others.length === MAX_OTHERS ? [{ eventType: delivery.eventType }] : []
      match = matchRuns(delivery, {
        ...facts,
        taken: new Set([...facts.taken, ...idsOf(relevant.filter(isForeign))]),
        undecided: new Set(idsOf(relevant.filter(isUndecided))),
        others: [...others, ...rest],
      })
    }
    const { evidence } = match
    const isBound = evidence !== null && (present.length === 0 || evidence !== 'candidate')
    const matched = isBound ? match.runs.map(run => toDeliveryRun(run, evidence)) : []
    const bound = isBound ? mergeRuns(seen, matched) : seen
    // GitHub's run IDs increase, so a run has a larger ID than the run that started it.
    const elsewhere =
      external !== null && !facts.taken.has(external) && bound.every(run => run.past || run.id < external)
    return {
      ...found,
      runs: bound,
      candidates: isBound || present.length > 0 ? [] : match.runs,
      elsewhere: elsewhere && !bound.some(run => run.id === external),
    }
  }
}

const unseenRun = (id: number): WorkflowRun => ({
  ...{ id, attempt: 1, workflowId: null, workflow: null, ref: null, event: 'unknown', title: '' },
  ...{ status: 'unknown', conclusion: null, url: '', createdAt: 0, updatedAt: 0 },
})

export const toDeliveryRun = (
  { id, attempt, status, conclusion, url }: WorkflowRun,
  evidence: Evidence,
): DeliveryRun => ({ id, attempt, evidence, past: false, status, conclusion, url })

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
