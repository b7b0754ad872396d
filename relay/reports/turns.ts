/** Runs tasks of the same key one after the other, in the order in which they came; others are not delayed. */
export type Turns = <T>(key: string, task: () => Promise<T>) => Promise<T>

export function createTurns(): Turns {
  const last = new Map<string, Promise<unknown>>()
  return async (key, task) => {
    const before = last.get(key)
    const mine = (before ?? Promise.resolve()).then(task)
    const ended = mine.catch(() => {})
    last.set(key, ended)
    try {
      return await mine
    } finally {
      if (last.get(key) === ended) last.delete(key)
    }
  }
}
