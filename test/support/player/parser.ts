import { registerHooks } from 'node:module'

let hooked = false

/**
 * GitHub's own workflow parser and expression evaluator, loaded on first use.
 *
 * The parser imports its JSON schemas without an import attribute, which plain Node refuses: a load hook,
 * limited to those files, adds it. Under Vite, which loads JSON by itself, the hook is never asked.
 */
export async function loadParser() {
  if (!hooked) {
    hooked = true
    registerHooks({
      load(url, context, next) {
        if (!/@actions\/workflow-parser\/dist\/[^/]+\.json$/.test(url)) return next(url, context)
        return next(url, { ...context, importAttributes: { ...context.importAttributes, type: 'json' } })
      },
    })
  }
  const [workflow, action, template] = await Promise.all([
    import('@actions/workflow-parser'),
    import('@actions/workflow-parser/actions/action-parser'),
    import('@actions/workflow-parser/actions/action-template'),
  ])
  return { ...workflow, parseAction: action.parseAction, convertAction: template.convertActionTemplate }
}
