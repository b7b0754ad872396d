import { isObject, type JsonObject } from '../types.ts'
import { RUN_CONTEXT } from './read-legacy.ts'
import { object } from './read-value.ts'
import { runKind } from './run-kind.ts'
import { isEmpty, unknownFields, without } from './unknown-fields.ts'

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
  // A legacy body is known by its context, and its author may have had no more in it than the run id.
  if (!isEmpty(ownContext) || isObject(ownPayload.properties)) {
    own.context = isOfPort(ownContext) ? context : ownContext
  }
  return own
}

/** Entity and blueprint are beside a run id that the author put there too: it still shows that this is no input. */
const isOfPort = (context: JsonObject) => isEmpty(unknownFields(context, RUN_CONTEXT))
