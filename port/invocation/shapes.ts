import type { ForWorkflow, Invocation, Json, JsonObject } from '../types.ts'
import { contextRunId, isObject, isWorkflowRunId, runKind, texts } from '../types.ts'
import {
  type Fields,
  field,
  fieldsOf,
  firstText,
  identifier,
  isAny,
  isContext,
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
  unknownFields,
  without,
} from './values.ts'

export interface Asked
  extends Omit<Invocation, 'runId' | 'runIdFrom' | 'kind' | 'github' | 'forWorkflow' | 'inputs'> {
  /** The inputs. If a name occurs several times, the last one counts. */
  inputs: Fields[]
  entered: Fields[]
  /** The inputs that aren't from the form. */
  own: Fields[]
  contexts?: ForWorkflow
}

/** A format of Port's webhook bodies. Unknown fields belong to the author, and become inputs. */
interface Shape {
  known: Known
  matches(body: JsonObject): boolean
  read(body: JsonObject, taken: JsonObject): Partial<Asked>
}

const isWorkflowRun = (value: Json | undefined) => isWorkflowRunId(object(value).identifier)

/** The full or the recommended context of an action or automation. If `inputs` isn't an object, it is an input itself. */
const CONTEXT: Shape = {
  known: {
    run: isObject,
    inputs: isObjectOrNull,
    action: value => isObjectOrNull(value) || identifier(value) !== null,
    entity: isEntity,
    event: isAny,
    trigger: isObjectOrNull,
    workflowRun: isWorkflowRun,
  },
  matches(body) {
    const { run, action, trigger, inputs } = body
    if (isObject(run) && typeof run.id === 'string' && 'inputs' in body) return true
    if (!isObject(action)) return false
    const isNamed = identifier(action.identifier) !== null && isObject(inputs)
    return isNamed || (isObject(trigger) && ('inputs' in body || 'event' in body))
  },
  read(body) {
    const action = object(body.action)
    const entity = readEntity(body.entity)
    const contexts: ForWorkflow = {}
    const inputs = [unknownFields(object(body.inputs), OWN_CONTEXTS, contexts as JsonObject)]
    return {
      action: text(action.identifier) ?? identifier(body.action),
      operation: text(object(body.trigger).operation),
      blueprint: firstText(
        action.blueprint,
        entity?.blueprint,
        object(object(body.event).context).blueprintIdentifier,
        body.blueprint,
      ),
      entity,
      inputs,
      entered: inputs,
      contexts,
      encrypted: texts(action.encryptedProperties),
      event: body.event ?? null,
      trigger: readTrigger(body.trigger),
    }
  },
}

/** Inputs with these names come from the author, not from the user. */
const OWN_CONTEXTS: Known = { port_context: isContext, port_payload: isContext }

/** The keys of `context` in a legacy body, or in the body of a Port workflow's node. */
const RUN_CONTEXT: Known = {
  runId: isAny,
  nodeRunId: isAny,
  workflowRunId: isAny,
  entity: isEntity,
  blueprint: isText,
}
const PAYLOAD: Known = {
  action: isObjectOrNull,
  entity: isEntity,
  properties: isObjectOrNull,
  censoredProperties: value => value === null || Array.isArray(value),
}

/** The body of Port's older actions (v1). */
const LEGACY: Shape = {
  known: {
    action: isText,
    resourceType: isText,
    status: isText,
    trigger: isObjectOrNull,
    context: isObject,
    payload: isObject,
  },
  // A Port workflow's node also sends `context`, but all keys of its `payload` are the author's.
  matches({ context, payload, port_context }) {
    const { properties, action, entity } = object(payload)
    const isOfAction = isObject(properties) || isObject(action) || isObject(entity)
    const isNode = runKind(contextRunId(context)) === 'node_run'
    return isObject(context) && isOfAction && !isObject(port_context) && !isNode
  },
  read(body) {
    const context = object(body.context)
    const payload = object(body.payload)
    const action = object(payload.action)
    const entity = readEntity(payload.entity) ?? readEntity(context.entity)
    const entered = [fieldsOf(object(payload.properties))]
    const own = [unknownFields(context, RUN_CONTEXT), unknownFields(payload, PAYLOAD)]
    return {
      action: firstText(body.action, action.identifier),
      operation: text(action.trigger),
      blueprint: firstText(context.blueprint, action.blueprint, entity?.blueprint, body.blueprint),
      entity,
      inputs: [...own, ...entered],
      entered,
      own,
      encrypted: texts(payload.censoredProperties),
      trigger: readTrigger(body.trigger),
    }
  },
}

const CHANGE_LOG_FIELDS = 'id action resourceType status trigger context diff headers changelogDestination'

/** A body that is the event of a change log or an automation, and nothing else. All fields belong to the event. */
const CHANGE_LOG: Shape = {
  known: Object.fromEntries(CHANGE_LOG_FIELDS.split(' ').map(name => [name, isAny])),
  matches(body) {
    // The event of an expired timer has no "diff", because nothing changed.
    const isTimer = body.action === 'TIMER_EXPIRED' && isObject(body.context) && isObject(body.trigger)
    return typeof body.resourceType === 'string' && (isObject(body.diff) || isTimer) && !LEGACY.matches(body)
  },
  read(body, taken) {
    const context = object(body.context)
    return {
      action: text(body.action),
      blueprint: firstText(context.blueprint, context.blueprintIdentifier),
      entity: readEntity(context.entity),
      // Port's agent adds these two keys.
      event: without(taken, 'headers', 'changelogDestination'),
      trigger: readTrigger(body.trigger),
    }
  },
}

