import { isObject, type Json, type JsonObject } from '../types.ts'
import { text } from './values.ts'

/** What a shape has, by name. A value that its test refuses is not the shape's, but the author's own. */
export type Known = Record<string, (value: Json) => boolean>

export const isAny = () => true
export const isText = (value: Json) => value === null || text(value) !== null
export const isObjectOrNull = (value: Json) => value === null || isObject(value)
export const isEntity = (value: Json) => typeof value === 'string' || isObjectOrNull(value)

/** What is left when all that is known is taken out: what the body's author added. */
export function unknownFields(value: JsonObject, known: Known): JsonObject {
  const taken = Object.keys(known).filter(
    name => Object.hasOwn(value, name) && known[name]?.(value[name] as Json),
  )
  return taken.length > 0 ? without(value, ...taken) : value
}

/** All of them in one, the later on top. A copy of many keys takes time: where only one has any, it is given back. */
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
