import { registerHooks } from 'node:module'
import type { StringDefinition } from '@actions/workflow-parser/templates/schema/string-definition'

let hooked = false

/**
 * Checks a workflow with GitHub's own parser, which is loaded on first use: it takes longer than the relay to start.
 *
 * @returns its messages with line and column, none where the workflow is right
 */
export async function checkWorkflow(name: string, content: string): Promise<string[]> {
  const parser = await loadParser()
  const { context, value } = parser.parseWorkflow({ name, content }, new parser.NoOperationTraceWriter())
  if (value) await parser.convertWorkflowTemplate(context, value, undefined)
  return context.errors.getErrors().map(error => error.message)
}

/**
 * The parser imports its JSON schemas without an import attribute, which plain Node refuses: a load hook, limited to
 * those files, adds it. In the bundle the schemas are modules, and the hook is never asked.
 */
async function loadParser() {
  if (!hooked) {
    hooked = true
    registerHooks({
      load(url, context, next) {
        if (!/@actions\/workflow-parser\/dist\/[^/]+\.json$/.test(url)) return next(url, context)
        return next(url, { ...context, importAttributes: { ...context.importAttributes, type: 'json' } })
      },
    })
  }
  const [parser, schema] = await Promise.all([
    import('@actions/workflow-parser'),
    import('@actions/workflow-parser/workflows/workflow-schema'),
  ])
  // By a slip in the package (0.3.61) this is "branch_protection_rule", and "on: repository_dispatch" is refused.
  const { definitions } = schema.getWorkflowSchema()
  ;(definitions['repository-dispatch-string'] as StringDefinition).constant = 'repository_dispatch'
  return parser
}
