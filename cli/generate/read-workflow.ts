import { parseDocument } from 'yaml'
import { isObject } from '../../port/types.ts'
import { type Reference, readsOf, referencesIn } from '../../workflow-files/reads.ts'
import { eventsOf, inputsOf } from '../../workflow-files/triggers.ts'
import { hasExpression, splitTemplate } from '../migrate/template.ts'

export type WorkflowFile = ReturnType<typeof readWorkflow>

export function readWorkflow(yaml: string, file: string) {
  const document = parseDocument(yaml)
  const [error] = document.errors
  if (error) throw new Error(`${file} isn't YAML: ${error.message.split('\n')[0]!.replace(/:$/, '')}.`)
  const value: unknown = document.toJS({ maxAliasCount: 100 })
  if (!isObject(value) || !('on' in value) || !isObject(value.jobs))
    throw new Error(`${file} isn't a workflow (on, jobs). migrate --port-action converts a Port action.`)
  const on = eventsOf(value.on)
  const steps = Object.values(value.jobs)
    .flatMap(job => (isObject(job) && Array.isArray(job.steps) ? job.steps : []))
    .filter(isObject)
    .filter(step => /(^|\/)port-webhook-action@/.test(String(step.uses)))
  const stepIds = steps.flatMap(({ id }) => (typeof id === 'string' ? [id] : []))
  const { declared, ...ofInputs } = inputsOf(on, yaml) ?? { declared: {}, ...readsOf('', []) }
  const { contexts, runIds } = ofInputs
  const references = expressionsOf(value).flatMap(source => referencesIn(withoutTexts(source)))
  const reads = references.map(reference => portKeys(reference, stepIds, contexts))
  return {
    name: text(value.name),
    description: text(value.description),
    on,
    /** The inputs that a user enters, and those with the names in OFFERED_INPUTS. */
    inputs: Object.fromEntries(
      Object.entries(declared).filter(([name]) => ![...contexts, ...runIds].includes(name)),
    ),
    /** The other inputs that the relay fills: with Port's context, and with the ID of Port's run. */
    ...ofInputs,
    usedInputs: [...new Set(reads.flatMap(([key, name]) => (key === 'inputs' && name ? [name] : [])))],
    usesEntity: reads.some(([key]) => /^entity$/i.test(key ?? '')),
    usesEvent: reads.some(([key]) => key === 'event'),
    usesAction: steps.length > 0,
  }
}

const text = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null)

/** Returns the source of every expression below a node. An `if` is an expression even without `${{ }}`. */
function expressionsOf(node: unknown, key = ''): string[] {
  if (Array.isArray(node)) return node.flatMap(item => expressionsOf(item))
  if (isObject(node)) return Object.entries(node).flatMap(([name, value]) => expressionsOf(value, name))
  if (typeof node !== 'string') return []
  if (key === 'if' && !hasExpression(node)) return [node]
  return splitTemplate(node).flatMap(piece => ('expression' in piece ? [piece.expression] : []))
}

/** Removes texts from an expression, except those in brackets, which are names. */
const withoutTexts = (source: string): string =>
  source.replace(/(\[\s*)?'(?:[^']|'')*'/g, (text, bracket) => (bracket === undefined ? '' : text))

/** The outputs in `action.yml`. A Port input with one of these names gets the output `input-NAME`. */
export const FIXED_OUTPUTS =
  'inputs entity event trigger payload run-id action operation blueprint entity-id triggered-by delivery'.split(
    ' ',
  )

/**
 * Returns the keys with which a reference reads Port's data from the action's outputs, the relay's payload, or Port's
 * context: `['entity', 'title']`, `['event']`, or `['inputs', NAME]`. Empty for other references.
 */
function portKeys({ root, path }: Reference, stepIds: string[], contexts: string[]): string[] {
  const [first = '', second = '', third, fourth] = path
  if (root === 'steps')
    return second === 'outputs' && stepIds.includes(first) ? keysOfOutput(third ?? '', fourth) : []
  if (first === 'port') return path.slice(root === 'inputs' ? 2 : 1)
  if (!/^port_(context|payload)$/i.test(first) && !contexts.includes(first)) return []
  if (second === 'payload' && third === 'properties') return fourth === undefined ? [] : ['inputs', fourth]
  const keys = path.slice(/^(context|payload)$/i.test(second) ? 2 : 1)
  return keys[0] === 'inputs' ? [] : keys
}

function keysOfOutput(name: string, key?: string): string[] {
  const output = name.toLowerCase()
  if (output === 'inputs') return key === undefined ? [] : ['inputs', key]
  if (output.startsWith('input-')) return ['inputs', name.slice('input-'.length)]
  if (FIXED_OUTPUTS.includes(output)) return [output.replace(/-id$/, '')]
  return ['inputs', name]
}
