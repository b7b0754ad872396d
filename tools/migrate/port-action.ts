import { parseJson } from '../../port/text.ts'
import { isObject, type JsonObject } from '../../port/types.ts'
import { bodyOfGitHub, EXAMPLE_RELAY, readStart, relayMethod } from '../generate/invocation-method.ts'
import { isPortAction, readPortAction, writePortAction } from '../generate/port-action.ts'

/**
 * Returns a Port action with the relay as its backend. The body computes the values that `workflowInputs` computed.
 *
 * @param text the action as exported from Port (JSON)
 * @returns the action, and what to check or complete
 */
export function migratePortAction(text: string, relay?: string): { action: JsonObject; notes: string[] } {
  const value = parseJson(text) ?? null
  if (!isPortAction(value))
    throw new Error('--port-action must be a Port action as JSON, as exported from Port.')
  const action = readPortAction(value)
  const start = readStart(action)
  const { method, notes } = relayMethod(action.invocationMethod, start, { relay })
  const body = bodyOfGitHub(action.invocationMethod)
  const invocationMethod = body ? { ...method, body } : method
  if (String(method.url).startsWith(EXAMPLE_RELAY))
    notes.push(`replace ${EXAMPLE_RELAY} by the address of your relay, or give --relay.`)
  const computed = isObject(body?.github) ? body.github : {}
  if (!(start.name ?? computed.workflow) || !(start.repository ?? computed.repository))
    notes.push('the address names no repository or no workflow: complete it.')
  return { action: writePortAction({ ...action, invocationMethod }), notes }
}
