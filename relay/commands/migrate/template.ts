/** A piece of a text with `${{ }}`: the text itself, or the source of an expression. */
export type Piece = { text: string } | { expression: string }

/** Splits a text at its `${{ }}`; one that is never closed is text. */
export function splitTemplate(template: string): Piece[] {
  const pieces: Piece[] = []
  let at = 0
  for (;;) {
    const open = template.indexOf('${{', at)
    const close = open === -1 ? -1 : endOfExpression(template, open + 3)
    if (close === -1) {
      if (at < template.length) pieces.push({ text: template.slice(at) })
      return pieces
    }
    if (open > at) pieces.push({ text: template.slice(at, open) })
    pieces.push({ expression: template.slice(open + 3, close) })
    at = close + 2
  }
}

/** Where the `}}` is that no quotes are around; -1 without one. */
function endOfExpression(template: string, from: number): number {
  let quoted = false
  for (let at = from; at < template.length; at++) {
    if (template[at] === "'") quoted = !quoted
    else if (!quoted && template.startsWith('}}', at)) return at
  }
  return -1
}

/** Maps each expression of a text; what is around it, its own spaces included, stays. */
export function mapTemplate(template: string, map: (expression: string) => string): string {
  return splitTemplate(template)
    .map(piece => ('text' in piece ? piece.text : `\${{${map(piece.expression)}}}`))
    .join('')
}

/** Stands for an expression while the text around it is read. */
export const MARK = /\uE000(\d+)\uE001/g

/** Hides the expressions of a text behind marks; `restore` puts them back into what was made of it. */
export function mark(template: string): {
  marked: string
  expressions: string[]
  restore: (text: string) => string
} {
  const sources: string[] = []
  const marked = splitTemplate(template)
    .map(piece => ('text' in piece ? piece.text : `\uE000${sources.push(piece.expression) - 1}\uE001`))
    .join('')
  return {
    marked,
    expressions: sources.map(source => source.trim()),
    restore: text => text.replace(MARK, (_, index) => `\${{${sources[Number(index)]!}}}`),
  }
}

/** The expression that the text is, without anything around it; null where it is no such text. */
export function onlyExpression(template: string): string | null {
  const pieces = splitTemplate(template.trim())
  return pieces.length === 1 && 'expression' in pieces[0]! ? pieces[0].expression.trim() : null
}

export const hasExpression = (template: string): boolean =>
  splitTemplate(template).some(piece => 'expression' in piece)

export interface ExpressionToken {
  kind: 'name' | 'string' | 'number' | 'other'
  text: string
  start: number
  end: number
}

/** The tokens of an expression, without its white space. */
export function expressionTokens(source: string): ExpressionToken[] {
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
    tokens.push({ kind, text, start, end: start + text.length })
  }
  return tokens
}

/** A text as the expression that gives it. */
export function formatted(pieces: Piece[]): string {
  const args = pieces.flatMap(piece => ('expression' in piece ? [piece.expression.trim()] : []))
  if (args.length === 0) return quoted(pieces.map(piece => ('text' in piece ? piece.text : '')).join(''))
  let index = 0
  const format = pieces
    .map(piece => ('text' in piece ? piece.text.replaceAll('{', '{{').replaceAll('}', '}}') : `{${index++}}`))
    .join('')
  return `format(${quoted(format)}, ${args.join(', ')})`
}

/** A text as an expression writes it. */
export const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`
export const unquoted = (token: string): string => token.slice(1, -1).replaceAll("''", "'")

/** Parentheses around all of an expression say nothing. */
export function withoutParentheses(text: string): string {
  if (!text.startsWith('(')) return text
  let depth = 0
  for (const { text: token, end } of expressionTokens(text)) {
    if (token === '(') depth++
    if (token === ')') depth--
    if (depth === 0) return end === text.length ? text.slice(1, -1) : text
  }
  return text
}
