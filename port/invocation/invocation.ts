import type { ForWorkflow, Invocation, Json, JsonObject } from '../types.ts'
import { contextRunId, isObject, isWorkflowRunId, runKind } from '../types.ts'
import { type Asked, readShape, SHAPES, unwrapAgent } from './shapes.ts'
import {
  assign,
  cleanField,
  cleanTriggers,
  contextsOf,
  object,
  spreadsInputs,
  withContextsRead,
  without,
} from './values.ts'

/**
 * Returns the invocation in any JSON body that Port or Port's agent can send. A key that isn't part of Port's format
 * becomes an input, unless the form has an input with that name. Arrays and scalars become the input `body`.
 * @param runIdHeader the `RUN_ID` header. It isn't signed, so it is used only if the body contains no ID.
 */
export function readInvocation(sent: unknown, runIdHeader?: string | null): Invocation {
  const ofAuthor = unwrapAgent(sent)
  const body = withContextsRead(ofAuthor)
  const whole = ofAuthor === sent ? body : withContextsRead(sent)
  const inBody = isObject(whole) ? findRunId(whole) : null
  const inHeader = runKind(runIdHeader) === 'none' ? null : (runIdHeader ?? null)
  const runId = inBody ?? inHeader
  const kind = runKind(runId)
  const workflowRunId = kind === 'node_run' && isObject(whole) ? findWorkflowRunId(whole) : undefined
  const { inputs: given, entered, own, contexts, ...asked } = readBody(body)
  const inputs: JsonObject = {}
  for (const fields of given)
    for (const [name, value] of fields) assign(inputs, name, cleanField(name, value))
  return {
    ...asked,
    inputs,
    runId,
    runIdFrom: inBody ? 'body' : inHeader ? 'header' : null,
    kind,
    ...(workflowRunId && { workflowRunId }),
    forWorkflow: forWorkflow(
      { ...contextsOf(ofAuthor, body), ...contexts },
      { names: Object.keys(inputs), entered, own, runId },
    ),
  }
}

/**
 * Returns the ID of the invoked run, from the most trusted place that contains an ID. Port's own context comes first,
 * because an input can have the same name as a key of the context. Ignores places that can contain the IDs of other
 * runs, such as `event`, and the `context` of a change log.
 */
function findRunId(body: JsonObject): string | null {
  const ofAnother = SHAPES.CHANGE_LOG.matches(body) && unwrapAgent(body) === body
  const portContext = object(body.port_context)
  const portPayload = object(body.port_payload)
  const candidates = [
    portContext.runId,
    portContext.run_id,
    object(portContext.context).runId,
    ofAnother ? null : contextRunId(body.context),
    object(portPayload.context).runId,
    portPayload.runId,
    portPayload.run_id,
    object(portPayload.run).id,
    object(body.run).id,
    ...['runId', 'run_id', 'runID', 'RUN_ID', 'port_run_id', 'nodeRunId'].map(name => body[name]),
    object(body.workflowNodeRun).identifier,
  ]
  const found = candidates.find(id => runKind(id) !== 'none')
  return typeof found === 'string' ? found : null
}

/** Returns the ID of a Port workflow's run from a body in the format of `generate`, or from Port's own context. */
const findWorkflowRunId = ({ workflowRun, context, port_context }: JsonObject) =>
  [
    object(workflowRun).identifier,
    ...[context, port_context, object(port_context).context].map(each => object(each).workflowRunId),
  ].find(isWorkflowRunId)

function forWorkflow(
  contexts: ForWorkflow,
  { names, entered, own, runId }: Pick<Asked, 'entered' | 'own'> & { names: string[]; runId: string | null },
): ForWorkflow | undefined {
  const [notEntered, inside]: [string[], string[]] = [[], []]
  for (const name of names) {
    const form = entered.findLast(each => each.has(name))
    // The form contains no ID of this run unless the author added it, because the run starts after the user submits the form.
    if (form && (runId === null || form.get(name) !== runId)) continue
    if (form || own.some(each => each.has(name))) notEntered.push(name)
    else inside.push(name)
  }
  const read: ForWorkflow = {
    ...contexts,
    ...(notEntered.length > 0 && { notEntered }),
    ...(inside.length > 0 && { inside }),
  }
  return Object.keys(read).length > 0 ? read : undefined
}

function readBody(body: unknown): Asked & Pick<Invocation, 'github'> {
  const given = isObject(body) ? body : body === undefined ? {} : { body: body as Json }
  const place = spreadsInputs(given) ? object(given.port_context) : given
  const github = readBodyTarget(place.github)
  const rest = github ? without(place, 'github') : place
  const asked = readShape(place === given ? rest : { ...given, port_context: rest })
  return { ...asked, event: cleanTriggers(asked.event), github }
}

const NAMES = ['repository', 'event_type', 'workflow', 'ref']
const STATUS = 'reportWorkflowStatus'
const LOST_RUNNER = 'lost-runner' as const

/**
 * Reads `github` in the signed body. If it has unknown keys, `github` is one of the author's inputs. `null` and `""`
 * mean "not set". Values are validated later. `fault` describes a value of the wrong type, so that an invalid target
 * isn't mistaken for a missing one.
 */
function readBodyTarget(value: Json | undefined): Invocation['github'] {
  if (!isObject(value)) return null
  const names = Object.keys(value)
  if (!names.every(name => [...NAMES, STATUS, 'rerun'].includes(name))) return null
  const given: JsonObject = Number.isSafeInteger(value.workflow)
    ? { ...value, workflow: String(value.workflow) }
    : value
  const fault = NAMES.find(name => typeof (given[name] ?? '') !== 'string')
  const status = value[STATUS] ?? true
  const rerun = value.rerun || null
  const textOf = (item: Json | undefined) => (typeof item === 'string' && item !== '' ? item : null)
  return {
    repository: textOf(given.repository),
    eventType: textOf(given.event_type),
    workflow: textOf(given.workflow),
    ref: textOf(given.ref),
    fault: fault
      ? mustBe(fault, 'a string')
      : typeof status !== 'boolean'
        ? mustBe(STATUS, 'true or false')
        : rerun !== null && rerun !== LOST_RUNNER
          ? mustBe('rerun', `"${LOST_RUNNER}"`)
          : null,
    ...(status === false && { [STATUS]: false as const }),
    ...(rerun === LOST_RUNNER && { rerun: LOST_RUNNER }),
  }
}

const mustBe = (name: string, what: string) =>
  `"github.${name}" in the body must be ${what}: correct or remove it in the "body" of the Port action.`
