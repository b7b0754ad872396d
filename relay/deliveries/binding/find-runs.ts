import type { RunCache, Snapshot } from '../../github/run-cache.ts'
import type { WorkflowRun } from '../../github/workflow-run.ts'
import type { Delivery, DeliveryRun, Evidence } from '../../store/delivery.ts'
import { MAX_OTHERS, type Store } from '../../store/store.ts'
import { decisiveRuns, mergeRuns, refresh } from '../transition/runs.ts'
import type { FindOwners } from './find-owners.ts'
import {
  type BindingFacts,
  isNamed,
  isOfAnother,
  isSinceDispatch,
  matchRuns,
  startEvent,
} from './match-runs.ts'

export interface FindRunsDeps {
  store: Pick<Store, 'findRuns' | 'attemptedBetween' | 'clock'>
  cache: RunCache
  findOwners: FindOwners
  /** GitHub's clock minus the store's, milliseconds. */
  clockOffset: () => number
  /** RELAY_START_TIMEOUT, milliseconds. */
  startTimeout: number
}

/** What is known of the runs of a delivery. */
export interface Found {
  /** All that belong to it, past ones included, as they are now. */
  runs: DeliveryRun[]
  /** Those that could belong to it, where none does. */
  candidates: WorkflowRun[]
  snapshot: Snapshot
  /** Whether the list shows all runs since the dispatch. */
  whole: boolean
  /** Port names a run that is not in this repository, as where a workflow started another one for the work. */
  elsewhere: boolean
}

export type FindRuns = (
  delivery: Delivery,
  options: { maxAge: number; externalRunId: number | null },
) => Promise<Found>

/** Finds the workflow runs of a delivery: those bound to it, and those that the evidence of `match-runs.ts` binds. */
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
    const snapshot = await cache.look(
      delivery.repository,
      {
        event: startEvent(delivery),
        since,
        runIds: external === null ? wanted : [...new Set([...wanted, external])],
      },
      maxAge,
    )
    // A relay that has just started knows GitHub's clock by this answer.
    const dispatchedAt = attemptedAt + clockOffset()
    const seen = delivery.runs.map(run => refresh(run, snapshot.runs.get(run.id)))
    const whole = snapshot.access === 'read' && snapshot.covers < dispatchedAt
    const found = { runs: seen, candidates: [], snapshot, whole, elsewhere: false }
    if (isKnown) return found

    const runs = [...snapshot.runs.values()]
    // Where runs may not be read, what Port names is all that can be known.
    if (external !== null && snapshot.access === 'forbidden' && !snapshot.runs.has(external)) {
      runs.push(unseenRun(external))
    }
    const owned = await store.findRuns(
      delivery.repository,
      runs.map(run => run.id),
    )
    const now = store.clock()
    const sight: BindingFacts = {
      runs,
      // Runs bound by title are matched again, since Port may name one of them.
      taken: new Set(owned.filter(run => run.delivery !== delivery.id || run.past).map(run => run.id)),
      undecided: new Set(),
      externalRunId: external,
      clockOffset: clockOffset(),
      dispatchedAt,
      readAt: (snapshot.readAt ?? 0) + clockOffset(),
      startTimeout,
      whole,
      others: [],
    }
    let match = matchRuns(delivery, sight)
    const isNew = match.runs.some(run => !seen.some(each => each.id === run.id))
    if (match.evidence !== 'port' && isNew) {
      const from = attemptedAt - startTimeout
      const isTitled = (run: WorkflowRun) => isNamed(run.title, delivery)
      // Other titles show which runs the deliveries of others have.
      const relevant = runs.filter(
        run => !sight.taken.has(run.id) && (isTitled(run) || isSinceDispatch(run, sight)),
      )
      const [others, owners] = await Promise.all([
        store.attemptedBetween(delivery.repository, from, now, delivery.id),
        findOwners(delivery.repository, relevant),
      ])
      const isForeign = (run: WorkflowRun) => {
        const owner = owners.get(run.id)
        if (owner) return owner.id !== delivery.id && (isTitled(run) || isOfAnother(run, [owner], sight))
        return !isTitled(run) && !owners.has(run.id) && isOfAnother(run, [], sight)
      }
      const isUndecided = (run: WorkflowRun) =>
        owners.get(run.id) === null || (isTitled(run) && !owners.has(run.id))
      const idsOf = (runs: readonly WorkflowRun[]) => runs.map(run => run.id)
      // Beyond what is listed, one of the same event type may have been dispatched.
      const rest = others.length === MAX_OTHERS ? [{ eventType: delivery.eventType }] : []
      match = matchRuns(delivery, {
        ...sight,
        taken: new Set([...sight.taken, ...idsOf(relevant.filter(isForeign))]),
        undecided: new Set(idsOf(relevant.filter(isUndecided))),
        others: [...others, ...rest],
      })
    }
    const { evidence } = match
    const isBound = evidence !== null && (present.length === 0 || evidence !== 'only_candidate')
    const bound = isBound
      ? mergeRuns(
          seen,
          match.runs.map(run => toDeliveryRun(run, evidence)),
        )
      : seen
    // GitHub counts runs upwards: one that another has started has the larger id.
    const elsewhere =
      external !== null && !sight.taken.has(external) && bound.every(run => run.past || run.id < external)
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
