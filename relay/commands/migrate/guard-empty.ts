import { isText } from './json-template.ts'
import { type ExpressionToken, expressionTokens, mapTemplate, withoutParentheses } from './template.ts'

/**
 * Reads an empty text as JSON's null in each `fromJSON( )` of a template. GitHub evaluates the `env` of a step before its
 * `if`, but the `with` after it: in `env`, the output of a step that was skipped would fail a step that is skipped too.
 *
 * @param isFull whether an argument is known to be JSON
 */
export const guardEmpty = (template: string, isFull: (argument: string) => boolean): string =>
  mapTemplate(template, source => guardExpression(source, isFull))

function guardExpression(source: string, isFull: (argument: string) => boolean): string {
  const tokens = expressionTokens(source)
  const call = tokens.findIndex(({ text }, at) => /^fromJSON$/i.test(text) && tokens[at + 1]?.text === '(')
  if (call === -1) return source
  const open = tokens[call + 1]!
  const close = closing(tokens, call + 1)
  if (!close) return source
  const argument = source.slice(open.end, close.start)
  return (
    source.slice(0, open.end) +
    (isFull(argument.trim()) ? argument : guardArgument(guardExpression(argument, isFull).trim())) +
    source[close.start] +
    guardExpression(source.slice(close.end), isFull)
  )
}

/** The parenthesis that closes the one at `index`. */
function closing(tokens: ExpressionToken[], index: number): ExpressionToken | undefined {
  let depth = 0
  return tokens.slice(index).find(({ text }) => {
    depth += text === '(' ? 1 : text === ')' ? -1 : 0
    return depth === 0
  })
}

function guardArgument(argument: string): string {
  const tokens = expressionTokens(withoutParentheses(argument))
  const [beforeLast, last] = tokens.slice(-2)
  const hasDefault = last?.kind === 'string' && beforeLast?.text === '||'
  const isLiteral = tokens.length === 1 && tokens[0]!.kind !== 'name'
  // A comparison is true or false, never empty.
  const isComparison =
    tokens.some(({ text }) => /^([=!<>]=|[<>!])$/.test(text)) &&
    !tokens.some(({ text }) => /^(&&|\|\|)$/.test(text))
  if (hasDefault || isLiteral || isComparison) return argument
  return `${isText(argument) ? argument : `format('{0}', ${argument})`} || 'null'`
}
