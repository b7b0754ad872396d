/** The name that a mistyped one was probably meant to be; null where none is near. */
export function nearestName(name: string, names: readonly string[]): string | null {
  const near = names
    .map(each => ({ each, distance: editDistance(name, each) }))
    .sort((a, b) => a.distance - b.distance)[0]
  return near && near.distance <= Math.max(2, Math.floor(name.length / 4)) ? near.each : null
}

/** How many characters have to be inserted, removed or replaced (Levenshtein). */
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
