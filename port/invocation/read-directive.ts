import { type Invocation, isObject, type Json } from '../types.ts'

const NAMES = ['repository', 'event_type']

/**
 * The signed body's own say in where to dispatch: `github: { repository, event_type }`, and nothing else in it.
 * An object with other keys, or none, is an author's input. `null` and `""` mean not given. Texts are given on
 * as they are, for the target to refuse; what is no text is named in `fault`, for nobody may take a target that
 * was meant for one that was not given.
 */
export function readDirective(value: Json | undefined): Invocation['github'] {
  if (!isObject(value)) return null
  const names = Object.keys(value)
  if (names.length === 0 || !names.every(name => NAMES.includes(name))) return null
  const fault = NAMES.find(name => typeof (value[name] ?? '') !== 'string')
  const said = (item: Json | undefined) => (typeof item === 'string' && item !== '' ? item : null)
  return {
    repository: said(value.repository),
    eventType: said(value.event_type),
    fault: fault
      ? `"github.${fault}" in the body must be a text: correct it in the "body" of the Port action, or leave it out.`
      : null,
  }
}
