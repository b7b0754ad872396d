import { isObject, type Json, type JsonObject } from '../types.ts'
import { readPerson } from './read-trigger.ts'

/**
 * Takes personal data out of every `trigger.by.user`, wherever it stands in an event or among an author's own
 * keys: Port puts phone, picture and more of a user there, and only name and e-mail are passed on.
 */
export function cleanTriggers<T extends Json>(value: T): T
export function cleanTriggers(value: Json): Json {
  if (Array.isArray(value)) return value.map(item => cleanTriggers(item))
  if (!isObject(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      name,
      cleanTriggers(name === 'trigger' && isObject(item) ? cleanTrigger(item) : item),
    ]),
  )
}

function cleanTrigger(trigger: JsonObject): JsonObject {
  if (!isObject(trigger.by) || !isObject(trigger.by.user)) return trigger
  const person = readPerson(trigger.by.user)
  return { ...trigger, by: { ...trigger.by, user: person && { ...person } } }
}
