import { isObject, type JsonObject } from '../types.ts'
import { object } from './read-value.ts'

/**
 * Whether the inputs may stand at the top level, beside Port's own context: the form of Port's default body.
 * Every other key may then be an input that a person has typed, whatever its name. It is not so where `run` names
 * the run of that context: a person who fills in the form does not know its id, so this is the full context, whose
 * inputs stand in `inputs`.
 */
export function spreadsInputs(body: JsonObject): boolean {
  if (!isObject(body.port_context) && !isObject(body.port_payload)) return false
  const { id } = object(body.run)
  const portContext = object(body.port_context)
  const ids = [portContext.runId, portContext.run_id, object(object(body.port_payload).run).id]
  return !('inputs' in body && typeof id === 'string' && ids.includes(id))
}
