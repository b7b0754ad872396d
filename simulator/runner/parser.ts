import { registerHooks } from 'node:module'
import { basename } from 'node:path'
import type { WorkflowTemplate } from '@actions/workflow-parser/model/workflow-template'
import type { StringDefinition } from '@actions/workflow-parser/templates/schema/string-definition'
import { parseDocument, visit } from 'yaml'

let hooked = false

/**
 * GitHub's own workflow parser and expression evaluator, loaded on first use.
 *
 * Node rejects the parser's imports of JSON schemas, which lack an import attribute, so a load hook adds the attribute.
 * In the bundle, the schemas are modules, and the hook is never called.
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
  const [workflow, schema, action, template, { TemplateContext, TemplateValidationErrors }, features] =
    await Promise.all([
      import('@actions/workflow-parser'),
      import('@actions/workflow-parser/workflows/workflow-schema'),
      import('@actions/workflow-parser/actions/action-parser'),
      import('@actions/workflow-parser/actions/action-template'),
      import('@actions/workflow-parser/templates/template-context'),
      import('@actions/expressions/features'),
    ])
  // Fixes a bug in package 0.3.61, which rejects "on: repository_dispatch": this constant is "branch_protection_rule".
  const { definitions } = schema.getWorkflowSchema()
  ;(definitions['repository-dispatch-string'] as StringDefinition).constant = 'repository_dispatch'
  const trace = new workflow.NoOperationTraceWriter()
  return {
    ...{ ...workflow, trace, parseAction: action.parseAction, convertAction: template.convertActionTemplate },
    /** The steps of a workflow, unlike those of a composite action, can run in parallel. */
    featureFlags: new features.FeatureFlags({ allowBackgroundSteps: true }),
    createContext: () =>
      new TemplateContext(new TemplateValidationErrors(), schema.getWorkflowSchema(), trace),
  }
}

/**
 * Parses a workflow with GitHub's parser. Returns its messages, or none if the workflow is valid.
 * @param others the workflows that it can call, by file name; if missing, calls aren't checked
 */
export async function parseWorkflow(name: string, content: string, others?: ReadonlyMap<string, string>) {
  const { featureFlags, createContext, ...parser } = await loadParser()
  const context = createContext()
  context.state.featureFlags = featureFlags
  const { value } = parser.parseWorkflow({ name, content }, context)
  const getFileContent = async ({ path }: { path: string }) => {
    const called = others?.get(basename(path))
    if (called === undefined) throw new Error('unknown')
    return { name: basename(path), content: called }
  }
  const converted: WorkflowTemplate | undefined =
    value &&
    (await parser.convertWorkflowTemplate(context, value, others && { getFileContent }, {
      ...{ featureFlags, fetchReusableWorkflowDepth: others ? 1 : 0 },
    }))
  const messages = context.errors.getErrors().map(error => error.message)
  const errors = messages.filter(message => !message.includes('Unable to find reusable workflow'))
  return { root: value, converted, errors }
}

/**
 * Writes each text in a YAML document on one line. If a multi-line text contains `${{ }}`, GitHub's parser (0.3.61)
 * would use the indented lines of the file, but GitHub uses the parsed text.
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
