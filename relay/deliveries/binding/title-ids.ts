import { runKind } from '../../../port/invocation/run-kind.ts'
import { isCut } from '../../github/clean-text.ts'

const UUID = /[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}/gi
/** Limits the query: titles are short. */
const MAX_IDS = 24

/**
 * The parts of a run's title that may be the id of a Port run or of a delivery. None if there are too many to look up, or
 * if the title was cut: what is missing could name a later delivery.
 */
export function titleIds(title: string): string[] {
  const find = (pattern: RegExp) => title.match(pattern) ?? []
  const runIds = [/[\w-]+/g, /\w+/g].flatMap(find).filter(word => runKind(word) !== 'none')
  const ids = [...new Set([...find(UUID), ...runIds])]
  return ids.length > MAX_IDS || isCut(title) ? [] : ids
}
