import { isMap, isScalar, parseDocument } from 'yaml'
import { isObject, type JsonObject } from '../../port/types.ts'
import { hasExpression, splitTemplate } from '../migrate/template.ts'
import { FIXED_OUTPUTS } from './outputs.ts'

/** What is read of a workflow file. */
export interface WorkflowFile {
  name: string | null
  description: string | null
  /** Events by name, with what the author set for each. */
  on: JsonObject
  /** The inputs of `workflow_dispatch`, each with its place in the text. */
  inputs: { name: string; input: unknown; at: number }[]
  /** The Port inputs that its expressions name. */
  usedInputs: string[]
  /** Whether a step uses the action. */
  usesAction: boolean
}

/** @throws Error with a sentence where the text is no workflow */
export function readWorkflow(yaml: string, file: string): WorkflowFile {
  const document = parseDocument(yaml)
  const [error] = document.errors
  if (error) throw new Error(`${file} is not YAML: ${error.message.split('\n')[0]!.replace(/:$/, '')}.`)
  const value: unknown = document.toJS({ maxAliasCount: 100 })
  if (!isObject(value) || !('on' in value) || !isObject(value.jobs))
    throw new Error(`${file} is neither a workflow (on, jobs) nor a Port action (identifier, trigger).`)
  const on = readEvents(value.on)
  const steps = Object.values(value.jobs)
    .flatMap(job => (isObject(job) && Array.isArray(job.steps) ? job.steps : []))
    .filter(isObject)
    .filter(step => /(^|\/)port-webhook-action@/.test(String(step.uses)))
  const stepIds = steps.flatMap(({ id }) => (typeof id === 'string' ? [id] : []))
  const dispatch = isObject(on.workflow_dispatch) ? on.workflow_dispatch : {}
  const node = document.getIn(['on', 'workflow_dispatch', 'inputs'], true)
  const places = new Map<string, number>()
  if (isMap(node)) {
    for (const { key } of node.items) if (isScalar(key)) places.set(String(key.value), key.range?.[0] ?? 0)
  }
  return {
    name: text(value.name),
    description: text(value.description),
    on,
    inputs: Object.entries(isObject(dispatch.inputs) ? dispatch.inputs : {}).map(([name, input]) => ({
      name,
      input,
      at: places.get(name) ?? 0,
    })),
    usedInputs: usedInputs(value, stepIds),
    usesAction: steps.length > 0,
  }
}

function readEvents(on: unknown): JsonObject {
  if (isObject(on)) return on
  const names = Array.isArray(on) ? on : [on]
  return Object.fromEntries(names.map(name => [String(name), null]))
}

const text = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null)

/**
 * The Port inputs that the expressions of a workflow name.
 *
 * @param workflow as its YAML has it
 * @param stepIds ids of the steps that use the action
 */
function usedInputs(workflow: unknown, stepIds: string[]): string[] {
  const names = expressionsOf(workflow).flatMap(source =>
    referencesOf(source).flatMap(parts => inputOf(parts, stepIds) ?? []),
  )
  return [...new Set(names)]
}

/** The sources of all expressions below a node; a condition is one without `${{ }}` too. */
function expressionsOf(node: unknown, key = ''): string[] {
  if (Array.isArray(node)) return node.flatMap(item => expressionsOf(item))
  if (isObject(node)) return Object.entries(node).flatMap(([name, value]) => expressionsOf(value, name))
  if (typeof node !== 'string') return []
  if (key === 'if' && !hasExpression(node)) return [node]
  return splitTemplate(node).flatMap(piece => ('expression' in piece ? [piece.expression] : []))
}

/** The parts of each `a.b['c']`; those of `fromJSON(a.b).c` are in one. */
function referencesOf(source: string): string[][] {
  const tokens = expressionTokens(source)
  return tokens.flatMap(({ kind }, index) => {
    if (kind !== 'name' || tokens[index - 1]?.text === '.') return []
    const { parts, next } = chainAt(tokens, index)
    // Where no payload came, `|| '{}'` stands for it.
    const last = next.at(-1)!
    const close = tokens[last]?.text === '||' ? last + 2 : last
    const isRead = /^fromJSON$/i.test(tokens[index - 2]?.text ?? '') && tokens[close]?.text === ')'
    return [isRead ? [...parts, ...chainAfter(tokens, close).parts] : parts]
  })
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

/** Where the payload is read from. */
const PAYLOADS = ['github.event.client_payload', 'github.event.inputs.port', 'inputs.port']

/** A chain such as `github.event.inputs.x`: its parts, and where each ends in the source. */
interface Chain {
  parts: string[]
  ends: number[]
  /** Index of the token after each part. */
  next: number[]
}

/** `a.b['c']` from a token on, as far as its parts are known. */
function chainAt(tokens: ExpressionToken[], index: number): Chain {
  const first = tokens[index]!
  const rest = chainAfter(tokens, index)
  return {
    parts: [first.text, ...rest.parts],
    ends: [first.end, ...rest.ends],
    next: [index + 1, ...rest.next],
  }
}

/** The parts that follow the token at `index`; `ends` and `next` are led by nothing. */
function chainAfter(
  tokens: ExpressionToken[],
  index: number,
): Chain & { start: { end: number; next: number } } {
  const chain: Chain = { parts: [], ends: [], next: [] }
  let at = index + 1
  for (;;) {
    const [first, second, third] = [tokens[at], tokens[at + 1], tokens[at + 2]]
    if (first?.text === '.' && second?.kind === 'name') {
      chain.parts.push(second.text)
      chain.ends.push(second.end)
      at += 2
    } else if (first?.text === '[' && second?.kind === 'string' && third?.text === ']') {
      chain.parts.push(unquoted(second.text))
      chain.ends.push(third.end)
      at += 3
    } else break
    chain.next.push(at)
  }
  return { ...chain, start: { end: tokens[index]!.end, next: index + 1 } }
}

interface ExpressionToken {
  kind: 'name' | 'string' | 'number' | 'other'
  text: string
  end: number
}

/** The tokens of an expression, without its white space. */
function expressionTokens(source: string): ExpressionToken[] {
  const tokens: ExpressionToken[] = []
  const pattern = /\s+|'(?:[^']|'')*'|[A-Za-z_][\w-]*|\d[\w.]*|&&|\|\||[=!<>]=|[\s\S]/g
  for (const { 0: text, index: start } of source.matchAll(pattern)) {
    if (/^\s/.test(text)) continue
    const kind = /^'./s.test(text)
      ? 'string'
      : /^[A-Za-z_]/.test(text)
        ? 'name'
        : /^\d/.test(text)
          ? 'number'
          : 'other'
    tokens.push({ kind, text, end: start + text.length })
  }
  return tokens
}

const unquoted = (token: string): string => token.slice(1, -1).replaceAll("''", "'")
