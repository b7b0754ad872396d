import { registerHooks } from 'node:module'
import type { StringDefinition } from '@actions/workflow-parser/templates/schema/string-definition'
import { parseDocument, visit } from 'yaml'

let hooked = false

/**
 * GitHub's own workflow parser and expression evaluator, loaded on first use.
 *
 * The parser imports its JSON schemas without an import attribute, which Node rejects. A load hook for those files adds
 * the attribute. In the bundle, the schemas are modules and the hook is never called.
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
  const [workflow, schema, action, template] = await Promise.all([
    import('@actions/workflow-parser'),
    import('@actions/workflow-parser/workflows/workflow-schema'),
    import('@actions/workflow-parser/actions/action-parser'),
    import('@actions/workflow-parser/actions/action-template'),
  ])
  // Fixes a bug in package 0.3.61, which rejects "on: repository_dispatch": this constant is "branch_protection_rule".
  const { definitions } = schema.getWorkflowSchema()
  ;(definitions['repository-dispatch-string'] as StringDefinition).constant = 'repository_dispatch'
  return { ...workflow, parseAction: action.parseAction, convertAction: template.convertActionTemplate }
}

/**
 * Writes every text in a YAML document on one line. For a multi-line text that contains `${{ }}`, GitHub's parser
 * (0.3.61) uses the file's indented, unfolded lines, but GitHub uses the parsed text.
 *
 * @param yaml the file that the parser reads; its messages have this file's line numbers
 */
export function onOneLine(yaml: string): string {
  const document = parseDocument(yaml)
  visit(document, {
    Scalar(_, node) {
      if (typeof node.value === 'string') node.type = 'QUOTE_DOUBLE'
    },
  })
  return document.toString({ lineWidth: 0, doubleQuotedAsJSON: true })
}
