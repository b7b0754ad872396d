import { parse } from 'yaml'
import { parseJson } from '../../port/text.ts'
import { isObject, type Json, type JsonObject } from '../../port/types.ts'

export type Property = JsonObject & { type: string }

/**
 * A Port action as in its API and UI (v2).
 * @see https://docs.port.io/actions-and-automations/create-self-service-experiences/setup-ui-for-action/
 */
export type PortAction = JsonObject & {
  identifier: string
  trigger: JsonObject
  invocationMethod: JsonObject
}

export const formOf = ({ trigger: { userInputs } }: PortAction) =>
  ({ properties: {}, ...(isObject(userInputs) && userInputs) }) as JsonObject & {
    properties: Record<string, Property>
  }

/** The keys that Port adds to a definition. */
export const OF_PORT = 'id orgId version createdAt createdBy updatedAt updatedBy triggerType'.split(' ')

/** Reads all Port actions in an export or in a response of Port's API (JSON or YAML). @throws Error with a message */
export function readPortActions(text: string): PortAction[] {
  const value = parsed(text.replace(/^\ufeff/, ''))
  const inside = isObject(value) && !isAction(value) ? [value.action, value.actions] : [value]
  const found = inside.flat().filter(isObject).filter(isAction)
  if (found.length > 0) return found.map(readPortAction)
  throw new Error('The file contains no Port action (identifier, trigger) in JSON or YAML.')
}

function parsed(text: string): Json {
  try {
    return parseJson(text) ?? (parse(text) as Json)
  } catch {
    return null
  }
}

const isAction = (value: JsonObject) =>
  !('jobs' in value) && ['identifier', 'invocationMethod', 'trigger'].filter(key => key in value).length >= 2

function readPortAction(given: JsonObject): PortAction {
  const { identifier, trigger, invocationMethod, ...action } = withoutNulls(given)
  if (typeof identifier !== 'string' || identifier === '')
    throw new Error('The Port action has no identifier.')
  if (!isObject(trigger)) {
    throw new Error(
      `The Port action ${identifier} is in Port's older format: it has no "trigger" object. Export it from Port again.`,
    )
  }
  for (const key of OF_PORT) delete action[key]
  const { userInputs, ...rest } = withoutNulls(trigger)
  return {
    identifier,
    ...action,
    trigger: { ...rest, ...(isObject(userInputs) && { userInputs: readForm(identifier, userInputs) }) },
    invocationMethod: isObject(invocationMethod) ? withoutNulls(invocationMethod) : {},
  }
}

function readForm(action: string, given: JsonObject): JsonObject {
  const { properties = {}, ...form } = withoutNulls(given)
  if (!isObject(properties)) throw new Error(`"userInputs.properties" of ${action} must be an object.`)
  const read = Object.entries(properties).map(([input, property]) => {
    if (isObject(property) && typeof property.type === 'string') return [input, withoutNulls(property)]
    throw new Error(`The input ${JSON.stringify(input)} of ${action} has no type.`)
  })
  return { properties: Object.fromEntries(read), ...form }
}

const withoutNulls = (value: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(value).filter(([, each]) => each !== null))

export const given = (values: Record<string, Json | undefined>): JsonObject =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as JsonObject
