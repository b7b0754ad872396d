/** Facts learned from GitHub's answers, by key; each is forgotten after a while, and the oldest beyond the bound. */
export interface Learned<T> {
  get(key: string): T | undefined
  set(key: string, fact: T): void
  forget(key: string): void
}

const MAX_FACTS = 1_000

/** @param ttl how long a fact is valid, milliseconds */
export function createLearned<T>(ttl: number, clock: () => number): Learned<T> {
  const facts = new Map<string, { fact: T; at: number }>()
  return {
    get(key) {
      const known = facts.get(key)
      return known && Math.abs(clock() - known.at) < ttl ? known.fact : undefined
    },
    set(key, fact) {
      facts.delete(key)
      facts.set(key, { fact, at: clock() })
      if (facts.size > MAX_FACTS) facts.delete(facts.keys().next().value as string)
    },
    forget: key => void facts.delete(key),
  }
}
