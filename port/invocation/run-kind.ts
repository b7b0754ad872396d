import { isObject, type RunKind } from '../types.ts'

/** `r_…`, older `run_…`: an action run. `wfnr_…`: a node run. Matched by prefix, never by length. */
export function runKind(id: unknown): RunKind {
  if (typeof id !== 'string' || id.length > 100) return 'none'
  if (/^(r|run)_[A-Za-z0-9_-]+$/.test(id)) return 'action_run'
  return /^wfnr_[A-Za-z0-9_-]+$/.test(id) ? 'node_run' : 'none'
}

/** The run id that a body's `context` carries: `runId`, or `nodeRunId` in a node of a Port workflow. */
export function contextRunId(context: unknown): string | null {
  if (!isObject(context)) return null
  const found = [context.runId, context.nodeRunId].find(id => runKind(id) !== 'none')
  return typeof found === 'string' ? found : null
}
