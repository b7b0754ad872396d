/** A Map with a maximum size. `set` makes its entry the newest one. If the Map is too large after that, `set` removes the oldest entry. */
export class BoundedMap<K, V> extends Map<K, V> {
  readonly #limit: number
  constructor(limit: number) {
    super()
    this.#limit = limit
  }

  override set(key: K, value: V): this {
    this.delete(key)
    super.set(key, value)
    const oldest = this.size > this.#limit ? this.keys().next() : undefined
    if (oldest && !oldest.done) this.delete(oldest.value)
    return this
  }
}

/** Creates a cache whose values expire. @param ttl the lifetime of a value, in milliseconds */
export function createTtlCache<T>(ttl: number, clock: () => number, limit = 1_000) {
  const entries = new BoundedMap<string, { value: T; at: number }>(limit)
  return {
    get(key: string): T | undefined {
      const known = entries.get(key)
      return known && Math.abs(clock() - known.at) < ttl ? known.value : undefined
    },
    set: (key: string, value: T) => void entries.set(key, { value, at: clock() }),
    delete: (key: string) => void entries.delete(key),
  }
}
