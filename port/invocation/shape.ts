import { contextRunId, type Invocation, isObject, type Json, type JsonObject, runKind } from '../types.ts'
import {
  type Fields,
  field,
  fieldsOf,
  identifier,
  isAny,
  isEmpty,
  isEntity,
  isObjectOrNull,
  isText,
  type Known,
  object,
  readEntity,
  readTrigger,
  spreadsInputs,
  text,
  texts,
  unknownFields,
  without,
} from './values.ts'

/** The data of an invocation, without its run and target. */
export interface Asked
  extends Omit<Invocation, 'runId' | 'runIdFrom' | 'kind' | 'github' | 'forWorkflow' | 'inputs'> {
  /** The inputs in order of precedence: later inputs win. */
  inputs: Fields[]
  /** The inputs that a user entered, in the same order. */
  entered: Fields[]
  /** The inputs that are in the body outside the form's inputs. */
  own: Fields[]
}

/** The data that a shape defines, and the body's other keys (`rest`), which the author added. */
type ShapeRead = Partial<Asked> & { inputs: Fields[]; rest: Fields }

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
/** The fields of a `context` that identifies a run, in a legacy body and in a Port workflow's node. */
const RUN_CONTEXT: Known = {
  runId: isAny,
  nodeRunId: isAny,
  workflowRunId: isAny,
  entity: isEntity,
  blueprint: isText,
}

/** Reads the body of Port's older actions (v1), or of an author who follows that documented format. */
function readLegacy(body: JsonObject): ShapeRead | null {
  if (!isLegacy(body)) return null
  const context = object(body.context)
  const payload = object(body.payload)
  const action = object(payload.action)
  const entity = readEntity(payload.entity) ?? readEntity(context.entity)
  const entered = [fieldsOf(object(payload.properties))]
  const own = [unknownFields(context, RUN_CONTEXT), unknownFields(payload, PAYLOAD)]
  return {
    action: text(body.action) ?? text(action.identifier),
    operation: text(action.trigger),
    blueprint:
      text(context.blueprint) ?? text(action.blueprint) ?? text(entity?.blueprint) ?? text(body.blueprint),
    entity,
    inputs: [...own, ...entered],
    entered,
    own,
    encrypted: texts(payload.censoredProperties),
    trigger: readTrigger(body.trigger),
    rest: unknownFields(body, LEGACY),
  }
}

/** Excludes a Port workflow's node, whose body also has `context`, but only the author's keys in `payload`. */
function isLegacy(body: JsonObject): boolean {
  const { properties, action, entity } = object(body.payload)
  return (
    isObject(body.context) &&
    (isObject(properties) || isObject(action) || isObject(entity)) &&
    !isObject(body.port_context) &&
    runKind(contextRunId(body.context)) !== 'node_run'
  )
}

const CONTEXT: Known = {
  run: isObject,
  inputs: isObjectOrNull,
  action: value => isObjectOrNull(value) || identifier(value) !== null,
  entity: isEntity,
  event: isAny,
  trigger: isObjectOrNull,
}

/** Reads an action's or automation's full or recommended context. If `inputs` isn't an object, it becomes an input. */
function readContext(body: JsonObject): ShapeRead | null {
  if (!isContext(body)) return null
  const action = object(body.action)
  const entity = readEntity(body.entity)
  const inputs = [fieldsOf(object(body.inputs))]
  return {
    action: text(action.identifier) ?? identifier(body.action),
    operation: text(object(body.trigger).operation),
    blueprint:
      text(action.blueprint) ??
      text(entity?.blueprint) ??
      text(object(object(body.event).context).blueprintIdentifier) ??
      text(body.blueprint),
    entity,
    inputs,
    entered: inputs,
    encrypted: texts(action.encryptedProperties),
    event: body.event ?? null,
    trigger: readTrigger(body.trigger),
    rest: unknownFields(body, CONTEXT),
  }
}

function isContext(body: JsonObject): boolean {
  return (
    (isObject(body.run) && typeof body.run.id === 'string' && 'inputs' in body) ||
    (isObject(body.action) && isObject(body.trigger) && ('inputs' in body || 'event' in body)) ||
    (isObject(body.action) && identifier(body.action.identifier) !== null && isObject(body.inputs))
  )
}

/** Reads a body's shape, and the keys that the author added. */
export function readShape(body: JsonObject): Asked {
  const isSpread = spreadsInputs(body)
  const shape = knownShape(body, isSpread)
  if (!shape) return readFlat(body, isSpread)
  const flat = shape.rest.size === 0 ? NOTHING : readFlat(shape.rest, isSpread)
  return {
    action: shape.action ?? flat.action,
    operation: shape.operation ?? flat.operation,
    blueprint: shape.blueprint ?? flat.blueprint,
    entity: shape.entity ?? flat.entity,
    inputs: [...flat.inputs, ...shape.inputs],
    entered: shape.entered ?? (isSpread ? flat.entered : []),
    own: [...(shape.own ?? []), ...flat.own, ...flat.entered],
    encrypted: [...new Set([...(shape.encrypted ?? []), ...flat.encrypted])],
    event: shape.event ?? flat.event,
    trigger: shape.trigger ?? flat.trigger,
  }
}

/** Reads a known shape. For a spread body, the only known shape is a change log, which doesn't identify the action. */
function knownShape(body: JsonObject, isSpread: boolean): ShapeRead | null {
  if (!isSpread) return readContext(body) ?? readLegacy(body) ?? readChangeLog(body)
  const changeLog = readChangeLog(body)
  return changeLog && { ...changeLog, action: null }
}

const isRunContext = (value: Json | undefined) => contextRunId(value) !== null
const hasBy = (value: Json | undefined) => isObject(value) && isObject(value.by)

