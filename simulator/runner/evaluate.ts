import { createHash } from 'node:crypto'
import { globSync, readFileSync, statSync } from 'node:fs'
import { resolve, sep } from 'node:path'
import { data, Evaluator, Lexer, Parser } from '@actions/expressions'
import type { FunctionDefinition } from '@actions/expressions/funcs/info'
import { TokenType } from '@actions/expressions/lexer'
import { truthy } from '@actions/expressions/result'
import { Expression, type Template } from './template.ts'

/** The contexts that `${{ }}` can read, as plain JSON values by name. An absent context evaluates to null. */
export type Contexts = { [name: string]: unknown }

/** The results of the status functions in `if:`. Absent if GitHub doesn't allow these functions there. */
export type Status = { success: boolean; failure: boolean; cancelled: boolean }

type Value = string | number | boolean | null | Value[] | { [key: string]: Value }

/** Whether an `if:` condition is true by GitHub's rules. */
export function evaluateCondition(
  condition: Expression | string,
  contexts: Contexts,
  status: Status,
): boolean {
  if (typeof condition === 'string') return truthy(run(condition, contexts, status))
  return truthy(evaluateToData(condition, contexts, status))
}

/** Evaluates every expression in a value and keeps the rest unchanged. */
export function evaluate(template: Template, contexts: Contexts): Value {
  if (template instanceof Expression)
    return JSON.parse(JSON.stringify(evaluateToData(template, contexts), data.replacer))
  if (Array.isArray(template)) return template.map(item => evaluate(item, contexts))
  if (typeof template === 'object' && template !== null) {
    return Object.fromEntries(Object.entries(template).map(([key, item]) => [key, evaluate(item, contexts)]))
  }
  return template
}

/** Evaluates to the text that GitHub puts into environment variables, inputs and names. */
export function evaluateText(template: Template, contexts: Contexts): string {
  if (template instanceof Expression) return evaluateToData(template, contexts).coerceString()
  return template === null ? '' : String(template)
}

/** `evaluateText` for each value of a mapping. */
export function evaluateTexts(
  mapping: { [key: string]: Template },
  contexts: Contexts,
): Record<string, string> {
  return Object.fromEntries(Object.entries(mapping).map(([key, item]) => [key, evaluateText(item, contexts)]))
}

/** An error from GitHub's expression evaluator. The error fails the step, not the simulation. */
export class EvaluationError extends Error {}

/** Evaluates with GitHub's evaluator. Adds the original expression and position to the evaluator's error. */
function evaluateToData({ source, written, place }: Expression, contexts: Contexts, status?: Status) {
  try {
    return run(source, contexts, status)
  } catch (cause) {
    if (!(cause instanceof EvaluationError)) throw cause
    const fails = (each: string) => {
      try {
        return void run(each, contexts, status)
      } catch (error) {
        return error as Error
      }
    }
    const failed = written.find(each => fails(each)) ?? written[0]!
    const why = (fails(failed) ?? cause).message.replace(/\.$/, '')
    throw new EvaluationError(
      `\${{ ${failed.trim()} }} at ${place.positionOf(failed.trim())} can't be evaluated: ${why}.`,
      { cause },
    )
  }
}

function run(source: string, contexts: Contexts, status?: Status) {
  const functions = Object.entries(status ?? {}).map(([name, response]) => statusFunction(name, response))
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
    throw new EvaluationError((cause as Error).message, { cause })
  }
}

function parse(source: string, contexts: Contexts, functions: FunctionDefinition[]) {
  try {
    const { tokens } = new Lexer(source).lex()
    // The lexer (0.3.61) unescapes only the first '' in a text. The runner unescapes all of them.
    for (const token of tokens) {
      if (token.type === TokenType.STRING) token.value = token.lexeme.slice(1, -1).replaceAll("''", "'")
    }
    return new Parser(tokens, Object.keys(contexts), functions).parse()
  } catch (cause) {
    throw new Error(`The simulator can't read \${{ ${source} }}: ${(cause as Error).message}`, {
      cause,
    })
  }
}

function statusFunction(name: string, response: boolean): FunctionDefinition {
  return { name, minArgs: 0, maxArgs: 0, call: () => new data.BooleanData(response) }
}

const digest = (content: Buffer) => createHash('sha256').update(content).digest()

/**
 * `hashFiles()`: hashes each file that matches a pattern but no `!` pattern, and returns the SHA-256 of these hashes.
 * Ignores files outside the job's folder. Returns an empty text if no file matches.
 * Source: hashFiles.ts of actions/runner.
 */
function hashFiles(workspace: string): FunctionDefinition {
  return {
    // The name by which the evaluator looks the function up.
    name: 'hashfiles',
    minArgs: 1,
    maxArgs: 255,
    call(...patterns) {
      const texts = patterns.map(pattern => pattern.coerceString())
      const exclude = texts.filter(text => text.startsWith('!')).map(text => text.slice(1))
      const named = texts.filter(text => !text.startsWith('!'))
      // A pattern can be absolute, and two patterns can match the same file.
      const found = new Set(
        globSync(named, { cwd: workspace, exclude }).map(file => resolve(workspace, file)),
      )
      const files = [...found]
        .filter(file => file.startsWith(workspace + sep) && statSync(file).isFile())
        .sort()
      const all = Buffer.concat(files.map(file => digest(readFileSync(file))))
      return new data.StringData(files.length === 0 ? '' : digest(all).toString('hex'))
    },
  }
}
