import { data, Evaluator, Lexer, Parser } from '@actions/expressions'
import type { FunctionDefinition } from '@actions/expressions/funcs/info'
import { TokenType } from '@actions/expressions/lexer'
import { hashFiles } from './hash-files.ts'
import { Expression, type Template } from './template.ts'

/** What `${{ }}` can see: plain JSON values by context name. A context that is absent is null. */
export type Contexts = { [name: string]: unknown }

/** How the status functions of `if:` answer; left out where GitHub does not allow them. */
export type Status = { success: boolean; failure: boolean; cancelled: boolean }

type Value = string | number | boolean | null | Value[] | { [key: string]: Value }

/** Evaluates an expression with GitHub's evaluator; throws its error together with the expression. */
function evaluateExpression(source: string, contexts: Contexts, status?: Status): Value {
  return JSON.parse(JSON.stringify(evaluateToData(source, contexts, status), data.replacer))
}

/** Whether an `if:` holds, by GitHub's rules of truth. */
export function evaluateCondition(source: string, contexts: Contexts, status: Status): boolean {
  return evaluateToData(`!!(${source})`, contexts, status).coerceString() === 'true'
}

/** Evaluates every expression in a value and keeps the rest as it is. */
export function evaluate(template: Template, contexts: Contexts): Value {
  if (template instanceof Expression) return evaluateExpression(template.source, contexts)
  if (Array.isArray(template)) return template.map(item => evaluate(item, contexts))
  if (typeof template === 'object' && template !== null) {
    return Object.fromEntries(Object.entries(template).map(([key, item]) => [key, evaluate(item, contexts)]))
  }
  return template
}

/** Evaluates to the text that GitHub puts into environment variables, inputs and names. */
export function evaluateText(template: Template, contexts: Contexts): string {
  if (template instanceof Expression) return evaluateToData(template.source, contexts).coerceString()
  return template === null ? '' : String(template)
}

/** `evaluateText` for each value of a mapping. */
export function evaluateTexts(
  mapping: { [key: string]: Template },
  contexts: Contexts,
): Record<string, string> {
  return Object.fromEntries(Object.entries(mapping).map(([key, item]) => [key, evaluateText(item, contexts)]))
}

/** The error of GitHub's evaluator for an expression: it fails the step, not the player. */
export class EvaluationError extends Error {}

function evaluateToData(source: string, contexts: Contexts, status?: Status) {
  const functions = Object.entries(status ?? {}).map(([name, answer]) => statusFunction(name, answer))
  functions.push(statusFunction('always', true))
  const { workspace } = (contexts.github ?? {}) as { workspace?: string }
  if (workspace !== undefined) functions.push(hashFiles(workspace))
  const tree = parse(source, contexts, functions)
  const known = JSON.parse(
    JSON.stringify(contexts, (_, value) => value ?? null),
    data.reviver,
  )
  try {
    return new Evaluator(tree, known, new Map(functions.map(one => [one.name, one]))).evaluate()
  } catch (cause) {
    throw new EvaluationError(`\${{ ${source} }} cannot be evaluated: ${(cause as Error).message}`, { cause })
  }
}

function parse(source: string, contexts: Contexts, functions: FunctionDefinition[]) {
  try {
    const { tokens } = new Lexer(source).lex()
    // The lexer (0.3.61) undoubles only the first '' of a text; the runner undoubles each.
    for (const token of tokens) {
      if (token.type === TokenType.STRING) token.value = token.lexeme.slice(1, -1).replaceAll("''", "'")
    }
    return new Parser(tokens, Object.keys(contexts), functions).parse()
  } catch (cause) {
    throw new Error(`The workflow player cannot read \${{ ${source} }}: ${(cause as Error).message}`, {
      cause,
    })
  }
}

function statusFunction(name: string, answer: boolean): FunctionDefinition {
  return { name, minArgs: 0, maxArgs: 0, call: () => new data.BooleanData(answer) }
}