/** Port's keys in a body that can also have keys from the author. */
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

/**
 * Reads any other body, with the author's keys next to Port's keys.
 *
 * @param isSpread whether the author's keys can be inputs that a user entered
 */
function readFlat(body: JsonObject | Fields, isSpread: boolean): Asked {
  const [given, runGiven] = [field(body, 'port_payload'), field(body, 'context')]
  // Port's agent may also have wrapped `port_payload` and `port_context`.
  const payload = object(unwrapAgent(given) as Json)
  const portContext = object(unwrapAgent(field(body, 'port_context')) as Json)
  const portPayload = isObject(given) ? readPortPayload(payload) : NOTHING
  const inRun = isRunContext(runGiven)
  const context = runContext(runGiven)
  const action = readAction(portContext.action)
  const ownAction = readAction(isSpread ? null : field(body, 'action'))
  const trigger = [portContext.trigger, field(body, 'trigger')].find(hasBy)
  const entity = readEntity(portContext.entity) ?? portPayload.entity
  const own = [unknownFields(context, RUN_CONTEXT)]
  const entered = [
    // In a workflow node, the payload contains the author's keys.
    ...(inRun ? [fieldsOf(object(field(body, 'payload')))] : []),
    unknownFields(body, inRun ? { ...FLAT, payload: isObject } : FLAT),
  ]
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
    inputs: [
      ...portPayload.inputs,
      unknownFields(runContext(portContext.context), RUN_CONTEXT),
      unknownFields(portContext, PORT_CONTEXT),
      ...own,
      ...entered,
    ],
    entered,
    own,
    encrypted: [...portPayload.encrypted, ...action.encrypted, ...ownAction.encrypted],
    event: portPayload.event,
    trigger: readTrigger(trigger) ?? portPayload.trigger,
  }
}

/** Port never nests `port_payload`, so an inner `port_payload` is one of the author's keys. */
function readPortPayload(payload: JsonObject): Asked {
  const own = payload.port_payload
  if (own === undefined) return readShape(payload)
  const asked = readShape(without(payload, 'port_payload'))
  return { ...asked, inputs: [...asked.inputs, new Map([['port_payload', own]])] }
}

const NOTHING: Asked = {
  action: null,
  operation: null,
  blueprint: null,
  entity: null,
  inputs: [],
  entered: [],
  own: [],
  encrypted: [],
  ...{ event: null, trigger: null },
}

const runContext = (value: Json | undefined) => (isRunContext(value) ? object(value) : {})

/** Reads an action: an object as in Port's context, or an identifier that GitHub accepts as an event type. */
function readAction(value: Json | undefined) {
  const action = object(value)
  return {
    identifier: identifier(value) ?? identifier(action.identifier),
    blueprint: text(action.blueprint),
    encrypted: texts(action.encryptedProperties),
  }
}

const CHANGE_LOG: Known = {
  id: isAny,
  action: isAny,
  resourceType: isAny,
  status: isAny,
  trigger: isAny,
  context: isAny,
  diff: isAny,
  // Added by Port's agent.
  headers: isAny,
  changelogDestination: isAny,
}

/** Reads a body that is a change itself, from a change log or an automation. All of its fields belong to the event. */
function readChangeLog(body: JsonObject): ShapeRead | null {
  if (!isChangeLog(body)) return null
  const context = object(body.context)
  const event: JsonObject = {}
  const rest = unknownFields(body, CHANGE_LOG, event)
  return {
    action: text(body.action),
    blueprint: text(context.blueprint) ?? text(context.blueprintIdentifier),
    entity: readEntity(context.entity),
    inputs: [],
    event: without(event, 'headers', 'changelogDestination'),
    trigger: readTrigger(body.trigger),
    rest,
  }
}

/** Whether the body describes a change. A change starts no run, even if `context` has a changed run's id. */
export function isChangeLog(body: JsonObject): boolean {
  // An expired timer changes nothing, so it has no "diff".
  const isTimer = body.action === 'TIMER_EXPIRED' && isObject(body.context) && isObject(body.trigger)
  return typeof body.resourceType === 'string' && (isObject(body.diff) || isTimer) && !isLegacy(body)
}

/**
 * Restores the author's body from the body that Port's agent sends. The agent overwrites `headers`, and adds
 * `payload.action.invocationMethod` and `context.runId`. For a Port workflow's node, the author's body is in
 * `context.nodeConfig.body`. Any other body is returned unchanged.
 *
 * @see https://github.com/port-labs/port-agent/blob/main/app/processors/polling/polling_to_webhook_processor.py
 */
export function unwrapAgent(body: unknown): unknown {
  if (!isObject(body)) return body
  const { context, payload } = body
  if (!isObject(context) || !isObject(payload) || !isObject(payload.action)) return body
  if (runKind(context.runId) === 'none' || !isObject(payload.action.invocationMethod)) return body

  const own = without(body, 'headers', 'payload', 'context')
  const action = without(payload.action, 'invocationMethod')
  const ownPayload = isEmpty(action) ? without(payload, 'action') : { ...payload, action }
  if (!isEmpty(ownPayload)) own.payload = ownPayload
  if (runKind(context.runId) === 'node_run') {
    own.context = without(context, 'nodeConfig')
    return object(context.nodeConfig).body ?? own
  }
  const ownContext = without(context, 'runId')
  // Keeps a legacy body's context, even if it has only the run id, because the context identifies a legacy body.
  if (!isEmpty(ownContext) || isObject(ownPayload.properties)) {
    own.context = isOfPort(ownContext) ? context : ownContext
  }
  return own
}

/** Whether the context has only a run id, an entity, and a blueprint. If so, the context is Port's and not an input. */
const isOfPort = (context: JsonObject) => unknownFields(context, RUN_CONTEXT).size === 0
