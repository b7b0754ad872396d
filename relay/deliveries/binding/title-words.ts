import { runKind } from '../../../port/invocation/run-kind.ts'

const UUID = /[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}/gi
/** A title is short; what is longer is no reason for a long query. */
const MAX_WORDS = 24

/** What in a run's title may be the id of a Port run or of a delivery, standing by itself. */
export function titleWords(title: string): string[] {
  const find = (pattern: RegExp) => title.match(pattern) ?? []
  const runIds = [/[\w-]+/g, /\w+/g].flatMap(find).filter(word => runKind(word) !== 'none')
  return [...new Set([...find(UUID), ...runIds])].slice(0, MAX_WORDS)
}
