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

/** The parts of an invocation that don't identify its run or its target. */
export interface Asked
  extends Omit<Invocation, 'runId' | 'runIdFrom' | 'kind' | 'github' | 'forWorkflow' | 'inputs'> {
  /** In the order of precedence: later ones win. */
  inputs: Fields[]
  /** The inputs that a user entered, in the same order. */
  entered: Fields[]
  /** The inputs next to the form in the body. */
  own: Fields[]
}

/** The parts that a shape has, and the rest of the body, which its author added. */
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
/** The `context` that names a run, here and in a node of a Port workflow. */
const RUN_CONTEXT: Known = {
  runId: isAny,
  nodeRunId: isAny,
  workflowRunId: isAny,
  entity: isEntity,
  blueprint: isText,
}

/** The body of Port's older actions (v1), and the documented imitation of it. */
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

/** A node of a Port workflow has `context` and `payload` as well, but its whole payload belongs to the author. */
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

/** The whole context of an action or automation, or the recommended part of it. `inputs` that isn't an object stays an input with that name. */
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
    (isObject(body.action) && isObject(body.trigger) && ('inputs' in body || 'event' in body))
  )
}

/** Reads the shape of a body, and the keys that its author added. */
export function readShape(body: JsonObject): Asked {
  const isSpread = spreadsInputs(body)
  const shape = knownShape(body, isSpread)
  if (!shape) return readFlat(body, isSpread)
  const beside = shape.rest.size === 0 ? NOTHING : readFlat(shape.rest, isSpread)
  return {
    action: shape.action ?? beside.action,
    operation: shape.operation ?? beside.operation,
    blueprint: shape.blueprint ?? beside.blueprint,
    entity: shape.entity ?? beside.entity,
    inputs: [...beside.inputs, ...shape.inputs],
    entered: shape.entered ?? (isSpread ? beside.entered : []),
    own: [...(shape.own ?? []), ...beside.own, ...beside.entered],
    encrypted: [...new Set([...(shape.encrypted ?? []), ...beside.encrypted])],
    event: shape.event ?? beside.event,
    trigger: shape.trigger ?? beside.trigger,
  }
}

/** If inputs can be next to Port's own context, an automation may have spread its event there; neither names the action. */
function knownShape(body: JsonObject, isSpread: boolean): ShapeRead | null {
  if (!isSpread) return readContext(body) ?? readLegacy(body) ?? readChangeLog(body)
  const changeLog = readChangeLog(body)
  return changeLog && { ...changeLog, action: null }
}

const isRunContext = (value: Json | undefined) => contextRunId(value) !== null
const hasBy = (value: Json | undefined) => isObject(value) && isObject(value.by)

/** Port's keys next to those of the author. */
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
 * Everything else: the author's own keys, next to those of Port.
 *
 * @param isSpread whether they may be inputs that a user entered
 */
function readFlat(body: JsonObject | Fields, isSpread: boolean): Asked {
  const [given, runGiven] = [field(body, 'port_payload'), field(body, 'context')]
  // Port's agent may have wrapped these, too.
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
    // A workflow's node has the author's keys in its payload.
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

/** Port never nests `port_payload`: an inner one is a key of the author. */
function readPortPayload(payload: JsonObject): Asked {
  const { port_payload: own } = payload
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
  event: null,
  trigger: null,
}

const runContext = (value: Json | undefined) => (isRunContext(value) ? object(value) : {})

/** An action in the form of Port's context, or only its identifier, which must be a possible event type. */
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

/** The older change-log destination, or an automation's event spread into the body: all of its fields are the event. */
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

/** It describes a change and starts no run, even if the change is to a run, whose id is in its `context`. */
export function isChangeLog(body: JsonObject): boolean {
  // A timer that has expired changes nothing, so it has no "diff".
  const isTimer = body.action === 'TIMER_EXPIRED' && isObject(body.context) && isObject(body.trigger)
  return typeof body.resourceType === 'string' && (isObject(body.diff) || isTimer) && !isLegacy(body)
}

/**
 * The author's own body, out of what Port's agent makes of it. The agent overwrites `headers`, and puts the
 * invocation method into `payload.action.invocationMethod` and the run id into `context.runId`; of a node of a
 * Port workflow it sends the configuration, `context.nodeConfig`, whose `body` is the author's. Any other body
 * is given back as it is.
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
  // A legacy body is recognized by its context, in which the author may have put only the run id.
  if (!isEmpty(ownContext) || isObject(ownPayload.properties)) {
    own.context = isOfPort(ownContext) ? context : ownContext
  }
  return own
}

/** Entity and blueprint next to a run id: the author put the run id there, so the context isn't an input. */
const isOfPort = (context: JsonObject) => unknownFields(context, RUN_CONTEXT).size === 0
