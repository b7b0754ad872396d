/** Returns the valid name that is closest to a mistyped or shortened name; null if no valid name is close. */
export function nearestName(name: string, names: readonly string[]): string | null {
  const all = names.map(each => ({ each, distance: editDistance(name, each) }))
  const near = all.sort((a, b) => a.distance - b.distance)
  const [first] = near
  if (first && first.distance <= Math.max(2, Math.floor(name.length / 4))) return first.each
  return name.length < 4 ? null : (near.find(({ each }) => each.startsWith(name))?.each ?? null)
}

/** Returns the Levenshtein distance: how many characters must be inserted, removed, or replaced. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (const [i, char] of [...a].entries()) {
    const next = [i + 1]
    for (let j = 0; j < b.length; j++) {
      next.push(Math.min(next[j]! + 1, row[j + 1]! + 1, row[j]! + (char === b[j] ? 0 : 1)))
    }
    row = next
  }
  return row[b.length]!
}
