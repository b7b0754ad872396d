import { type Asked, isObject, type Json, type JsonObject, type ShapeRead } from '../types.ts'
import { readChangeLog } from './read-change-log.ts'
import { readContext } from './read-context.ts'
import { RUN_CONTEXT, readLegacy } from './read-legacy.ts'
import { readTrigger } from './read-trigger.ts'
import { identifier, object, readEntity, text, texts } from './read-value.ts'
import { contextRunId } from './run-kind.ts'
import { spreadsInputs } from './spreads-inputs.ts'
import { isAny, isEmpty, type Known, merge, unknownFields, without } from './unknown-fields.ts'
import { unwrapAgent } from './unwrap-agent.ts'

/** Reads the shape that a body has, and with it whatever its author put beside. */
export function readShape(body: JsonObject): Asked {
  const shape = knownShape(body)
  if (!shape) return readFlat(body)
  const beside = isEmpty(shape.rest) ? NOTHING : readFlat(shape.rest)
  return {
    action: shape.action ?? beside.action,
    operation: shape.operation ?? beside.operation,
    blueprint: shape.blueprint ?? beside.blueprint,
    entity: shape.entity ?? beside.entity,
    inputs: merge(beside.inputs, shape.inputs),
    entered: shape.entered ?? (spreadsInputs(body) ? beside.entered : {}),
    own: merge(shape.own ?? {}, beside.own, beside.entered),
    encrypted: [...new Set([...(shape.encrypted ?? []), ...beside.encrypted])],
    event: shape.event ?? beside.event,
    trigger: shape.trigger ?? beside.trigger,
  }
}

/** Where inputs may stand beside Port's own context, an automation may have spread its event; neither names the action. */
function knownShape(body: JsonObject): ShapeRead | null {
  const changeLog = readChangeLog(body)
  if (spreadsInputs(body)) return changeLog && { ...changeLog, action: null }
  return readContext(body) ?? readLegacy(body) ?? changeLog
}

const isRunContext = (value: Json | undefined) => contextRunId(value) !== null
const hasBy = (value: Json | undefined) => isObject(value) && isObject(value.by)

/** What Port puts beside an author's own keys. */
const FLAT: Known = {
  port_payload: isObject,
  port_context: isObject,
  context: isRunContext,
  workflowNodeRun: isObject,
  trigger: hasBy,
}
const PORT_CONTEXT: Known = {
  ...RUN_CONTEXT,
  run_id: isAny,
  context: isRunContext,
  action: value => isObject(value) || identifier(value) !== null,
  trigger: hasBy,
}

/** Everything else: the author's own keys, with what Port put beside them. */
function readFlat(body: JsonObject): Asked {
  // What Port's agent has made of it may stand inside, too.
  const payload = object(unwrapAgent(body.port_payload) as Json)
  const portContext = object(unwrapAgent(body.port_context) as Json)
  const portPayload = isObject(body.port_payload) ? readPortPayload(payload) : NOTHING
  const inRun = isRunContext(body.context)
  const context = runContext(body.context)
  const action = readAction(portContext.action)
  const ownAction = readAction(spreadsInputs(body) ? null : body.action)
  const trigger = [portContext.trigger, body.trigger].find(hasBy)
  const entity = readEntity(portContext.entity) ?? portPayload.entity
  const own = unknownFields(context, RUN_CONTEXT)
  const entered = merge(
    // A workflow's node has the author's keys in its payload.
    inRun ? object(body.payload) : {},
    unknownFields(body, inRun ? { ...FLAT, payload: isObject } : FLAT),
  )
  return {
    action: action.identifier ?? portPayload.action ?? ownAction.identifier,
    operation: portPayload.operation ?? text(object(trigger).operation),
    blueprint:
      text(portContext.blueprint) ??
      text(entity?.blueprint) ??
      portPayload.blueprint ??
      text(context.blueprint) ??
      action.blueprint ??
      ownAction.blueprint,
    entity: entity ?? readEntity(context.entity),
    inputs: merge(
      portPayload.inputs,
      unknownFields(runContext(portContext.context), RUN_CONTEXT),
      unknownFields(portContext, PORT_CONTEXT),
      own,
      entered,
    ),
    entered,
    own,
    encrypted: [...portPayload.encrypted, ...action.encrypted, ...ownAction.encrypted],
    event: portPayload.event,
    trigger: readTrigger(trigger) ?? portPayload.trigger,
  }
}

/** Port nests none: one within is a key of the author's. */
function readPortPayload(payload: JsonObject): Asked {
  const { port_payload: own } = payload
  if (own === undefined) return readShape(payload)
  const asked = readShape(without(payload, 'port_payload'))
  return { ...asked, inputs: { ...asked.inputs, port_payload: own } }
}

const NOTHING: Asked = {
  action: null,
  operation: null,
  blueprint: null,
  entity: null,
  inputs: {},
  entered: {},
  own: {},
  encrypted: [],
  event: null,
  trigger: null,
}

const runContext = (value: Json | undefined) => (isRunContext(value) ? object(value) : {})

/** An action as Port's context has it, or its identifier alone; what could be no event type is no action. */
function readAction(value: Json | undefined) {
  const action = object(value)
  return {
    identifier: identifier(value) ?? identifier(action.identifier),
    blueprint: text(action.blueprint),
    encrypted: texts(action.encryptedProperties),
  }
}
