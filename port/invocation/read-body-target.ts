import { type Invocation, isObject, type Json, type JsonObject } from '../types.ts'

const NAMES = ['repository', 'event_type', 'workflow', 'ref']

/**
 * The target that the signed body names: `github: { repository, event_type | workflow, ref }`, and nothing else in
 * it. An object with other keys, or none, is an author's input. `null` and `""` mean not given. Texts are given on
 * as they are, for the target to refuse; what is no text is named in `fault`, so that a target which was meant
 * is never taken for one that was not given.
 */
export function readBodyTarget(value: Json | undefined): Invocation['github'] {
  if (!isObject(value)) return null
  const names = Object.keys(value)
  if (names.length === 0 || !names.every(name => NAMES.includes(name))) return null
  // The id of a workflow is a number to GitHub.
  const given: JsonObject = Number.isSafeInteger(value.workflow)
    ? { ...value, workflow: String(value.workflow) }
    : value
  const fault = NAMES.find(name => typeof (given[name] ?? '') !== 'string')
  const textOf = (item: Json | undefined) => (typeof item === 'string' && item !== '' ? item : null)
  return {
    repository: textOf(given.repository),
    eventType: textOf(given.event_type),
    workflow: textOf(given.workflow),
    ref: textOf(given.ref),
    fault: fault
      ? `"github.${fault}" in the body must be a string: correct it in the "body" of the Port action, or leave it out.`
      : null,
  }
}
