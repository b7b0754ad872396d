import type { WorkflowRun } from '../../github/workflow-run.ts'
import type { Delivery } from '../../store/delivery.ts'
import { type Attempted, MAX_OTHERS, type Store } from '../../store/store.ts'
import type { FindNamed } from './find-named.ts'
import { canHaveStarted, isNamed, LEEWAY_MS } from './match-runs.ts'

/**
 * Finds the delivery that each of these workflow runs belongs to by its title; null if the title can't decide. A run that
 * isn't in the map names no delivery.
 */
export type FindOwners = (
  repository: string,
  runs: readonly WorkflowRun[],
) => Promise<ReadonlyMap<number, Delivery | null>>

/**
 * A title can quote earlier runs, so it names the delivery that was received last: what a workflow got contains no id of
 * a later one. Users type ids of other organizations, too: as long as a delivery of another organization can have started
 * the run, and isn't known to have another one, the title decides nothing.
 */
export function createFindOwners(deps: {
  store: Pick<Store, 'attemptedBetween'>
  findNamed: FindNamed
  /** The ids of all. */
  organisations: readonly string[]
  /** GitHub's clock minus the store's, milliseconds. */
  clockOffset: () => number
  /** RELAY_START_TIMEOUT, milliseconds. */
  startTimeout: number
}): FindOwners {
  const { store, findNamed, organisations, clockOffset, startTimeout } = deps
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
    if (organisations.length < 2 || owners.size === 0) return owners

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
          each.organisation !== owner?.organisation &&
          canHaveStarted(each, run, clocks) &&
          !hasOtherRun(each, run),
      )
      // Beyond what is listed, there may be more.
      if (owner && (isRivals || attempted.length === MAX_OTHERS)) decided.set(run.id, null)
    }
    return decided
  }
}

const byReception = (a: Delivery, b: Delivery) => a.receivedAt - b.receivedAt || a.seq - b.seq
