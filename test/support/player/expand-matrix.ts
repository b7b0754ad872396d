type Leg = Record<string, unknown>

/**
 * Every combination of a matrix, after `exclude` and `include`; one null for a job without a matrix.
 * Source: https://docs.github.com/actions/how-tos/write-workflows/choose-what-workflows-do/run-job-variations
 */
export function expandMatrix(matrix: Record<string, unknown> | null): (Leg | null)[] {
  if (matrix === null) return [null]
  const { include, exclude, ...lists } = matrix
  const axes = Object.keys(lists)
  let legs: Leg[] = axes.length === 0 ? [] : [{}]
  for (const axis of axes) {
    const values = lists[axis]
    if (!Array.isArray(values)) throw new Error(`matrix.${axis} is not a list.`)
    legs = legs.flatMap(leg => values.map(value => ({ ...leg, [axis]: value })))
  }
  const excluded = (exclude ?? []) as Leg[]
  legs = legs.filter(leg => !excluded.some(rule => matches(rule, leg, Object.keys(rule))))
  const originals = legs.map(leg => ({ ...leg }))
  for (const extra of (include ?? []) as Leg[]) {
    const shared = axes.filter(axis => axis in extra)
    const hits = originals.flatMap((leg, index) => (matches(extra, leg, shared) ? [index] : []))
    if (hits.length === 0) legs.push({ ...extra })
    for (const index of hits) Object.assign(legs[index]!, extra)
  }
  return legs
}

function matches(rule: Leg, leg: Leg, keys: string[]) {
  return keys.every(key => JSON.stringify(rule[key]) === JSON.stringify(leg[key]))
}
