import { isObject, type Json, type JsonObject } from '../port/types.ts'

/** Port's own function for a key: the object under it is spread into the object around it. */
const SPREAD = '{{ spreadValue() }}'

/**
 * Renders the `body` or `headers` of an action's invocation method as Port does. It knows the parts of jq that the
 * examples use, paths (`.`, `.run.id`) and `| del(.key)`, and throws on anything else. A string that is one expression
 * keeps the type of its value.
 *
 * @see https://docs.port.io/actions-and-automations/create-self-service-experiences/setup-the-backend
 */
export function renderBody(template: Json, context: JsonObject): Json {
  if (typeof template === 'string') return renderText(template, context)
  if (Array.isArray(template)) return template.map(item => renderBody(item, context))
  if (!isObject(template)) return template
  const rendered = Object.entries(template).map(([name, value]) => {
    const inner = renderBody(value, context)
    return name === SPREAD && isObject(inner) ? inner : { [String(renderBody(name, context))]: inner }
  })
  return Object.assign({}, ...rendered)
}

function renderText(text: string, context: JsonObject): Json {
  const [, whole] = /^\{\{([^{}]*)\}\}$/.exec(text) ?? []
  if (whole !== undefined) return evaluate(whole, context)
  return text.replace(/\{\{([^{}]*)\}\}/g, (_, expression: string) => {
    const value = evaluate(expression, context)
    return typeof value === 'string' ? value : JSON.stringify(value)
  })
}

function evaluate(expression: string, context: JsonObject): Json {
  const [path = '', , , left] = /^(\.|(\.\w+)+)( \| del\(\.(\w+)\))?$/.exec(expression.trim())?.slice(1) ?? []
  if (path === '') throw new Error(`"{{ ${expression.trim()} }}" is more than a path.`)
  const found = path
    .split('.')
    .filter(Boolean)
    .reduce<Json>((value, name) => (isObject(value) ? (value[name] ?? null) : null), context)
  if (!left || !isObject(found)) return found
  const { [left]: _, ...rest } = found
  return rest
}
