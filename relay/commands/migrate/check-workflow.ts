import { registerHooks } from 'node:module'
import { basename } from 'node:path'
import type { StringDefinition } from '@actions/workflow-parser/templates/schema/string-definition'

let hooked = false

/**
 * Checks a workflow with GitHub's own parser, which is loaded on first use: it takes longer than the relay to start.
 *
 * @param others the workflows that it may call, by file name; calls of any other are not checked
 * @returns its messages with line and column, none where the workflow is right
 */
export async function checkWorkflow(
  name: string,
  content: string,
  others: ReadonlyMap<string, string> = new Map(),
): Promise<string[]> {
  const parser = await loadParser()
  const { context, value } = parser.parseWorkflow({ name, content }, new parser.NoOperationTraceWriter())
  const getFileContent = async ({ path }: { path: string }) => {
    const called = others.get(basename(path))
    if (called === undefined) throw new Error('unknown')
    return { name: basename(path), content: called }
  }
  const depth = { fetchReusableWorkflowDepth: 1 }
  if (value) await parser.convertWorkflowTemplate(context, value, { getFileContent }, depth)
  const messages = context.errors.getErrors().map(error => error.message)
  return messages.filter(message => !message.includes('Unable to find reusable workflow'))
}

/**
 * The parser imports its JSON schemas without an import attribute, which plain Node refuses: a load hook, limited to
 * those files, adds it. In the bundle the schemas are modules, and the hook is never asked.
 */
async function loadParser() {
  if (!hooked) {
    hooked = true
    const isSchema = (url: string) => /@actions\/workflow-parser\/dist\/[^/]+\.json$/.test(url)
    registerHooks({
      load: (url, context, next) =>
        next(url, isSchema(url) ? { ...context, importAttributes: { type: 'json' } } : context),
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
