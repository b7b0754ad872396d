import { parseDocument } from 'yaml'
import { isObject } from '../../port/types.ts'
import { eventsOf, inputsOf } from '../../relay/github/workflow-triggers.ts'
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
  const { declared = {}, contexts = [] } = inputsOf(on, yaml) ?? {}
  const references = expressionsOf(value).flatMap(referencesOf)
  return {
    name: text(value.name),
    description: text(value.description),
    on,
    /** The inputs, without inputs that contain Port's context. */
    inputs: Object.fromEntries(Object.entries(declared).filter(([name]) => !contexts.includes(name))),
    contexts,
    usedInputs: [...new Set(references.flatMap(parts => inputOf(parts, stepIds) ?? []))],
    usesEntity: references.some(parts => isEntity(parts, stepIds)),
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

/** Returns the segments of each reference such as `a.b['c']` or `fromJSON(a.b || '{}').c`. */
function referencesOf(source: string): string[][] {
  const inner = /fromJSON\(\s*([\w.%-]+)\s*(?:\|\|\s*'[^']*'\s*)?\)/gi
  const encode = (name: string) =>
    encodeURIComponent(name).replace(/[!'()*.~]/g, found => `%${found.charCodeAt(0).toString(16)}`)
  const plain = source
    .replace(/\[\s*'((?:[^']|'')*)'\s*\]/g, (_, name) => `.${encode(name.replaceAll("''", "'"))}`)
    .replace(inner, '$1')
    .replace(/'(?:[^']|'')*'/g, '')
  return (plain.match(/[A-Za-z_][\w-]*(?:\.[\w%-]+)*/g) ?? []).map(path =>
    path.split('.').map(decodeURIComponent),
  )
}

/** The outputs in `action.yml`. A Port input with one of these names isn't an output of the same name. */
export const FIXED_OUTPUTS =
  'inputs entity event trigger payload run-id action operation blueprint entity-id triggered-by delivery'.split(
    ' ',
  )

const ENTITY =
  /^(?:github\.event\.)?(?:client_payload\.port|inputs\.port\.port|(?:inputs|client_payload)\.port_(?:context|payload)(?:\.(?:context|payload))?)\.entity(?:\.|$)/i

function isEntity(parts: string[], stepIds: string[]): boolean {
  const [first, second, third, fourth] = parts
  if (first !== 'steps') return ENTITY.test(parts.join('.'))
  return third === 'outputs' && /^entity(-id)?$/i.test(fourth ?? '') && stepIds.includes(second!)
}

function inputOf(parts: string[], stepIds: string[]): string | null {
  const [first, second, third, fourth, fifth] = parts
  if (first === 'steps' && third === 'outputs' && fourth !== undefined && stepIds.includes(second!)) {
    const output = fourth.toLowerCase()
    if (output === 'inputs') return fifth ?? null
    if (output.startsWith('input-')) return fourth.slice('input-'.length)
    return FIXED_OUTPUTS.includes(output) ? null : fourth
  }
  const payload = PAYLOADS.find(each => parts.join('.').startsWith(`${each}.port.inputs.`))
  return payload === undefined ? null : parts[payload.split('.').length + 2]!
}

const PAYLOADS = ['github.event.client_payload', 'github.event.inputs.port', 'inputs.port']
