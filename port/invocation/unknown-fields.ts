import { isObject, type Json, type JsonObject } from '../types.ts'
import { text } from './read-value.ts'

/** What a shape has, by name. A value that its test refuses is not the shape's, but the author's own. */
export type Known = Record<string, (value: Json) => boolean>

export const isAny = () => true
export const isText = (value: Json) => value === null || text(value) !== null
export const isObjectOrNull = (value: Json) => value === null || isObject(value)
export const isEntity = (value: Json) => typeof value === 'string' || isObjectOrNull(value)

/** What is left when all that is known is taken out: what the body's author added. */
export function unknownFields(value: JsonObject, known: Known): JsonObject {
  return Object.fromEntries(
    Object.entries(value).filter(([name, item]) => !(Object.hasOwn(known, name) && known[name]?.(item))),
  )
}

export function without(value: JsonObject, ...names: string[]): JsonObject {
  const left = new Set(names)
  return Object.fromEntries(Object.entries(value).filter(([name]) => !left.has(name)))
}
