import { isObject, type Json, type JsonObject } from '../../../port/types.ts'

/** What a template that isn't a path gives: some text. */
const TEXT = 'x'

/**
 * A body as Port would render it. A path (`{{ .inputs.size }}`) gives what the context has there, and any other
 * expression some text.
 *
 * @param context what `{{ . }}` stands for
 */
export function renderBody(template: Json, context: JsonObject): Json {
  if (Array.isArray(template)) return template.map(item => renderBody(item, context))
  if (typeof template === 'string') return renderText(template, context)
  if (!isObject(template)) return template
  return Object.fromEntries(
    Object.entries(template).flatMap(([key, value]): [string, Json][] => {
      const rendered = renderBody(value, context)
      if (!key.includes('{{')) return [[key, rendered]]
      return isObject(rendered) && /spreadValue\(\)/.test(key) ? Object.entries(rendered) : [[TEXT, rendered]]
    }),
  )
}

function renderText(text: string, context: JsonObject): Json {
  const expression = /^\s*\{\{(.*)\}\}\s*$/s.exec(text)?.[1]?.trim()
  if (expression === undefined) return text.includes('{{') ? TEXT : text
  if (!/^\.[\w.@=-]*$/.test(expression)) return TEXT
  const names = expression.split('.').filter(Boolean)
  return names.reduce<Json>((value, name) => (isObject(value) ? (value[name] ?? TEXT) : TEXT), context)
}
