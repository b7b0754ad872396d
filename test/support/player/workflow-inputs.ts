import { type Contexts, evaluate } from './evaluate.ts'
import type { Workflow } from './read-workflow.ts'
import type { Template } from './template.ts'

/**
 * The `inputs` context of a workflow that is called or dispatched by hand: given values in their declared
 * type, defaults for the rest. Throws, naming each, when required inputs are missing or unknown ones given.
 */
export function workflowInputs(
  workflow: Workflow,
  event: 'workflow_call' | 'workflow_dispatch',
  given: Record<string, unknown>,
  contexts: Contexts,
): Record<string, unknown> {
  const declared = (workflow.on[event]?.inputs ?? {}) as Record<string, Record<string, Template> | null>
  const unknown = Object.keys(given).filter(name => !(name in declared))
  const missing = Object.keys(declared).filter(name => declared[name]?.required === true && !(name in given))
  if (unknown.length > 0) throw new Error(`${workflow.name} declares no input ${unknown.join(', ')}.`)
  if (missing.length > 0) throw new Error(`${workflow.name} requires the input ${missing.join(', ')}.`)
  return Object.fromEntries(
    Object.entries(declared).map(([name, definition]) => {
      const value = given[name] ?? evaluate(definition?.default ?? null, contexts)
      return [name, typed(value, String(definition?.type ?? 'string'))]
    }),
  )
}

function typed(value: unknown, type: string): unknown {
  if (type === 'boolean') return value === true || value === 'true'
  if (type === 'number') return Number(value ?? 0)
  return value === null ? '' : String(value)
}
