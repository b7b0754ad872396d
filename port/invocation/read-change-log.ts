import { isObject, type JsonObject, type ShapeRead } from '../types.ts'
import { isLegacy } from './read-legacy.ts'
import { readTrigger } from './read-trigger.ts'
import { object, readEntity, text } from './read-value.ts'
import { isAny, type Known, unknownFields } from './unknown-fields.ts'

const CHANGE_LOG: Known = {
  id: isAny,
  action: isAny,
  resourceType: isAny,
  status: isAny,
  trigger: isAny,
  context: isAny,
  diff: isAny,
  // What Port's agent has beside it.
  headers: isAny,
  changelogDestination: isAny,
}

/** The older change-log destination, or an automation's event spread into the body: all of it is the event. */
export function readChangeLog(body: JsonObject): ShapeRead | null {
  if (!isChangeLog(body)) return null
  const context = object(body.context)
  const rest = unknownFields(body, CHANGE_LOG)
  return {
    action: text(body.action),
    blueprint: text(context.blueprint) ?? text(context.blueprintIdentifier),
    entity: readEntity(context.entity),
    inputs: {},
    event: eventOf(body),
    trigger: readTrigger(body.trigger),
    rest,
  }
}

function eventOf(body: JsonObject): JsonObject {
  const { headers: _, changelogDestination: __, ...known } = CHANGE_LOG
  return Object.fromEntries(Object.entries(body).filter(([name]) => Object.hasOwn(known, name)))
}

/** It describes a change and starts no run, even where the change is to a run, whose id is in its `context`. */
export function isChangeLog(body: JsonObject): boolean {
  // A timer that has expired changes nothing, so it has no "diff".
  const isTimer = body.action === 'TIMER_EXPIRED' && isObject(body.context) && isObject(body.trigger)
  return typeof body.resourceType === 'string' && (isObject(body.diff) || isTimer) && !isLegacy(body)
}
