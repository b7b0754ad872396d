import { parseJson } from '../../port/text.ts'
import type { Json } from '../../port/types.ts'

export type Piece = { text: string } | { expression: string }

/** Splits text at each `${{ }}`. An unclosed `${{` is literal text. */
export function splitTemplate(template: string): Piece[] {
  const pieces: Piece[] = []
  const closed = /\$\{\{((?:'[^']*'|\}(?!\})|[^'}])*)\}\}/y
  for (let at = 0; at < template.length; at = closed.lastIndex) {
    closed.lastIndex = template.indexOf('${{', at)
    const match = template.includes('${{', at) ? closed.exec(template) : null
    if (!match) return [...pieces, { text: template.slice(at) }]
    if (match.index > at) pieces.push({ text: template.slice(at, match.index) })
    pieces.push({ expression: match[1]!.trim() })
  }
  return pieces
}

export const hasExpression = (template: string): boolean =>
  splitTemplate(template).some(piece => 'expression' in piece)

export function onlyExpression(template: string): string | null {
  const [first, ...others] = splitTemplate(template.trim())
  return first && 'expression' in first && others.length === 0 ? first.expression : null
}

export const mapTemplate = (template: string, map: (expression: string) => string): string =>
  splitTemplate(template)
    .map(piece => ('text' in piece ? piece.text : map(piece.expression)))
    .join('')

/** Guards each `fromJSON(x)` against an empty text, because GitHub evaluates `env` even if the step is skipped. */
export const forEnv = (template: string): string =>
  mapTemplate(template, source => `\${{ ${guardEmpty(source)} }}`)

function guardEmpty(source: string): string {
  const calls: number[] = []
  let result = ''
  for (const [token] of source.matchAll(/'(?:[^']|'')*'|\bfromJSON\s*\(|[()]|[^'()f]+|f/gi)) {
    if (token === ')') {
      const at = calls.pop()
      if (at) result = result.slice(0, at) + orNull(result.slice(at).trim())
    }
    result += token
    if (token.endsWith('(')) calls.push(/^f/i.test(token) ? result.length : 0)
  }
  return result
}

const orNull = (argument: string): string =>
  /^'[^']*'$|\|\|\s*'[^']+'$|^toJSON\(/i.test(argument) ? argument : `${asText(argument)} || 'null'`

const TEXT =
  /^(?:(?:steps|needs)\.[\w-]+\.outputs\.[\w-]+|(?:secrets|vars|env|github\.event\.inputs)\.[\w-]+|inputs\.port_(?:context|payload)|github\.(?!event\b)\w+)$/

const asText = (source: string): string => (TEXT.test(source) ? source : `format('{0}', ${source})`)

// Encodes an expression in JSON without quotes or backslashes. \uE000…\uE001 is a part of a JSON string, and
// "\uE002…\uE001" is a value of its own.
export const textValue = (template: string): string =>
  mapTemplate(template.trim(), source => `\uE000${encodeURIComponent(source)}\uE001`)
const STRING = /"(?:[^"\\]|\\.)*(?:"|\\?$)/gs

/** Returns a value that the step omits if the expression's result is empty. */
export function optionalText(template: string): Json {
  const only = onlyExpression(template)
  return only === null ? textValue(template) : code(`toJSON(${asText(only)} || null)`)
}

/**
 * Reads JSON with expressions. Inside quotes, an expression stays a part of the string. Outside quotes, it becomes a
 * single JSON value, so that a user's input can't add a key.
 * @param empty the JSON for an empty text
 * @returns undefined if the text isn't JSON, or if a double quote in an expression ends a string
 */
export function jsonValue(template: string, empty: string): Json | undefined {
  const marked = textValue(template)
  if ((marked.match(STRING) ?? []).some(string => /%22/.test(string))) return undefined
  const isWhole = onlyExpression(template) !== null
  return parseJson(
    marked.replace(/"(?:[^"\\]|\\.)*(?:"|\\?$)|\uE000([^\uE000\uE001]*)\uE001/gs, (string, encoded) => {
      if (encoded === undefined) return string.replace(/\n\s*/g, '')
      const source = decodeURIComponent(encoded)
      if (/^toJSON\((?!.*(&&|\|\|)).*\)$/is.test(source)) return JSON.stringify(code(source))
      return JSON.stringify(code(`toJSON(fromJSON(${asText(source)} || '${isWhole ? empty : 'null'}'))`))
    }),
  )
}

const code = (source: string): string => `\uE002${encodeURIComponent(source)}\uE001`

export const writeJson = (value: Json): string =>
  JSON.stringify(value, null, 2).replace(STRING, string => {
    if (!/[\uE000\uE002]/.test(string)) return string
    const pieces = string
      .slice(1, -1)
      .split(/([\uE000\uE002][^\uE000-\uE002]*\uE001)/)
      .filter(Boolean)
    const [first = ''] = pieces
    if (first.startsWith('\uE002')) return `\${{ ${guardEmpty(decoded(first))} }}`
    const sources = pieces.filter(isMark).map(piece => guardEmpty(decoded(piece)))
    if (pieces.length === 1) return `\${{ toJSON(${asText(sources[0]!)}) }}`
    let index = 0
    const format = pieces.map(piece => (isMark(piece) ? `{${index++}}` : formatText(piece))).join('')
    return `\${{ toJSON(format('${format}', ${sources.join(', ')})) }}`
  })

const isMark = (piece: string): boolean => piece.startsWith('\uE000')
const decoded = (mark: string): string => decodeURIComponent(mark.slice(1, -1))
const formatText = (json: string): string =>
  (JSON.parse(`"${json}"`) as string).replaceAll("'", "''").replaceAll('{', '{{').replaceAll('}', '}}')
