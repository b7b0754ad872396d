import { type Document, isMap, isScalar, visit } from 'yaml'
import type { Names } from './map-expression.ts'
import { isPortAction } from './port-step.ts'
import { splitTemplate } from './template.ts'
import { mapOf, nodeAt, pairOf, textOf, textsOf } from './yaml-nodes.ts'

const CONTEXT_NAME = /^port_?(run_?)?(context|payload)$/i
const RUN_ID_NAME = /^port_?(action_?)?run_?(id|identifier)$/i

/** What the workflow calls the inputs that Port's run comes in, by their names and by what its reports make of them. */
export function findNames(document: Document, text: string, start: Names['start']): Names {
  const names: Names = {
    contexts: new Set(),
    runIds: new Set(),
    declared: new Map(),
    wholeEntity: readsWholeEntity(text),
    start,
    isCalled: pairOf(document.get('on', true), 'workflow_call') !== undefined,
  }
  for (const event of ['workflow_dispatch', 'workflow_call']) {
    const inputs = mapOf(nodeAt(nodeAt(document.get('on', true), event), 'inputs'))
    for (const { key, value } of inputs?.items ?? []) {
      const preset = nodeAt(value, 'default')
      names.declared.set(String(key.value), {
        type: textOf(nodeAt(value, 'type')) ?? 'string',
        default: isScalar(preset) ? (preset.value as string | boolean | number | null) : null,
      })
    }
  }
  const references = text.matchAll(/\b(?:inputs|client_payload)\s*(?:\.\s*|\[\s*')([A-Za-z_][\w-]*)/g)
  for (const name of [...names.declared.keys(), ...[...references].map(([, name]) => name!)]) {
    if (CONTEXT_NAME.test(name)) names.contexts.add(name)
    if (RUN_ID_NAME.test(name)) names.runIds.add(name)
  }
  for (const source of runIdExpressions(document, text)) addRunId(source, names)
  return names
}

/** Whether anything reads more of the context's entity than its identifier: an expression, or a script by `jq`. */
function readsWholeEntity(text: string): boolean {
  if (/(context|payload)\s{0,9}\)\s{0,9}(\.payload)?\.entity\.\w/i.test(text)) return true
  return text.split('\n').some(line => line.includes('jq ') && /\.entity\.\w/.test(line))
}

/** The expressions that reports name Port's run with, those in `env` resolved. */
function runIdExpressions(document: Document, text: string): string[] {
  const env = new Map<string, string>()
  const templates: string[] = []
  visit(document, {
    Pair(_, { key, value }) {
      const name = isScalar(key) ? String(key.value) : ''
      if (name === 'env' && isMap(value))
        for (const { key, value: each } of mapOf(value)!.items) env.set(String(key.value), textOf(each) ?? '')
    },
    Map(_, map) {
      if (!isPortAction(textOf(nodeAt(map, 'uses')) ?? '')) return
      const runId = textsOf(nodeAt(map, 'with')).get('runid')
      if (runId) templates.push(runId)
    },
  })
  for (const after of text.split('/actions/runs/').slice(1)) {
    const id = /^(\$\{\{[^}\n]{1,200}\}\}|\$\{?\w{1,100}\}?)/.exec(after)?.[1]
    if (id === undefined) continue
    const variable = /^\$\{?(\w+)\}?$/.exec(id)?.[1]
    templates.push(variable ? `\${{ env.${variable} }}` : id!)
  }
  return templates.flatMap(template =>
    splitTemplate(template).flatMap(piece => {
      if ('text' in piece) return []
      const variable = /^env\.(\w+)$/.exec(piece.expression.trim())?.[1]
      if (variable === undefined) return [piece.expression]
      return splitTemplate(env.get(variable) ?? '').flatMap(each => ('text' in each ? [] : [each.expression]))
    }),
  )
}

function addRunId(source: string, names: Names): void {
  const input = String.raw`(?:github\s*\.\s*event\s*\.\s*)?inputs\s*(?:\.\s*|\[\s*')([A-Za-z_][\w-]*)(?:'\s*\])?`
  const context = new RegExp(String.raw`fromjson\s*\(\s*${input}\s*\)`, 'i').exec(source)
  if (context) names.contexts.add(context[1]!)
  else {
    const direct = new RegExp(String.raw`^\s*${input}\s*$`, 'i').exec(source)
    if (direct && !names.contexts.has(direct[1]!)) names.runIds.add(direct[1]!)
  }
}
