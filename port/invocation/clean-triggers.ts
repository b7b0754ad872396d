import { isObject, type Json, type JsonObject } from '../types.ts'
import { readPerson } from './read-trigger.ts'

/**
 * Takes personal data out of every `trigger.by.user`, wherever it stands in an event or among an author's own
 * keys: Port puts phone, picture and more of a user there, and only name and e-mail are passed on.
 */
export function cleanTriggers<T extends Json>(value: T): T
export function cleanTriggers(value: Json): Json {
  if (Array.isArray(value)) {
    const items = value.map(item => cleanTriggers(item))
    return items.some((item, i) => item !== value[i]) ? items : value
  }
  if (!isObject(value)) return value
  let cleaned: JsonObject | undefined
  for (const name of Object.keys(value)) {
    const item = value[name] as Json
    const clean = cleanTriggers(name === 'trigger' && isObject(item) ? cleanTrigger(item) : item)
    if (clean === item) continue
    // Not before: the copy of a body of many keys takes time.
    cleaned ??= { ...value }
    cleaned[name] = clean
  }
  return cleaned ?? value
}

function cleanTrigger(trigger: JsonObject): JsonObject {
  if (!isObject(trigger.by) || !isObject(trigger.by.user)) return trigger
  const person = readPerson(trigger.by.user)
  return { ...trigger, by: { ...trigger.by, user: person && { ...person } } }
}
