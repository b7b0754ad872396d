import type { BasicExpressionToken } from '@actions/workflow-parser/templates/tokens/basic-expression-token'
import type { TemplateToken } from '@actions/workflow-parser/templates/tokens/template-token'
import { isNode, LineCounter, parseDocument } from 'yaml'

/** A workflow's `${{ }}` as read by GitHub's parser: without braces, and with surrounding text as `format()`. */
export class Expression {
  readonly source: string
  /** The expressions as the author wrote them. */
  readonly written: string[]
  readonly place: Place
  constructor(source: string, written: string[], place: Place) {
    this.source = source
    this.written = written
    this.place = place
  }
}

/** A workflow's YAML as plain values. Expressions are `Expression` objects. */
export type Template =
  | string
  | number
  | boolean
  | null
  | Expression
  | Template[]
  | { [key: string]: Template }

/** Converts a token from GitHub's parser into plain values. */
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

/** A position in a YAML file. */
export class Place {
  readonly file: string
  readonly #content: string
  readonly #path: (string | number)[]
  constructor(file: string, content: string, path: (string | number)[] = []) {
    this.file = file
    this.#content = content
    this.#path = path
  }

  /** The position of a key or item. */
  inside(key: string | number): Place {
    return new Place(this.file, this.#content, [...this.#path, key])
  }

  /** Returns this text's `FILE:LINE:COLUMN`, or the value's position if the value doesn't contain exactly this text. */
  positionOf(text: string): string {
    const lines = new LineCounter()
    const node = parseDocument(this.#content, { lineCounter: lines }).getIn(this.#path, true)
    if (!isNode(node) || !node.range) return this.file
    const [start, end] = node.range
    const found = this.#content.slice(start, end).indexOf(text)
    const { line, col } = lines.linePos(start + Math.max(found, 0))
    return `${this.file}:${line}:${col}`
  }

  /** `FILE.jobs.deploy.steps[0]`. */
  toString(): string {
    const keys = this.#path.map(key => (typeof key === 'number' ? `[${key}]` : `.${key}`))
    return this.file + keys.join('')
  }
}

/** Throws an error for a feature that the simulator doesn't support. */
export function refuse(what: string): never {
  throw new Error(`The simulator doesn't support ${what}.`)
}

/** Refuses every mapping key that isn't in the list. */
export function refuseOtherKeys(mapping: object, known: readonly string[], at: string): void {
  for (const key of Object.keys(mapping)) {
    if (!known.includes(key)) refuse(`"${key}" in ${at}`)
  }
}
