import { parseDocument } from 'yaml'
import { isObject, type JsonObject } from '../../port/types.ts'
import { eventsOf, inputsOf } from '../../relay/github/workflow-triggers.ts'
import { hasExpression, splitTemplate } from '../migrate/template.ts'

export interface WorkflowFile {
  name: string | null
  description: string | null
  on: JsonObject
  /** Without those that contain Port's context. */
  inputs: JsonObject
  usedInputs: string[]
  /** Only day-2 and delete actions have an entity. */
  usesEntity: boolean
  usesAction: boolean
}

export function readWorkflow(yaml: string, file: string): WorkflowFile {
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
    inputs: Object.fromEntries(Object.entries(declared).filter(([name]) => !contexts.includes(name))),
    usedInputs: [...new Set(references.flatMap(parts => inputOf(parts, stepIds) ?? []))],
    usesEntity: references.some(parts => isEntity(parts, stepIds)),
    usesAction: steps.length > 0,
  }
}

const text = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null)

/** Returns all expression sources below a node. An `if` is an expression even without `${{ }}`. */
function expressionsOf(node: unknown, key = ''): string[] {
  if (Array.isArray(node)) return node.flatMap(item => expressionsOf(item))
  if (isObject(node)) return Object.entries(node).flatMap(([name, value]) => expressionsOf(value, name))
  if (typeof node !== 'string') return []
  if (key === 'if' && !hasExpression(node)) return [node]
  return splitTemplate(node).flatMap(piece => ('expression' in piece ? [piece.expression] : []))
}

/** Returns the segments of each `a.b['c']`. `fromJSON(a.b).c` is a single reference. */
function referencesOf(source: string): string[][] {
  const tokens = expressionTokens(source)
  return tokens.flatMap(({ kind }, index) => {
    if (kind !== 'name' || tokens[index - 1]?.text === '.') return []
    const { parts, next } = chainAt(tokens, index)
    // `|| '{}'` is the default for a missing payload.
    const close = tokens[next]?.text === '||' ? next + 2 : next
    const isRead = /^fromJSON$/i.test(tokens[index - 2]?.text ?? '') && tokens[close]?.text === ')'
    return [isRead ? [...parts, ...chainAfter(tokens, close).parts] : parts]
  })
}

/** Outputs in `action.yml`. A Port action's input with one of these names gets no output of its own. */
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

/** A chain such as `github.event.inputs.x`: its segments, and the index of the next token. */
interface Chain {
  parts: string[]
  next: number
}

function chainAt(tokens: ExpressionToken[], index: number): Chain {
  const { parts, next } = chainAfter(tokens, index)
  return { parts: [tokens[index]!.text, ...parts], next }
}

function chainAfter(tokens: ExpressionToken[], index: number): Chain {
  const parts: string[] = []
  let next = index + 1
  for (;;) {
    const [first, second, third] = [tokens[next], tokens[next + 1], tokens[next + 2]]
    if (first?.text === '.' && second?.kind === 'name') {
      parts.push(second.text)
      next += 2
    } else if (first?.text === '[' && second?.kind === 'string' && third?.text === ']') {
      parts.push(unquoted(second.text))
      next += 3
    } else return { parts, next }
  }
}

interface ExpressionToken {
  kind: 'name' | 'string' | 'other'
  text: string
}

function expressionTokens(source: string): ExpressionToken[] {
  const tokens = source.match(/'(?:[^']|'')*'|[A-Za-z_][\w-]*|\d[\w.]*|&&|\|\||[=!<>]=|\S/g) ?? []
  return tokens.map(text => ({
    kind: /^'./s.test(text) ? 'string' : /^[A-Za-z_]/.test(text) ? 'name' : 'other',
    text,
  }))
}

const unquoted = (token: string): string => token.slice(1, -1).replaceAll("''", "'")
