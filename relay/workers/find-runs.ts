import type { Delivery, DeliveryRun, Evidence } from '../delivery/delivery.ts'
import {
  type BindingFacts,
  canHaveStarted,
  decisiveRuns,
  isNamed,
  isOfAnother,
  isSinceDispatch,
  LEEWAY_MS,
  matchRuns,
  mergeRuns,
  refresh,
  startEvent,
  titleIds,
} from '../delivery/match.ts'
import type { Found } from '../delivery/observation.ts'
import type { RunCache } from '../github/run-cache.ts'
import type { WorkflowRun } from '../github/runs.ts'
import { runKey } from '../store/sql/intake.ts'
import { type Attempted, MAX_OTHERS, type Store } from '../store/store.ts'

export interface FindRunsDeps {
  store: Pick<Store, 'findRuns' | 'attemptedBetween' | 'clock'>
  cache: RunCache
  findOwners: FindOwners
  /** GitHub's clock minus the store's, in milliseconds. */
  clockOffset: () => number
  /** RELAY_START_TIMEOUT, in milliseconds. */
  startTimeout: number
}

export type FindRuns = (
  delivery: Delivery,
  options: { maxAge: number; externalRunId: number | null },
) => Promise<Found>

/** Finds a delivery's workflow runs, both bound runs and runs for which `match.ts` finds evidence. */
export function createFindRuns({
  store,
  cache,
  findOwners,
  clockOffset,
  startTimeout,
}: FindRunsDeps): FindRuns {
  return async (delivery, { maxAge, externalRunId }) => {
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
        runIds: external === null ? wanted : [...new Set([...wanted, external])],
      },
      maxAge,
    )
    // Call clockOffset() again, because a relay that just started learns GitHub's time from this response.
    const dispatchedAt = attemptedAt + clockOffset()
    const seen = delivery.runs.map(run => refresh(run, snapshot.runs.get(run.id)))
    const whole = snapshot.access === 'read' && snapshot.covers < dispatchedAt
    const found = { runs: seen, candidates: [], snapshot, whole, elsewhere: false }
    if (isKnown) return found

    const runs = [...snapshot.runs.values()]
    // If the relay has no access to the runs, use the run that Port identifies.
    if (external !== null && snapshot.access === 'forbidden' && !snapshot.runs.has(external)) {
      runs.push(unseenRun(external))
    }
    const recorded = await store.findRuns(
      delivery.repository,
      runs.map(run => run.id),
    )
    const now = store.clock()
    const facts: BindingFacts = {
      runs,
      // Match runs bound by title again, because Port could identify one of them.
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
      // Only these runs' titles can affect the match.
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
        return !isTitled(run) && !owners.has(run.id) && isOfAnother(run, [], facts)
      }
      const isUndecided = (run: WorkflowRun) =>
        owners.get(run.id) === null || (isTitled(run) && !owners.has(run.id))
      const idsOf = (runs: readonly WorkflowRun[]) => runs.map(run => run.id)
      // If the result is truncated, assume another dispatch with the same event type.
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
    const bound = isBound
      ? mergeRuns(
          seen,
          match.runs.map(run => toDeliveryRun(run, evidence)),
        )
      : seen
    // GitHub's run ids increase, so a run started by another run has a larger id than that run.
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

/** Finds a repository's open and finished deliveries by the ids that workflow run titles contain. */
export type FindByTitle = (repository: string, titles: readonly string[]) => Promise<Delivery[]>

/** Limit per query. SQLite accepts 32,766 parameters, and the store rounds their number up to a power of two. */
const MAX_PARAMETERS = 8_000

/** @param organizations ids of all organizations, because a title doesn't show a Port run's organization */
export function createFindByTitle(
  store: Pick<Store, 'findByTitle'>,
  organizations: readonly string[],
): FindByTitle {
  return async (repository, titles) => {
    const all = [...new Set(titles.flatMap(titleIds))]
    const found: Delivery[] = []
    const size = Math.max(1, Math.floor(MAX_PARAMETERS / (organizations.length + 1)))
    for (let first = 0; first < all.length; first += size) {
      const ids = all.slice(first, first + size)
      const dedupeKeys = organizations.flatMap(organization => ids.map(id => runKey(organization, id)))
      found.push(...(await store.findByTitle(repository, { dedupeKeys, ids })))
    }
    return found.filter(delivery => titles.some(title => isNamed(title, delivery)))
  }
}

/**
 * Finds each workflow run's delivery according to the run's title. Null if the title is inconclusive.
 * Omits runs whose titles contain no delivery id.
 */
export type FindOwners = (
  repository: string,
  runs: readonly WorkflowRun[],
) => Promise<ReadonlyMap<number, Delivery | null>>

/**
 * If a title contains several ids, the owner is the delivery received last, because a title can quote earlier ids but
 * not later ids. Users can also enter other organizations' ids. A title is therefore inconclusive if another
 * organization's delivery could have started the run, unless that delivery is known to have another run.
 */
export function createFindOwners(deps: {
  store: Pick<Store, 'attemptedBetween'>
  findByTitle: FindByTitle
  /** Ids of all organizations. */
  organizations: readonly string[]
  /** GitHub's clock minus the store's, in milliseconds. */
  clockOffset: () => number
  /** RELAY_START_TIMEOUT, in milliseconds. */
  startTimeout: number
}): FindOwners {
  const { store, findByTitle: findNamed, organizations, clockOffset, startTimeout } = deps
  return async (repository, runs) => {
    const named = await findNamed(
      repository,
      runs.map(run => run.title),
    )
    const owners = new Map<number, Delivery>()
    for (const run of runs) {
      const owner = named
        .filter(delivery => isNamed(run.title, delivery))
        .sort(byReception)
        .at(-1)
      if (owner) owners.set(run.id, owner)
    }
    if (organizations.length < 2 || owners.size === 0) return owners

    const clocks = { clockOffset: clockOffset(), startTimeout }
    const times = runs.map(run => run.createdAt - clocks.clockOffset)
    const [from, to] = [Math.min(...times) - startTimeout - LEEWAY_MS, Math.max(...times) + LEEWAY_MS]
    const attempted = await store.attemptedBetween(repository, from, to, '')
    const hasOtherRun = ({ id, hasRun }: Attempted, { id: runId }: WorkflowRun) =>
      hasRun || runs.some(run => run.id !== runId && owners.get(run.id)?.id === id)
    const decided = new Map<number, Delivery | null>(owners)
    for (const run of runs) {
      const owner = owners.get(run.id)
      const isRivals = attempted.some(
        each =>
          each.organization !== owner?.organization &&
          canHaveStarted(each, run, clocks) &&
          !hasOtherRun(each, run),
      )
      // If the result is truncated, there could be more rivals.
      if (owner && (isRivals || attempted.length === MAX_OTHERS)) decided.set(run.id, null)
    }
    return decided
  }
}

const byReception = (a: Delivery, b: Delivery) => a.receivedAt - b.receivedAt || a.seq - b.seq
