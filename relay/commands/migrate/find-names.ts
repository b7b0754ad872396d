import { type Document, isMap, isScalar, visit } from 'yaml'
import type { Names } from './map-expression.ts'
import { RUN_ID_NAME } from './own-run.ts'
import { isPortAction } from './port-step.ts'
import { hasAction } from './read-job.ts'
import { otherEvents } from './rewrite-triggers.ts'
import { onlyExpression, splitTemplate } from './template.ts'
import type { Migrated } from './types.ts'
import { calledFile, mapOf, nodeAt, pairOf, textOf, textsOf } from './yaml-nodes.ts'

const CONTEXT_NAME = /^port_?(run_?)?(context|payload)$/i

/**
 * What the workflow calls the inputs that Port's run comes in: by their names, else by what its reports make of the
 * only one that they name.
 */
export function findNames(
  document: Document,
  text: string,
  start: Names['start'],
  called: ReadonlyMap<string, Migrated>,
): Names {
  const names: Names = {
    contexts: new Set(),
    runIds: new Set(),
    declared: new Map(),
    wholeEntity: readsWholeEntity(text),
    start,
    isCalled: pairOf(document.get('on', true), 'workflow_call') !== undefined,
    hasOtherEvents: otherEvents(document).length > 0,
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
  // What is left of reports in a workflow that has the action is of other runs.
  if (hasAction(document.contents) || names.contexts.size + names.runIds.size > 0) return names
  const inputs = [
    ...runIdExpressions(document, text).map(source => inputOf(source)),
    ...handedOn(document, called),
  ].filter(each => each !== null)
  const [first] = inputs
  if (first && inputs.every(({ kind, name }) => kind === first.kind && name === first.name))
    names[first.kind].add(first.name)
  return names
}

/** Whether anything reads more of the context's entity than its identifier: an expression, or a script by `jq`. */
function readsWholeEntity(text: string): boolean {
  if (
    /(context|payload)\s{0,9}(\|\|\s{0,9}'[^']{0,99}'\s{0,9})?\)\s{0,9}(\.payload)?\.entity\.\w/i.test(text)
  )
    return true
  return text.split('\n').some(line => line.includes('jq ') && /\.entity\.\w/.test(line))
}

/** The expressions that reports name Port's run with, those in `env` resolved. */
function runIdExpressions(document: Document, text: string): string[] {
  const env = new Map<string, string[]>()
  const templates: string[] = []
  visit(document, {
    Pair(_, { key, value }) {
      const name = isScalar(key) ? String(key.value) : ''
      if (name === 'env' && isMap(value))
        for (const { key, value: each } of mapOf(value)!.items) {
          const variable = String(key.value)
          env.set(variable, [...(env.get(variable) ?? []), textOf(each) ?? ''])
        }
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
      return (env.get(variable) ?? [])
        .flatMap(splitTemplate)
        .flatMap(each => ('text' in each ? [] : [each.expression]))
    }),
  )
}

interface Input {
  kind: 'contexts' | 'runIds'
  name: string
}

/** The input that a run's id is read from. */
function inputOf(source: string): Input | null {
  const input = String.raw`(?:github\s*\.\s*event\s*\.\s*)?inputs\s*(?:\.\s*|\[\s*')([A-Za-z_][\w-]*)(?:'\s*\])?`
  const [, context, direct] =
    new RegExp(
      String.raw`^\s*(?:fromjson\s*\(\s*${input}\s*(?:\|\|\s*'[^']*'\s*)?\)\s*\.\s*(?:context\s*\.\s*)?run(?:_?id|\.id)|${input})\s*$`,
      'i',
    ).exec(source) ?? []
  if (context !== undefined) return { kind: 'contexts', name: context }
  return direct === undefined ? null : { kind: 'runIds', name: direct }
}

/** The inputs that the workflow hands on to workflows that it calls, as what those took them for. */
function handedOn(document: Document, called: ReadonlyMap<string, Migrated>): Input[] {
  return (mapOf(document.get('jobs', true))?.items ?? []).flatMap(({ value: job }) => {
    const removed = called.get(calledFile(textOf(nodeAt(job, 'uses'))) ?? '')?.removed
    return [...textsOf(nodeAt(job, 'with'))].flatMap(([name, text]) => {
      const kind = removed?.get(name)
      const input = kind && inputOf(onlyExpression(text) ?? '')
      return input ? [input.kind === 'runIds' ? { kind, name: input.name } : input] : []
    })
  })
}
