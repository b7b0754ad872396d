import { maskParts } from './mask-parts.ts'
import { secretForms } from './secret-forms.ts'

export type Redact = (text: string) => string

/**
 * Hides secrets in what goes to Port, as the runner does in its log: a step may write anything to `$PORT_LOG`. Each
 * secret as a whole, and each of its parts, in every form; occurrences that overlap become one `***`.
 */
export function createRedact(secrets: readonly string[]): Redact {
  const texts = secrets.flatMap(secret => [secret, secret.trim(), ...maskParts(secret)])
  const parts = [...new Set(texts)].filter(text => text.trim() !== '')
  const forms = [...new Set(parts.flatMap(secretForms))]
  let find: ReturnType<typeof createFinder> | null = null
  let seen = 0
  return text => {
    seen += text.length
    // A few short texts, as those of main, are looked through sooner than the automaton is built.
    if (!find && seen < 10_000 && !forms.some(form => text.includes(form))) return text
    find ??= createFinder(forms)
    const kept: string[] = []
    let end = 0
    for (const found of find(text)) {
      kept.push(text.slice(end, found.start))
      end = found.end
    }
    return kept.length === 0 ? text : [...kept, text.slice(end)].join('***')
  }
}

/** Of characters: [start, end). */
interface Range {
  start: number
  end: number
}

/**
 * Finds every occurrence of many patterns in one pass over a text, whatever the number of patterns: the automaton of
 * Aho and Corasick. Its states are the beginnings of patterns; state 0 is the empty one.
 *
 * @returns the ranges of a text that patterns cover, in order; those that overlap are one
 * @see https://doi.org/10.1145/360825.360855
 */
function createFinder(patterns: readonly string[]): (text: string) => Range[] {
  const size = patterns.reduce((sum, { length }) => sum + length, 1)
  // The children of a state are a list: `first` of the parent, then `next` of each child.
  const first = new Int32Array(size)
  const next = new Int32Array(size)
  const char = new Uint16Array(size)
  /** The longest other state that is an end of this one. */
  const fallback = new Int32Array(size)
  /** The length of the longest pattern that ends here; 0 where none does. */
  const longest = new Int32Array(size)
  /** The children of state 0, by their character. */
  const roots = new Map<number, number>()
  let states = 1

  function child(state: number, code: number): number {
    if (state === 0) return roots.get(code) ?? 0
    let found = first[state]!
    while (found !== 0 && char[found] !== code) found = next[found]!
    return found
  }

  function step(state: number, code: number): number {
    for (let from = state; ; from = fallback[from]!) {
      const to = child(from, code)
      if (to !== 0 || from === 0) return to
    }
  }

  for (const pattern of patterns) {
    let state = 0
    for (let at = 0; at < pattern.length; at++) {
      const code = pattern.charCodeAt(at)
      let to = child(state, code)
      if (to === 0) {
        to = states++
        char[to] = code
        if (state === 0) roots.set(code, to)
        else {
          next[to] = first[state]!
          first[state] = to
        }
      }
      state = to
    }
    longest[state] = pattern.length
  }
  // By length, since a fallback is always shorter.
  const queue = new Int32Array(states)
  let filled = 0
  for (const root of roots.values()) queue[filled++] = root
  for (let done = 0; done < filled; done++) {
    const state = queue[done]!
    if (longest[state] === 0) longest[state] = longest[fallback[state]!]!
    for (let to = first[state]!; to !== 0; to = next[to]!) {
      fallback[to] = step(fallback[state]!, char[to]!)
      queue[filled++] = to
    }
  }

  return text => {
    const found: Range[] = []
    let state = 0
    for (let at = 0; at < text.length; at++) {
      state = step(state, text.charCodeAt(at))
      if (longest[state] === 0) continue
      const range = { start: at + 1 - longest[state]!, end: at + 1 }
      while (found.length > 0 && found.at(-1)!.end > range.start)
        range.start = Math.min(range.start, found.pop()!.start)
      found.push(range)
    }
    return found
  }
}
