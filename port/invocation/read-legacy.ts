import { isObject, type JsonObject, type ShapeRead } from '../types.ts'
import { readTrigger } from './read-trigger.ts'
import { object, readEntity, text, texts } from './read-value.ts'
import { contextRunId, runKind } from './run-kind.ts'
import { isAny, isEntity, isObjectOrNull, isText, type Known, unknownFields } from './unknown-fields.ts'

const LEGACY: Known = {
  action: isText,
  resourceType: isText,
  status: isText,
  trigger: isObjectOrNull,
  context: isObject,
  payload: isObject,
}
const PAYLOAD: Known = {
  action: isObjectOrNull,
  entity: isEntity,
  properties: isObjectOrNull,
  censoredProperties: value => value === null || Array.isArray(value),
}
/** The `context` that names a run, here and in a node of a Port workflow. */
export const RUN_CONTEXT: Known = {
  runId: isAny,
  nodeRunId: isAny,
  workflowRunId: isAny,
  entity: isEntity,
  blueprint: isText,
}

/** The body of Port's older actions (v1), and the documented imitation of it. */
export function readLegacy(body: JsonObject): ShapeRead | null {
  if (!isLegacy(body)) return null
  const context = object(body.context)
  const payload = object(body.payload)
  const action = object(payload.action)
  const entity = readEntity(payload.entity) ?? readEntity(context.entity)
  const entered = object(payload.properties)
  const own = { ...unknownFields(context, RUN_CONTEXT), ...unknownFields(payload, PAYLOAD) }
  return {
    action: text(body.action) ?? text(action.identifier),
    operation: text(action.trigger),
    blueprint:
      text(context.blueprint) ?? text(action.blueprint) ?? text(entity?.blueprint) ?? text(body.blueprint),
    entity,
    inputs: { ...own, ...entered },
    entered,
    own,
    encrypted: texts(payload.censoredProperties),
    trigger: readTrigger(body.trigger),
    rest: unknownFields(body, LEGACY),
  }
}

/** A workflow's node has `context` and `payload` too, but all of its payload is the author's. */
export function isLegacy(body: JsonObject): boolean {
  const { properties, action, entity } = object(body.payload)
  return (
    isObject(body.context) &&
    (isObject(properties) || isObject(action) || isObject(entity)) &&
    !isObject(body.port_context) &&
    runKind(contextRunId(body.context)) !== 'node_run'
  )
}
