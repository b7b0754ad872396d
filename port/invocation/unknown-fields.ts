import { isObject, type Json, type JsonObject } from '../types.ts'
import { text } from './values.ts'

/** The fields of a shape, by name. A value that its test refuses belongs to the author, not to the shape. */
export type Known = Record<string, (value: Json) => boolean>

export const isAny = () => true
export const isText = (value: Json) => value === null || text(value) !== null
export const isObjectOrNull = (value: Json) => value === null || isObject(value)
export const isEntity = (value: Json) => typeof value === 'string' || isObjectOrNull(value)

/** The fields that the author of the body added to the known ones. */
export function unknownFields(value: JsonObject, known: Known): JsonObject {
  const taken = Object.keys(known).filter(
    name => Object.hasOwn(value, name) && known[name]?.(value[name] as Json),
  )
  return taken.length > 0 ? without(value, ...taken) : value
}

/** All objects in one; later ones win. Copying many keys takes time, so a single object with keys is returned as it is. */
export function merge(...objects: JsonObject[]): JsonObject {
  const filled = objects.filter(each => !isEmpty(each))
  if (filled.length <= 1) return filled[0] ?? {}
  // An assignment would lose a key `__proto__`.
  return filled.some(each => Object.hasOwn(each, '__proto__'))
    ? Object.fromEntries(filled.flatMap(each => Object.entries(each)))
    : Object.assign({}, ...filled)
}

export const isEmpty = (value: JsonObject) => Object.keys(value).length === 0

export function without(value: JsonObject, ...names: string[]): JsonObject {
  const left = { ...value }
  for (const name of names) delete left[name]
  return left
}
