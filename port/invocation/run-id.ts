import { contextRunId, type JsonObject, runKind } from '../types.ts'
import { isChangeLog, unwrapAgent } from './shape.ts'
import { object } from './values.ts'

/**
 * The id of the run that a body is the invocation of, from the places where Port and the authors of its
 * bodies put it, in order of trust: what Port's own context names comes before every key that may be an input of
 * the same name, as inputs are spread into the body by default. Never deeper than this: an automation on run events carries the ids of
 * *other* runs inside `event` and `diff`, and a change log has one in its `context`, unless Port's agent put
 * the run's own in its place.
 */
export function findRunId(body: JsonObject): string | null {
  const ofAnother = isChangeLog(body) && unwrapAgent(body) === body
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
