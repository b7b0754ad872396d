import { parseJson } from '../text.ts'
import { type ForWorkflow, isObject, type Json, type JsonObject, runKind, type Trigger } from '../types.ts'

const NAMES = ['port_context', 'port_payload'] as const

/** Returns Port's own context from a body, unchanged. @param read the body after `withContextsRead` */
export function contextsOf(body: unknown, read: unknown): Pick<ForWorkflow, (typeof NAMES)[number]> {
  if (!isObject(body) || !isObject(read)) return {}
  return Object.fromEntries(NAMES.filter(name => isObject(read[name])).map(name => [name, body[name]]))
}

/** Parses contexts that are JSON text. Omits everything except identifying values, because the text can be nested to any depth. */
export function withContextsRead(body: unknown): unknown {
  if (!isObject(body)) return body
  const texts = NAMES.flatMap(name => {
    const value = readContext(body[name])
    return typeof body[name] === 'string' && isObject(value) ? [[name, outline(value)]] : []
  })
  return texts.length > 0 ? { ...body, ...Object.fromEntries(texts) } : body
}

const readContext = (value: Json | undefined) =>
  typeof value === 'string' && /^\s*\{/.test(value) ? parseJson(value) : value

const IDENTIFYING = ['runId', 'run_id', 'run', 'context', 'action', 'blueprint', 'entity']

function outline(value: JsonObject): JsonObject {
  const textsOf = (each: JsonObject) =>
    Object.fromEntries(Object.entries(each).filter(([, item]) => typeof item === 'string'))
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name, item]) => IDENTIFYING.includes(name) && (typeof item === 'string' || isObject(item)))
      .map(([name, item]) => [name, isObject(item) ? textsOf(item) : item]),
  )
}

const NO_FIELDS: JsonObject = Object.freeze({})

/** Returns an object unchanged, and a frozen empty object for any other value. */
export const object = (value: unknown): JsonObject => (isObject(value) ? value : NO_FIELDS)

/** Returns a name or identifier, or null if it has control characters or is longer than any name in Port. */
export const text = (value: unknown): string | null =>
  typeof value === 'string' && value !== '' && value.length <= 500 && !/[\p{Cc}\p{Cs}]/u.test(value)
    ? value
    : null

export const firstText = (...values: unknown[]) => values.map(text).find(each => each !== null) ?? null

/** Returns an identifier of Port, up to the length of GitHub's event types; null for any other text. */
export const identifier = (value: unknown): string | null =>
  typeof value === 'string' && /^[A-Za-z0-9@_.+:\\/=-]{1,100}$/.test(value) ? value : null

/** Returns an entity as Port sent it, or `{ identifier }` for a string; null for `{}`, `""`, and any other value. */
export function readEntity(value: Json | undefined): JsonObject | null {
  if (isObject(value)) return Object.keys(value).length > 0 ? value : null
  return typeof value === 'string' && value !== '' ? { identifier: value } : null
}

/**
 * Whether inputs can be at the top level, next to Port's own context, as in Port's default body. Returns false if the
 * body has `inputs`, and a run ID in `run`, unless Port's own context contains only other run IDs.
 */
export function spreadsInputs(body: JsonObject): boolean {
  if (!isObject(body.port_context) && !isObject(body.port_payload)) return false
  const { id } = object(body.run)
  const portContext = object(body.port_context)
  const portPayload = object(body.port_payload)
  const ids = [
    ...[portContext.runId, portContext.run_id, object(portContext.context).runId],
    ...[object(portPayload.context).runId, portPayload.runId, portPayload.run_id, object(portPayload.run).id],
  ].filter(each => runKind(each) !== 'none')
  return !('inputs' in body && runKind(id) !== 'none' && (ids.length === 0 || ids.includes(id)))
}

export function readTrigger(value: Json | undefined): Trigger | null {
  if (!isObject(value)) return null
  return { by: readUser(object(value.by).user), origin: text(value.origin), at: text(value.at) }
}

function readUser(value: Json | undefined): Trigger['by'] {
  const user = object(value)
  const name = [text(user.firstName), text(user.lastName)].filter(Boolean).join(' ') || text(user.name)
  const email = text(user.email)
  return email || name ? { email, name } : null
}

/** Keeps only the name and email address in each `trigger.by.user`. Port also sends the phone number and picture. */
export function cleanTriggers(value: Json): Json {
  if (Array.isArray(value)) {
    const items = value.map(item => cleanTriggers(item))
    return items.some((item, i) => item !== value[i]) ? items : value
  }
  if (!isObject(value)) return value
  let cleaned: JsonObject | undefined
  for (const name of Object.keys(value)) {
    const clean = cleanField(name, value[name] as Json)
    if (clean === value[name]) continue
    cleaned ??= { ...value }
    cleaned[name] = clean
  }
  return cleaned ?? value
}

export const cleanField = (name: string, value: Json): Json =>
  cleanTriggers(name === 'trigger' && isObject(value) ? cleanTrigger(value) : value)

function cleanTrigger(trigger: JsonObject): JsonObject {
  if (!isObject(trigger.by) || !isObject(trigger.by.user)) return trigger
  const person = readUser(trigger.by.user)
  return { ...trigger, by: { ...trigger.by, user: person && { ...person } } }
}

/** The fields of an object. Each object becomes a Map once, because copying an object with many keys takes milliseconds. */
export type Fields = ReadonlyMap<string, Json>

/** The fields of a shape, each with a test. If a value fails its test, the field belongs to the author. */
export type Known = Record<string, (value: Json) => boolean>

export const isAny = () => true
export const isText = (value: Json) => value === null || text(value) !== null
export const isObjectOrNull = (value: Json) => value === null || isObject(value)
/** Port's own context: an object, or an object as JSON text. */
export const isContext = (value: Json | undefined) => isObject(readContext(value))
export const isEntity = (value: Json) => typeof value === 'string' || isObjectOrNull(value)

/** Returns the fields that the author added. @param taken receives the known fields */
export function unknownFields(value: JsonObject | Fields, known: Known, taken: JsonObject = {}): Fields {
  const fields = new Map<string, Json>()
  for (const name of value instanceof Map ? value.keys() : Object.keys(value)) {
    const item = field(value, name) as Json
    if (Object.hasOwn(known, name) && known[name]?.(item)) taken[name] = item
    else fields.set(name, item)
  }
  return fields
}

export const fieldsOf = (value: JsonObject): Fields => unknownFields(value, {})

export const field = (value: JsonObject | Fields, name: string): Json | undefined =>
  value instanceof Map ? value.get(name) : (value as JsonObject)[name]

/** Sets a property, even if its name is `__proto__`. */
export function assign(target: JsonObject, name: string, value: Json): void {
  if (name !== '__proto__') target[name] = value
  else Object.defineProperty(target, name, { value, enumerable: true, configurable: true, writable: true })
}

export const isEmpty = (value: JsonObject) => Object.keys(value).length === 0

export function without(value: JsonObject, ...names: string[]): JsonObject {
  const left: JsonObject = {}
  for (const name of Object.keys(value)) if (!names.includes(name)) assign(left, name, value[name] as Json)
  return left
}
