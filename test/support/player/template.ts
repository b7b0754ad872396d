import type { BasicExpressionToken } from '@actions/workflow-parser/templates/tokens/basic-expression-token'
import type { TemplateToken } from '@actions/workflow-parser/templates/tokens/template-token'
import type { Place } from './place.ts'
import { refuse } from './refuse.ts'

/** A `${{ }}` of a workflow, without its braces, as GitHub's parser reads it (text around it becomes `format()`). */
export class Expression {
  readonly source: string
  /** The expressions of which it is made, as their author wrote them. */
  readonly written: string[]
  readonly place: Place
  constructor(source: string, written: string[], place: Place) {
    this.source = source
    this.written = written
    this.place = place
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

/** Turns a token of GitHub's parser into plain values. */
export function toTemplate(token: TemplateToken, place: Place): Template {
  const at = String(place)
  switch (token.typeName()) {
    case 'StringToken':
      return token.assertString(at).value
    case 'NumberToken':
      return token.assertNumber(at).value
    case 'BooleanToken':
      return token.assertBoolean(at).value
    case 'NullToken':
      return null
    case 'BasicExpressionToken': {
      const { expression, originalExpressions } = token as BasicExpressionToken
      const written = (originalExpressions ?? []).map(each => each.expression)
      return new Expression(expression, written.length > 0 ? written : [expression], place)
    }
    case 'SequenceToken':
      return [...token.assertSequence(at)].map((item, index) => toTemplate(item, place.inside(index)))
    case 'MappingToken':
      return Object.fromEntries(
        [...token.assertMapping(at)].map(({ key, value }) => {
          if (key.isExpression) refuse(`an expression as a key in ${at}`)
          return [key.toString(), toTemplate(value, place.inside(key.toString()))]
        }),
      )
    default:
      return refuse(`${token.typeName()} in ${at}`)
  }
}
