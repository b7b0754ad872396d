import { isObject, type Json, type JsonObject } from './json.ts'

/** What the run id names in Port: a run of a self-service action or automation, a node run of a Port workflow, or nothing that can be reported to. */
export type RunKind = 'action_run' | 'node_run' | 'none'

/** Who or what started it. Port sends more personal data than this; no more than name and e-mail is kept. */
export interface Trigger {
  by: { email: string | null; name: string | null } | null
  origin: string | null
  /** ISO 8601, as Port sent it. */
  at: string | null
}

/** What Port asks for, read from any body it sends. Input values keep their JSON type. */
export interface Invocation {
  runId: string | null
  /** Whether the run id stood in the signed body or only in the unsigned `RUN_ID` header. */
  runIdFrom: 'body' | 'header' | null
  kind: RunKind
  action: string | null
  /** `CREATE`, `DAY-2` or `DELETE`; legacy bodies may say something of their own. */
  operation: string | null
  blueprint: string | null
  /** The entity as Port sent it, or `{ identifier }` where the body carries only that. */
  entity: JsonObject | null
  inputs: JsonObject
  /** Names of the inputs whose values are encrypted. */
  encrypted: string[]
  /** The change that started an automation, or a change-log body. */
  event: Json
  trigger: Trigger | null
  /** The signed body's own say in where to dispatch. */
  github: { repository: string | null; eventType: string | null } | null
}

/** `r_…`, older `run_…`: an action run. `wfnr_…`: a node run. Matched by prefix, never by length. */
export function runKind(id: unknown): RunKind {
  if (typeof id !== 'string' || id.length > 100) return 'none'
  if (/^(r|run)_[A-Za-z0-9_-]+$/.test(id)) return 'action_run'
  return /^wfnr_[A-Za-z0-9_-]+$/.test(id) ? 'node_run' : 'none'
}

/**
 * Reads an invocation from any JSON body Port may send: full context, legacy, the UI's default, flat,
 * automation, change log, workflow node, or a shape nobody has seen, whose keys are then the inputs.
 *
 * @param body the parsed body; arrays and scalars become the one input `body`
 * @param runIdHeader the unsigned `RUN_ID` header, trusted least
 */
export function readInvocation(body: unknown, runIdHeader?: string | null): Invocation {
  const read = isObject(body)
    ? readObject(body)
    : { inputs: body === undefined ? {} : { body: body as Json } }
  const inBody = isObject(body) && !isChangeLog(body) ? findRunId(body) : null
  const inHeader = runKind(runIdHeader) === 'none' ? null : (runIdHeader ?? null)
  const runId = inBody ?? inHeader
  return {
    action: null,
    operation: null,
    blueprint: null,
    entity: null,
    encrypted: [],
    event: null,
    trigger: null,
    github: null,
    ...read,
    runId,
    runIdFrom: inBody ? 'body' : inHeader ? 'header' : null,
    kind: runKind(runId),
  }
}

type Read = Partial<Invocation> & { inputs: JsonObject }

function readObject(body: JsonObject): Read {
  const github = readDirective(body.github)
  const rest = github ? without(body, 'github') : body
  return { ...readShape(rest), github }
}

function readShape(body: JsonObject): Read {
  if (isContext(body)) return readContext(body)
  if (isLegacy(body)) return readLegacy(body)
  if (isChangeLog(body)) return readChangeLog(body)
  return readFlat(body)
}

/** `"{{ . }}"`: the whole context of a v2 action, self-service or automation. */
function isContext(body: JsonObject): boolean {
  return (
    (isObject(body.run) && typeof body.run.id === 'string' && 'inputs' in body) ||
    (isObject(body.action) && isObject(body.trigger) && ('inputs' in body || 'event' in body))
  )
}

function readContext(body: JsonObject): Read {
  const action = object(body.action)
  const trigger = object(body.trigger)
  const entity = readEntity(body.entity)
  const event = isObject(body.event) ? cleanEvent(body.event) : (body.event ?? null)
  return {
    action: text(action.identifier),
    operation: text(trigger.operation),
    blueprint:
      text(action.blueprint) ??
      text(entity?.blueprint) ??
      text(object(object(body.event).context).blueprintIdentifier),
    entity,
    inputs: object(body.inputs),
    encrypted: texts(action.encryptedProperties),
    event,
    trigger: readTrigger(body.trigger),
  }
}

/** The v1 body, and the documented imitation of it; also what Port's agent forwards for a workflow node. */
function isLegacy(body: JsonObject): boolean {
  return (
    isObject(body.context) &&
    isObject(body.payload) &&
    (isObject(body.payload.properties) || isObject(body.payload.action) || isObject(body.payload.entity))
  )
}

function readLegacy(body: JsonObject): Read {
  const context = object(body.context)
  const payload = object(body.payload)
  const action = object(payload.action)
  const entity = readEntity(payload.entity) ?? readEntity(context.entity)
  return {
    action: text(body.action) ?? text(action.identifier),
    operation: text(action.trigger),
    blueprint: text(context.blueprint) ?? text(action.blueprint) ?? text(entity?.blueprint),
    entity,
    inputs: object(payload.properties),
    encrypted: texts(payload.censoredProperties),
    trigger: readTrigger(body.trigger),
  }
}

