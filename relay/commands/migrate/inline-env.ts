import { chainAt } from './chain.ts'
import { asText } from './json-template.ts'
import { expressionTokens, formatted, onlyExpression, splitTemplate } from './template.ts'

/**
 * Puts the values of a step's own variables in the place of `env.NAME`: where they are defined they do not exist.
 *
 * @param env by names in lower case
 */
export function inlineEnv(template: string, env: Map<string, string>): string {
  if (env.size === 0) return template
  return splitTemplate(template)
    .map(piece => {
      if ('text' in piece) return piece.text
      const variable = /^env\s*\.\s*([\w-]+)$/i.exec(piece.expression.trim())?.[1]
      return env.get(variable?.toLowerCase() ?? '') ?? `\${{${inExpression(piece.expression, env)}}}`
    })
    .join('')
}

function inExpression(source: string, env: Map<string, string>): string {
  const tokens = expressionTokens(source)
  let result = ''
  let at = 0
  for (const [index, { text, start }] of tokens.entries()) {
    if (text.toLowerCase() !== 'env' || tokens[index - 1]?.text === '.') continue
    const { parts, ends } = chainAt(tokens, index)
    const value = env.get(parts[1]?.toLowerCase() ?? '')
    if (value === undefined) continue
    result += source.slice(at, start) + asExpression(value)
    at = ends[1]!
  }
  return result + source.slice(at)
}

/** A variable is text, whatever it was made of. */
function asExpression(template: string): string {
  const only = onlyExpression(template)
  return only === null ? formatted(splitTemplate(template)) : asText(only)
}
