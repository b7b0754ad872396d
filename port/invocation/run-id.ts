import { contextRunId, type JsonObject, runKind } from '../types.ts'
import { isChangeLog, unwrapAgent } from './shape.ts'
import { object } from './values.ts'

/**
 * The id of the run that a body invokes, from the places where Port and the authors of bodies put it, in order of trust:
 * Port's own context comes before every key that may be an input with the same name, because the default body spreads
 * inputs. It never searches deeper: an automation on run events carries the ids of *other* runs in `event` and `diff`,
 * and the `context` of a change log has one, too, unless Port's agent replaced it.
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
