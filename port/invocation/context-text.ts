import { parseJson } from '../parse-json.ts'
import { type ForWorkflow, isObject, type JsonObject } from '../types.ts'

const NAMES = ['port_context', 'port_payload'] as const

/**
 * Port's own context in a body, as it came: an object, or JSON text of one. Any other value is an input.
 *
 * @param read the body with what {@link withContextsRead} made of its texts
 */
export function contextsOf(body: unknown, read: unknown): Pick<ForWorkflow, (typeof NAMES)[number]> {
  if (!isObject(body) || !isObject(read)) return {}
  return Object.fromEntries(NAMES.filter(name => isObject(read[name])).map(name => [name, body[name]]))
}

/**
 * The body with each context that is JSON text replaced by what of it identifies run, action and entity. The rest of
 * the text isn't read: nothing has checked how deep it is nested, and it travels as it is.
 */
export function withContextsRead(body: unknown): unknown {
  if (!isObject(body)) return body
  const texts = NAMES.flatMap(name => {
    const text = body[name]
    const value = typeof text === 'string' && /^\s*\{/.test(text) ? parseJson(text) : null
    return isObject(value) ? [[name, outline(value)]] : []
  })
  return texts.length > 0 ? { ...body, ...Object.fromEntries(texts) } : body
}

const IDENTIFYING = ['runId', 'run_id', 'run', 'context', 'action', 'blueprint', 'entity']

/** The texts of those, and of what is in them. */
function outline(value: JsonObject): JsonObject {
  const textsOf = (each: JsonObject) =>
    Object.fromEntries(Object.entries(each).filter(([, item]) => typeof item === 'string'))
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name, item]) => IDENTIFYING.includes(name) && (typeof item === 'string' || isObject(item)))
      .map(([name, item]) => [name, isObject(item) ? textsOf(item) : item]),
  )
}
