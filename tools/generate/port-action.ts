import { parse } from 'yaml'
import { parseJson } from '../../port/text.ts'
import { isObject, type Json, type JsonObject } from '../../port/types.ts'

/** A Port action's input, in JSON Schema with Port's keywords. */
export type Property = JsonObject & { type: string }

/**
 * A Port action as exported from its API and UI (v2), without the fields that Port adds.
 * @see https://docs.port.io/actions-and-automations/create-self-service-experiences/setup-ui-for-action/
 */
export interface PortAction {
  identifier: string
  /** Title, icon, description, approval, and every other field of the action. */
  about: JsonObject
  /** `trigger` without its `userInputs`. */
  trigger: JsonObject
  properties: Record<string, Property>
  /** `trigger.userInputs` without its `properties`; null for an automation without inputs. */
  userInputs: JsonObject | null
  invocationMethod: JsonObject
}

/** The fields that Port's API adds to an action. */
const OF_PORT = ['id', 'createdAt', 'createdBy', 'updatedAt', 'updatedBy', 'triggerType']

/**
 * Reads every Port action of an export, or of a response of Port's API (JSON or YAML).
 *
 * @throws Error with a message if there is no action, or if one can't be used
 */
export function readPortActions(text: string): PortAction[] {
  const found = candidates(parsed(text.replace(/^\ufeff/, '')))
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

function readPortAction(action: JsonObject): PortAction {
  const { identifier: name, trigger, invocationMethod, ...about } = withoutNulls(action)
  if (typeof name !== 'string' || name === '') throw new Error('The Port action has no identifier.')
  if (!isObject(trigger)) {
    throw new Error(
      `The Port action ${name} is in Port's older format: it has no "trigger" object. Export it from Port again.`,
    )
  }
  const { userInputs, ...rest } = withoutNulls(trigger)
  const { properties = {}, ...others } = isObject(userInputs) ? withoutNulls(userInputs) : {}
  if (!isObject(properties)) throw new Error(`"userInputs.properties" of ${name} must be an object.`)
  for (const key of OF_PORT) delete about[key]
  return {
    identifier: name,
    about,
    trigger: rest,
    properties: Object.fromEntries(
      Object.entries(properties).map(([input, property]) => [input, readProperty(name, input, property)]),
    ),
    userInputs: isObject(userInputs) ? others : null,
    invocationMethod: isObject(invocationMethod) ? withoutNulls(invocationMethod) : {},
  }
}

function candidates(value: Json): JsonObject[] {
  if (Array.isArray(value)) return value.filter(isObject).filter(isAction)
  if (!isObject(value)) return []
  if (isAction(value)) return [value]
  return [value.action, value.actions].flat().filter(isObject).filter(isAction)
}

const isAction = (value: JsonObject) =>
  !('jobs' in value) && ['identifier', 'invocationMethod', 'trigger'].filter(key => key in value).length >= 2

function readProperty(action: string, input: string, property: Json): Property {
  if (isObject(property) && typeof property.type === 'string') return withoutNulls(property) as Property
  throw new Error(`The input ${JSON.stringify(input)} of ${action} has no type.`)
}

/** Port writes null for a value that isn't set. */
const withoutNulls = (value: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(value).filter(([, each]) => each !== null))

/** The JSON that Port's API and UI accept. */
export function writePortAction(action: PortAction): JsonObject {
  const { title, icon, description, ...rest } = action.about
  const { properties } = action
  const { required, order, ...others } = action.userInputs ?? {}
  const userInputs = { properties, ...given({ required, order }), ...others }
  const { type, operation, ...trigger } = action.trigger
  return {
    identifier: action.identifier,
    ...given({ title, icon, description }),
    trigger: { ...given({ type, operation }), ...(action.userInputs && { userInputs }), ...trigger },
    invocationMethod: action.invocationMethod,
    ...rest,
  }
}

export const given = (values: Record<string, Json | undefined>): JsonObject =>
  Object.fromEntries(
    Object.entries(values).filter((entry): entry is [string, Json] => entry[1] !== undefined),
  )
