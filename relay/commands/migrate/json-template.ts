import { parseJson } from '../../../port/parse-json.ts'
import { formatted, MARK, mark, type Piece, splitTemplate } from './template.ts'

/** A JSON text with expressions in it, made so that a value never changes what stands around it. */
export type JsonTemplate = { text: string } | { problem: string }

/**
 * Expressions inside a JSON string become `${{ toJSON(format('…')) }}`, which is the whole string; those outside,
 * which stand for a number, an object or a list, are read as JSON.
 */
export function jsonTemplate(template: string): JsonTemplate {
  const { marked, expressions } = mark(template)
  const parts = splitStrings(marked)
  const plain = parts.map(({ text, isString }) => text.replace(MARK, isString ? '' : 'null')).join('')
  if (parseJson(withoutBreaks(plain)) === undefined) return { problem: 'is not JSON' }
  const written = parts.map(({ text, isString }) => {
    if (isString) return text.includes('\uE000') ? jsonString(text, expressions) : withoutBreaks(text)
    return text.replace(MARK, (_, index) => jsonValue(expressions[Number(index)]!))
  })
  return { text: written.join('') }
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
function jsonValue(expression: string): string {
  const isJson =
    /^toJSON\(/i.test(expression) ||
    /^(true|false|null|\d+|github\.run_(id|number|attempt))$/.test(expression)
  return `\${{ ${isJson ? expression : `toJSON(fromJSON(${expression}))`} }}`
}