/** The older change-log destination: it tells of a change and starts no run of its own, even where the change is to a run. */
function isChangeLog(body: JsonObject): boolean {
  return typeof body.resourceType === 'string' && isObject(body.diff) && !isObject(body.payload)
}

function readChangeLog(body: JsonObject): Read {
  const context = object(body.context)
  return {
    action: text(body.action),
    blueprint: text(context.blueprint),
    entity: readEntity(context.entity),
    inputs: {},
    event: cleanEvent(without(body, 'headers', 'changelogDestination')),
    trigger: readTrigger(body.trigger),
  }
}

/** Everything else: the author's own keys, with what Port put beside them (`port_context`, `port_payload`, `context`). */
function readFlat(body: JsonObject): Read {
  const own = { ...body }
  const found: Read = { inputs: {} }
  if (isObject(body.port_payload)) {
    Object.assign(found, readShape(body.port_payload))
    delete own.port_payload
  }
  if (isObject(body.port_context)) {
    const context = body.port_context
    found.entity = readEntity(context.entity) ?? found.entity ?? null
    found.blueprint = text(context.blueprint) ?? text(found.entity?.blueprint) ?? found.blueprint ?? null
    found.action = text(context.action) ?? found.action ?? null
    delete own.port_context
  }
  if (isObject(body.context) && contextRunId(body.context)) {
    found.entity ??= readEntity(body.context.entity)
    found.blueprint ??= text(body.context.blueprint)
    delete own.context
    if (isObject(body.payload)) {
      found.inputs = { ...found.inputs, ...body.payload }
      delete own.payload
    }
  }
  if (isObject(body.workflowNodeRun)) delete own.workflowNodeRun
  if (isObject(body.trigger) && isObject(body.trigger.by)) {
    found.trigger = readTrigger(body.trigger)
    found.operation ??= text(body.trigger.operation)
    delete own.trigger
  }
  found.action ??= text(body.action) ?? text(object(body.action).identifier)
  return { ...found, inputs: { ...found.inputs, ...own } }
}

/**
 * Candidates in order of trust. Never deeper than this: an automation on run events carries the ids of
 * *other* runs inside `event` and `diff`.
 */
function findRunId(body: JsonObject): string | null {
  const portContext = object(body.port_context)
  const portPayload = object(body.port_payload)
  const candidates = [
    object(body.run).id,
    portContext.runId,
    portContext.run_id,
    object(portContext.context).runId,
    contextRunId(body.context),
    object(portPayload.context).runId,
    portPayload.runId,
    portPayload.run_id,
    object(portPayload.run).id,
    ...['runId', 'run_id', 'runID', 'RUN_ID', 'port_run_id', 'nodeRunId'].map(name => body[name]),
    object(body.workflowNodeRun).identifier,
  ]
  const found = candidates.find(id => runKind(id) !== 'none')
  return typeof found === 'string' ? found : null
}

function contextRunId(context: Json | undefined): string | null {
  const { runId, nodeRunId } = object(context)
  return [runId, nodeRunId].filter(id => runKind(id) !== 'none').map(String)[0] ?? null
}

function readEntity(value: Json | undefined): JsonObject | null {
  if (isObject(value)) return Object.keys(value).length > 0 ? value : null
  return typeof value === 'string' && value !== '' ? { identifier: value } : null
}

function readTrigger(value: Json | undefined): Trigger | null {
  if (!isObject(value)) return null
  return { by: readPerson(object(value.by).user), origin: text(value.origin), at: text(value.at) }
}

function readPerson(value: Json | undefined): Trigger['by'] {
  const user = object(value)
  const name = [text(user.firstName), text(user.lastName)].filter(Boolean).join(' ') || text(user.name)
  const email = text(user.email)
  return email || name ? { email, name } : null
}

/** An event's own trigger may carry a whole user: no more than name and e-mail goes on. */
function cleanEvent(event: JsonObject): JsonObject {
  const by = object(object(event.trigger).by)
  if (!isObject(by.user)) return event
  const person = readPerson(by.user)
  return { ...event, trigger: { ...object(event.trigger), by: { ...by, user: person && { ...person } } } }
}

/** `github: { repository, event_type }` and nothing else: an input of that name keeps any other form. */
function readDirective(value: Json | undefined): Invocation['github'] {
  if (!isObject(value)) return null
  const names = Object.keys(value)
  const ours = names.every(name => name === 'repository' || name === 'event_type')
  if (!ours || names.length === 0) return null
  return { repository: text(value.repository), eventType: text(value.event_type) }
}

const object = (value: unknown): JsonObject => (isObject(value) ? value : {})
/** A name or identifier; what is longer than any of Port's, or holds control characters, is none. */
const text = (value: unknown): string | null =>
  typeof value === 'string' && value !== '' && value.length <= 500 && !/[\p{Cc}\p{Cs}]/u.test(value)
    ? value
    : null
const texts = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter(item => typeof item === 'string') : []

function without(value: JsonObject, ...names: string[]): JsonObject {
  return Object.fromEntries(Object.entries(value).filter(([name]) => !names.includes(name)))
}
