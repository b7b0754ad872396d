import { isObject, type Json, type JsonObject } from '../port/types.ts'

export type Otherwise = (expression: string) => Json

/**
 * Renders the `body` or `headers` of an action's invocation method as Port does. Supports `spreadValue()`, paths (`.`,
 * `.run.id`, `.inputs["a b"]`), `| del(.key)`, and `| if type == "object" then PATH else … end` with `.` or `null`.
 * Keys with the value null are omitted.
 * @param otherwise evaluates paths without a value, and unsupported expressions. By default, a path without a value is
 *   null, and an unsupported expression throws an error.
 * @see https://docs.port.io/actions-and-automations/create-self-service-experiences/setup-the-backend
 */
export function renderBody(template: Json, context: JsonObject, otherwise?: Otherwise): Json {
  const render = (part: Json): Json => {
    if (typeof part === 'string') return renderText(part, context, otherwise)
    if (Array.isArray(part)) return part.map(render)
    if (!isObject(part)) return part
    const rendered = Object.entries(part).map(([name, value]) => {
      const inner = render(value)
      if (/^\{\{\s*spreadValue\(\)\s*\}\}$/.test(name)) return isObject(inner) ? inner : {}
      const key = render(name)
      return key === null ? {} : { [String(key)]: inner }
    })
    return Object.assign({}, ...rendered)
  }
  return render(template)
}

function renderText(text: string, context: JsonObject, otherwise?: Otherwise): Json {
  const [, whole] = /^\s*\{\{([^{}]*)\}\}\s*$/.exec(text) ?? []
  if (whole !== undefined) return evaluate(whole.trim(), context, otherwise)
  return text.replace(/\{\{([^{}]*)\}\}/g, (_, expression: string) => {
    const value = evaluate(expression.trim(), context, otherwise)
    return typeof value === 'string' ? value : JSON.stringify(value)
  })
}

const NAME = String.raw`\.[\w@=-]+|\.?\["[^"]*"\]|\."[^"]*"`
const PATH = `\\.|(?:${NAME})+`
const PIPE = String.raw`del\(\.(\w+)\)|if type == "object" then (${PATH}) else (\.|null) end`
const EXPRESSION = new RegExp(`^(${PATH})(?: \\| (?:${PIPE}))?$`)

function evaluate(expression: string, context: JsonObject, otherwise?: Otherwise): Json {
  const [, path, left, inside, other] = EXPRESSION.exec(expression) ?? []
  if (path === undefined) {
    if (otherwise) return otherwise(expression)
    throw new Error(`"{{ ${expression} }}" isn't a simple path.`)
  }
  const found = valueAt(context, path)
  if (found === null && otherwise) return otherwise(expression)
  if (inside !== undefined) return isObject(found) ? valueAt(found, inside) : other === '.' ? found : null
  if (!left || !isObject(found)) return found
  const { [left]: _, ...rest } = found
  return rest
}

const valueAt = (context: JsonObject, path: string): Json =>
  (path.match(/"[^"]*"|[\w@=-]+/g) ?? [])
    .map(name => name.replaceAll('"', ''))
    .reduce<Json>((value, name) => (isObject(value) ? (value[name] ?? null) : null), context)
