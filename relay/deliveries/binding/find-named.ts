import { runKey } from '../../store/dedupe-key.ts'
import type { Delivery } from '../../store/delivery.ts'
import type { Store } from '../../store/store.ts'
import { isNamed } from './match-runs.ts'
import { titleIds } from './title-ids.ts'

/** Finds the deliveries to a repository, open or ended, that one of these titles of workflow runs names. */
export type FindNamed = (repository: string, titles: readonly string[]) => Promise<Delivery[]>

/** Of one query. */
const MAX_IDS = 1_000

/** @param organisations the ids of all, since a title does not say which one its Port run is of */
export function createFindNamed(
  store: Pick<Store, 'findNamed'>,
  organisations: readonly string[],
): FindNamed {
  return async (repository, titles) => {
    const all = [...new Set(titles.flatMap(titleIds))]
    const found: Delivery[] = []
    for (let first = 0; first < all.length; first += MAX_IDS) {
      const ids = all.slice(first, first + MAX_IDS)
      const dedupeKeys = organisations.flatMap(organisation => ids.map(id => runKey(organisation, id)))
      found.push(...(await store.findNamed(repository, { dedupeKeys, ids })))
    }
    return found.filter(delivery => titles.some(title => isNamed(title, delivery)))
  }
}
