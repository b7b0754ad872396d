import { parseJson } from '../../../port/parse-json.ts'
import { expressionTokens, formatted, MARK, mark, type Piece, splitTemplate } from './template.ts'

/**
 * A JSON text with expressions in it, made so that a value never changes what stands around it.
 *
 * @property checks where a value that did so on purpose would be another one now
 */
export type JsonTemplate = { text: string; checks: string[] } | { problem: string }

/**
 * Expressions inside a JSON string become `${{ toJSON(format('…')) }}`, which is the whole string; those outside,
 * which stand for a number, an object or a list, are read as JSON.
 */
export function jsonTemplate(template: string): JsonTemplate {
  const { marked, expressions } = mark(template)
  const parts = splitStrings(marked)
  const plain = parts.map(({ text, isString }) => text.replace(MARK, isString ? '' : 'null')).join('')
  if (parseJson(withoutBreaks(plain)) === undefined) return { problem: 'is not JSON' }
  const inStrings = parts
    .filter(({ isString }) => isString)
    .flatMap(({ text }) => [...text.matchAll(MARK)].map(([, index]) => expressions[Number(index)]!))
  const writesQuotes = (source: string) =>
    expressionTokens(source).some(({ kind, text }) => kind === 'string' && text.includes('"'))
  if (inStrings.some(writesQuotes))
    return { problem: 'has an expression in a text that ends the text by quotes of its own' }
  const written = parts.map(({ text, isString }) => {
    if (isString) return text.includes('\uE000') ? jsonString(text, expressions) : withoutBreaks(text)
    return text.replace(MARK, (_, index) => jsonValue(expressions[Number(index)]!))
  })
  return { text: written.join(''), checks: checksOf(marked, inStrings, expressions) }
}

function checksOf(marked: string, inStrings: string[], expressions: string[]): string[] {
  const between = splitStrings(marked).filter(({ isString }) => !isString)
  const items = between
    .flatMap(({ text }) => [...text.matchAll(/\[\s*\uE000(\d+)\uE001\s*\]/g)])
    .map(([, index]) => expressions[Number(index)]!)
    .filter(source => !isJson(source))
  // Only an output as it is can be escaped already.
  const outputs = inStrings.filter(source => /^(steps|needs)\.[\w-]+\.outputs\.[\w-]+$/.test(source))
  const names = [...new Set(outputs)].join(', ')
  return [
    ...items.map(
      source =>
        `[\${{ ${source} }}] is a list of one item now: where it was several, let it be the whole list.`,
    ),
    ...(names === ''
      ? []
      : [
          `${names}: what its step escapes for JSON would stand escaped in the entity: let it escape nothing.`,
        ]),
  ]
}

/** Splits a JSON text into its strings, with their quotes, and what is between them. */
export function splitStrings(text: string): { text: string; isString: boolean }[] {
  const parts: { text: string; isString: boolean }[] = []
  let start = 0
  let isString = false
  const end = (at: number) => {
    if (at > start) parts.push({ text: text.slice(start, at), isString })
    start = at
    isString = !isString
  }
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '\\' && isString) at++
    else if (text[at] === '"') end(isString ? at + 1 : at)
  }
  end(text.length)
  return parts
}

/** A line break within a JSON string was taken out before the text was read. */
const withoutBreaks = (text: string) => text.replace(/\n\s*/g, '')

function jsonString(string: string, expressions: string[]): string {
  const pieces = string
    .slice(1, -1)
    .split(/(\uE000\d+\uE001)/)
    .filter(piece => piece !== '')
  return textExpression(
    pieces.map(piece => {
      const index = /^\uE000(\d+)\uE001$/.exec(piece)?.[1]
      return index === undefined
        ? { text: JSON.parse(withoutBreaks(`"${piece}"`)) as string }
        : { expression: expressions[Number(index)]! }
    }),
  )
}

/** The JSON string for a text with expressions. */
function textExpression(pieces: Piece[]): string {
  const [first] = pieces
  if (pieces.length === 0) return '""'
  if (pieces.every(piece => 'text' in piece)) return JSON.stringify(pieces.map(piece => piece.text).join(''))
  if (pieces.length === 1 && 'expression' in first!) return `\${{ toJSON(${asText(first.expression)}) }}`
  return `\${{ toJSON(${formatted(pieces)}) }}`
}

/** The JSON string for a `with:` value; white space around it was no part of it. */
export const jsonText = (template: string): string =>
  textExpression(
    splitTemplate(template.trim()).map(piece =>
      'text' in piece ? piece : { expression: piece.expression.trim() },
    ),
  )

/** An expression that gives text whatever it refers to. */
export const asText = (expression: string): string =>
  isText(expression) ? expression : `format('{0}', ${expression})`

/** References that are text whatever they hold. */
export const isText = (expression: string): boolean =>
  /^(steps\.[\w-]+\.outputs\.[\w-]+|needs\.[\w-]+\.outputs\.[\w-]+|secrets\.\w+|vars\.\w+|env\.\w+|github\.event\.inputs\.[\w-]+|github\.(actor|ref|ref_name|sha|repository|repository_owner|server_url|run_id|run_number|workflow|event_name|job))$/.test(
    expression,
  )

/** A number, an object or a list: never more than one value, whatever is in it. */
const jsonValue = (expression: string): string =>
  `\${{ ${isJson(expression) ? expression : `toJSON(fromJSON(${expression}))`} }}`

const isJson = (expression: string): boolean =>
  /^toJSON\(/i.test(expression) || /^(true|false|null|\d+|github\.run_(id|number|attempt))$/.test(expression)
