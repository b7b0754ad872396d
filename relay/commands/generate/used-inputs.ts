import { isObject } from '../../../port/types.ts'
import { hasExpression, splitTemplate } from '../migrate/template.ts'
import { chainAfter, chainAt, expressionTokens } from './chain.ts'
import { FIXED_OUTPUTS } from './outputs.ts'

/**
 * The Port inputs that the expressions of a workflow name.
 *
 * @param workflow as its YAML has it
 * @param stepIds ids of the steps that use the action
 */
export function usedInputs(workflow: unknown, stepIds: string[]): string[] {
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
