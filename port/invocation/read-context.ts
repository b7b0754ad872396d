import { isObject, type JsonObject, type ShapeRead } from '../types.ts'
import { readTrigger } from './read-trigger.ts'
import { identifier, object, readEntity, text, texts } from './read-value.ts'
import { isAny, isEntity, isObjectOrNull, type Known, unknownFields } from './unknown-fields.ts'

const CONTEXT: Known = {
  run: isObject,
  inputs: isObjectOrNull,
  action: value => isObjectOrNull(value) || identifier(value) !== null,
  entity: isEntity,
  event: isAny,
  trigger: isObjectOrNull,
}

/** The whole context of an action or automation, or the recommended part of it. `inputs` that are no object stay one input of that name. */
export function readContext(body: JsonObject): ShapeRead | null {
  if (!isContext(body)) return null
  const action = object(body.action)
  const entity = readEntity(body.entity)
  return {
    action: text(action.identifier) ?? identifier(body.action),
    operation: text(object(body.trigger).operation),
    blueprint:
      text(action.blueprint) ??
      text(entity?.blueprint) ??
      text(object(object(body.event).context).blueprintIdentifier) ??
      text(body.blueprint),
    entity,
    inputs: object(body.inputs),
    entered: object(body.inputs),
    encrypted: texts(action.encryptedProperties),
    event: body.event ?? null,
    trigger: readTrigger(body.trigger),
    rest: unknownFields(body, CONTEXT),
  }
}

function isContext(body: JsonObject): boolean {
  return (
    (isObject(body.run) && typeof body.run.id === 'string' && 'inputs' in body) ||
    (isObject(body.action) && isObject(body.trigger) && ('inputs' in body || 'event' in body))
  )
}
