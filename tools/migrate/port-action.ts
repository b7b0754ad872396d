import { parseJson } from '../../port/text.ts'
import { isObject, type JsonObject } from '../../port/types.ts'
import { EXAMPLE_RELAY, invocationMethod, readStart } from '../generate/invocation-method.ts'
import { isPortAction, readPortAction, writePortAction } from '../generate/port-action.ts'

/**
 * A Port action with the relay as its backend. What its `workflowInputs` computed, the body computes in the same way.
 *
 * @param text the action as exported from Port, JSON
 * @returns the action, and what to look at
 */
export function migratePortAction(text: string, relay?: string): { action: JsonObject; notes: string[] } {
  const value = parseJson(text) ?? null
  if (!isPortAction(value))
    throw new Error('--port-action must be a Port action as JSON, as exported from Port.')
  const action = readPortAction(value)
  const start = readStart(action)
  const method = invocationMethod(relay ?? EXAMPLE_RELAY, start)
  const { integrationActionExecutionProperties: properties } = action.invocationMethod
  const { workflowInputs } = isObject(properties) ? properties : action.invocationMethod
  if (isObject(workflowInputs) && isObject(method.body)) {
    const { port_context, port_payload, ...inputs } = workflowInputs
    // The relay passes both to the workflow as they are.
    const context = Object.entries({ port_context, port_payload }).filter(([, each]) => each !== undefined)
    method.body = { ...method.body, inputs, ...Object.fromEntries(context) } as JsonObject
  }
  const notes = []
  if (relay === undefined)
    notes.push(`replace ${EXAMPLE_RELAY} by the address of your relay, or give --relay.`)
  if (!start.name || !start.repository)
    notes.push('the address names no repository or no workflow: complete it.')
  return { action: writePortAction({ ...action, invocationMethod: method }), notes }
}
