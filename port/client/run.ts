import { isObject, type Json, type RunState } from '../types.ts'

const STATUS: Record<string, RunState['status']> = {
  IN_PROGRESS: 'in_progress',
  WAITING_FOR_APPROVAL: 'waiting',
  SUCCESS: 'success',
  FAILURE: 'failure',
  DECLINED: 'cancelled',
}

/** The state of a run that Port has no route to read. */
export const UNREAD: RunState = {
  status: 'unknown',
  ended: false,
  externalRunId: null,
  synchronized: false,
  properties: null,
  body: null,
}

/**
 * Reads a node run. No public source documents its shape: the status is in `nodeRun`, `run`, or at the top level, and that of
 * its Port workflow is in `workflowRun`.
 */
export function readNodeRun(response: Json): RunState {
  if (!isObject(response)) return UNREAD
  const run = [response.nodeRun, response.workflowNodeRun, response.run].find(isObject) ?? response
  const parent = [run.workflowRun, response.workflowRun].find(isObject) ?? {}
  const states = [run.status, parent.status].map(String)
  return {
    ...UNREAD,
    ended: states.includes('COMPLETED') || typeof run.endedAt === 'string',
    cancelling: states.includes('CANCELLING'),
  }
}

/** Reads `{ run }` of `GET /v1/actions/runs/{id}?version=v2`; null if it has another shape. */
export function readRun(response: Json): RunState | null {
  if (!isObject(response) || !isObject(response.run)) return null
  const { run } = response
  const status = STATUS[String(run.status)] ?? 'unknown'
  const payload = isObject(run.payload) ? run.payload : {}
  return {
    status,
    ended: ['success', 'failure', 'cancelled'].includes(status) || typeof run.endedAt === 'string',
    externalRunId:
      typeof run.externalRunId === 'string' && run.externalRunId !== '' ? run.externalRunId : null,
    synchronized: payload.synchronized === true,
    properties: isObject(run.properties) ? run.properties : null,
    body: payload.body ?? null,
  }
}