export const SHAPES = { CONTEXT, LEGACY, CHANGE_LOG }

export function readShape(body: JsonObject): Asked {
  const isSpread = spreadsInputs(body)
  // A body with inputs at the top level can look like CONTEXT or LEGACY, although it has neither shape.
  const shapes = isSpread ? [CHANGE_LOG] : Object.values(SHAPES)
  const shape = shapes.find(each => each.matches(body))
  if (!shape) return readFlat(body, isSpread)
  const taken: JsonObject = {}
  const rest = unknownFields(body, shape.known, taken)
  const read = shape.read(body, taken)
  const flat = rest.size === 0 ? NOTHING : readFlat(rest, isSpread)
  return {
    // The `action` of a change, such as UPDATE, isn't the Port action. Port's own context contains the Port action.
    action: (isSpread ? null : read.action) ?? flat.action,
    operation: read.operation ?? flat.operation,
    blueprint: read.blueprint ?? flat.blueprint,
    entity: read.entity ?? flat.entity,
    inputs: [...flat.inputs, ...(read.inputs ?? [])],
    entered: read.entered ?? (isSpread ? flat.entered : []),
    own: [...(read.own ?? []), ...flat.own, ...flat.entered],
    ...(read.contexts && { contexts: read.contexts }),
    encrypted: [...new Set([...(read.encrypted ?? []), ...flat.encrypted])],
    event: read.event ?? flat.event,
    trigger: read.trigger ?? flat.trigger,
  }
}

const isRunContext = (value: Json | undefined) => contextRunId(value) !== null
const hasBy = (value: Json | undefined) => isObject(value) && isObject(value.by)

/** Port's keys in a body that can also have keys of the author. */
const FLAT: Known = {
  port_payload: isObject,
  port_context: isObject,
  context: isRunContext,
  workflowNodeRun: isObject,
  workflowRun: isWorkflowRun,
  trigger: hasBy,
}
const PORT_CONTEXT: Known = {
  ...RUN_CONTEXT,
  run_id: isAny,
  context: isRunContext,
  action: value => isObject(value) || identifier(value) !== null,
  trigger: hasBy,
}

/** Reads a body without a known shape. @param isSpread whether keys at the top level can be inputs that a user entered */
function readFlat(body: JsonObject | Fields, isSpread: boolean): Asked {
  const given = field(body, 'port_payload')
  const payload = object(unwrapAgent(given) as Json)
  const portContext = object(unwrapAgent(field(body, 'port_context')) as Json)
  const portPayload = isObject(given) ? readPortPayload(payload) : NOTHING
  const inRun = isRunContext(field(body, 'context'))
  const context = runContext(field(body, 'context'))
  const action = readAction(portContext.action)
  const ownAction = readAction(isSpread ? null : field(body, 'action'))
  const trigger = [portContext.trigger, field(body, 'trigger')].find(hasBy)
  const entity = readEntity(portContext.entity) ?? portPayload.entity
  const own = [unknownFields(context, RUN_CONTEXT)]
  const entered = [
    ...(inRun ? [fieldsOf(object(field(body, 'payload')))] : []),
    unknownFields(body, inRun ? { ...FLAT, payload: isObject } : FLAT),
  ]
  return {
    action: action.identifier ?? portPayload.action ?? ownAction.identifier,
    operation: portPayload.operation ?? text(object(trigger).operation),
    blueprint: firstText(
      portContext.blueprint,
      ...[entity?.blueprint, portPayload.blueprint, context.blueprint],
      ...[action.blueprint, ownAction.blueprint],
    ),
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

/** Port never nests `port_payload`, so an inner `port_payload` is the author's key. */
function readPortPayload(payload: JsonObject): Asked {
  const own = payload.port_payload
  if (own === undefined) return readShape(payload)
  const asked = readShape(without(payload, 'port_payload'))
  return { ...asked, inputs: [...asked.inputs, new Map([['port_payload', own]])] }
}

const NOTHING: Asked = {
  ...{ action: null, operation: null, blueprint: null, entity: null, event: null, trigger: null },
  ...{ inputs: [], entered: [], own: [], encrypted: [] },
}

const runContext = (value: Json | undefined) => object(isRunContext(value) ? value : null)

function readAction(value: Json | undefined) {
  const action = object(value)
  return {
    identifier: identifier(value) ?? identifier(action.identifier),
    blueprint: action.blueprint,
    encrypted: texts(action.encryptedProperties),
  }
}

/**
 * Returns the author's body from the body that Port's agent sends. The agent overwrites `headers`, and adds
 * `payload.action.invocationMethod` and `context.runId`. For a Port workflow's node, `context.nodeConfig.body` contains
 * the author's body.
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
  if (!isEmpty(ownContext) || isObject(ownPayload.properties)) {
    own.context = isOfPort(ownContext) ? context : ownContext
  }
  return own
}

const isOfPort = (context: JsonObject) => unknownFields(context, RUN_CONTEXT).size === 0
