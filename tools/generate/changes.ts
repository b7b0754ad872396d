import { isDeepStrictEqual } from 'node:util'
import type { Json, JsonObject } from '../../port/types.ts'

/** What makes `wanted` of `base`, key by key; null removes a key. Nulls in `wanted` count as missing. */
export function changes(base: JsonObject, wanted: JsonObject): JsonObject {
  const found: [string, Json][] = []
  for (const key of new Set([...Object.keys(base), ...Object.keys(wanted)])) {
    const value = wanted[key] ?? null
    if (!isDeepStrictEqual(base[key] ?? null, value)) found.push([key, value])
  }
  return Object.fromEntries(found)
}

/** The reverse of {@link changes}. */
export function apply(base: JsonObject, changed: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries({ ...base, ...changed }).filter(([, value]) => value !== null))
}
