import { parse } from 'yaml'
import { isObject, type JsonObject } from '../port/types.ts'
import { type Reads, readsOf } from './reads.ts'

/** The maximum length of the section `on:`, in characters. A longer section isn't parsed. */
export const MAX_TRIGGERS = 8_192
/** The maximum nesting depth of `[` and `{` in triggers. Deep nesting is slow to parse. */
const MAX_DEPTH = 6

/** The inputs of a workflow that `workflow_dispatch` starts. */
export interface WorkflowInputs extends Reads {
  /** The author's settings by name. */
  declared: JsonObject
}

/** Returns the events in `on:`; null if `on:` is missing, invalid, or complex. Parsing the whole file would delay webhooks. */
export function readEvents(text: string): JsonObject | null {
  const section = sectionOf(text)
  if (section === null) return null
  try {
    const { on } = parse(section, { prettyErrors: false, logLevel: 'error' }) as { on: unknown }
    return eventsOf(on)
  } catch {
    return null
  }
}

/** Returns the events in the value of `on:`, with their settings by name. */
export function eventsOf(on: unknown): JsonObject {
  if (isObject(on)) return on
  return Object.fromEntries([on].flat().map(event => [String(event), null]))
}

function sectionOf(text: string): string | null {
  const lines = text.split('\n')
  const first = lines.findIndex(line => /^(on|"on"|'on') *:/.test(line))
  if (first < 0) return null
  const length = lines.slice(first + 1).findIndex(line => /^[^\s#\-}\]]/.test(line))
  const section = lines.slice(first, length < 0 ? undefined : first + 1 + length).join('\n')
  // Complex keys and nested lists are also slow to parse.
  const isComplex = section.length > MAX_TRIGGERS || /(^|\s)(\?|- +-)\s/m.test(section)
  return isComplex || depthOf(section) > MAX_DEPTH ? null : section
}

function depthOf(section: string): number {
  let [depth, most] = [0, 0]
  for (const char of section.match(/[[\]{}]/g) ?? []) {
    depth += char === '[' || char === '{' ? 1 : -1
    most = Math.max(most, depth)
  }
  return most
}

/** Returns the event types of `repository_dispatch` to which the workflow listens; null if they can't be read. */
export function eventTypes(events: JsonObject): 'all' | readonly string[] | null {
  if (!('repository_dispatch' in events)) return []
  const { types = null } = isObject(events.repository_dispatch) ? events.repository_dispatch : {}
  if (types === null) return 'all'
  const list = [types].flat()
  return list.every(each => typeof each === 'string') ? list : null
}

/** Returns the inputs of `workflow_dispatch`; null without this trigger. */
export function inputsOf(events: JsonObject, text: string): WorkflowInputs | null {
  if (!('workflow_dispatch' in events)) return null
  const { inputs } = isObject(events.workflow_dispatch) ? events.workflow_dispatch : {}
  const declared = isObject(inputs) ? inputs : {}
  return { declared, ...readsOf(text, Object.keys(declared)) }
}
