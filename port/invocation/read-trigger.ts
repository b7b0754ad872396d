import { isObject, type Json, type Trigger } from '../types.ts'
import { object, text } from './read-value.ts'

/** Who or what started it, from Port's `trigger`. */
export function readTrigger(value: Json | undefined): Trigger | null {
  if (!isObject(value)) return null
  return { by: readPerson(object(value.by).user), origin: text(value.origin), at: text(value.at) }
}

/** Name and e-mail out of all that Port sends of a user; null where there is neither. */
export function readPerson(value: Json | undefined): Trigger['by'] {
  const user = object(value)
  const name = [text(user.firstName), text(user.lastName)].filter(Boolean).join(' ') || text(user.name)
  const email = text(user.email)
  return email || name ? { email, name } : null
}
