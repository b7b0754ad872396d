import { isObject, type Json, type JsonObject } from '../types.ts'

export const object = (value: unknown): JsonObject => (isObject(value) ? value : {})

/** A name or identifier; what is longer than any of Port's, or holds control characters, is none. */
export const text = (value: unknown): string | null =>
  typeof value === 'string' && value !== '' && value.length <= 500 && !/[\p{Cc}\p{Cs}]/u.test(value)
    ? value
    : null

/**
 * What may be the identifier of an action where an input may stand in its place: of Port's characters
 * for identifiers, and no longer than GitHub's event types. A sentence that a person typed is none.
 */
export const identifier = (value: unknown): string | null =>
  typeof value === 'string' && /^[A-Za-z0-9@_.+:\\/=-]{1,100}$/.test(value) ? value : null

export const texts = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter(item => typeof item === 'string') : []

/** An entity as Port sent it, or `{ identifier }` where there is only that; null for `{}`, `""` and what is no entity. */
export function readEntity(value: Json | undefined): JsonObject | null {
  if (isObject(value)) return Object.keys(value).length > 0 ? value : null
  return typeof value === 'string' && value !== '' ? { identifier: value } : null
}
