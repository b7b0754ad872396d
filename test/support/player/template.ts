import type { TemplateToken } from '@actions/workflow-parser/templates/tokens/template-token'
import { refuse } from './refuse.ts'

/** A `${{ }}` of a workflow, without its braces, as GitHub's parser reads it (text around it becomes `format()`). */
export class Expression {
  readonly source: string
  constructor(source: string) {
    this.source = source
  }
}

/** A workflow's YAML as plain values, with an `Expression` wherever the author wrote one. */
export type Template =
  | string
  | number
  | boolean
  | null
  | Expression
  | Template[]
  | { [key: string]: Template }

/** Turns a token of GitHub's parser into plain values; `at` names the place for a refusal. */
export function toTemplate(token: TemplateToken, at: string): Template {
  switch (token.typeName()) {
    case 'StringToken':
      return token.assertString(at).value
    case 'NumberToken':
      return token.assertNumber(at).value
    case 'BooleanToken':
      return token.assertBoolean(at).value
    case 'NullToken':
      return null
    case 'BasicExpressionToken':
      return new Expression((token as TemplateToken & { expression: string }).expression)
    case 'SequenceToken':
      return [...token.assertSequence(at)].map((item, index) => toTemplate(item, `${at}[${index}]`))
    case 'MappingToken':
      return Object.fromEntries(
        [...token.assertMapping(at)].map(({ key, value }) => {
          if (key.isExpression) refuse(`an expression as a key in ${at}`)
          return [key.toString(), toTemplate(value, `${at}.${key.toString()}`)]
        }),
      )
    default:
      return refuse(`${token.typeName()} in ${at}`)
  }
}
