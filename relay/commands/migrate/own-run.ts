import { mapExpression, type Names } from './map-expression.ts'
import { onlyExpression } from './template.ts'
import { nodeAt, seqOf, textOf, textsOf } from './yaml-nodes.ts'

/** A name that says that it is the id of Port's run. */
export const RUN_ID_NAME = /^port_?(action_?)?run_?(id|identifier)$/i

/** Where a text stands. */
export interface Scope {
  root: unknown
  job: unknown
  step?: unknown
}

/** Variables by names in lower case, those of the step before those of the job and of the workflow. */
const envOf = ({ root, job, step }: Scope) =>
  new Map([root, job, step].flatMap(owner => [...textsOf(nodeAt(owner, 'env'))]))

/**
 * Whether a text is for certain the id of the run in Port that started the workflow, and not that of another run.
 *
 * @param depth how many variables and outputs are followed to what they hold
 */
export function isOwnRunId(template: string, scope: Scope, names: Names, depth = 5): boolean {
  const source = onlyExpression(template)
  if (source === null || depth === 0) return false
  const place = { step: 'port', condition: false, note: () => {} }
  if (mapExpression(source, place, names) === 'steps.port.outputs.run-id') return true
  const [, variable] = /^env\.(\w+)$/.exec(source) ?? []
  const value = envOf(scope).get(variable?.toLowerCase() ?? '')
  if (value !== undefined) return isOwnRunId(value, scope, names, depth - 1)
  if (RUN_ID_NAME.test(/^[\w.-]*\.([\w-]+)$/.exec(source)?.[1] ?? '')) return true
  const [, context, id, output] = /^(needs|steps)\.([\w-]+)\.outputs\.([\w-]+)$/.exec(source) ?? []
  if (context === 'needs') {
    const job = nodeAt(nodeAt(scope.root, 'jobs'), id!)
    const given = textOf(nodeAt(nodeAt(job, 'outputs'), output!)) ?? ''
    return isOwnRunId(given, { root: scope.root, job }, names, depth - 1)
  }
  const steps = context === 'steps' ? (seqOf(nodeAt(scope.job, 'steps'))?.items ?? []) : []
  const step = steps.find(each => textOf(nodeAt(each, 'id')) === id)
  const lines = (textOf(nodeAt(step, 'run')) ?? '').split('\n').filter(line => line.includes(`${output}=`))
  const [line = ''] = lines
  if (lines.length !== 1) return false
  const direct = /=["']?(\$\{\{[^{}]*\}\})["']?(\s|$)/.exec(line)?.[1]
  if (direct !== undefined) return isOwnRunId(direct, { ...scope, step }, names, depth - 1)
  return readsRunId(line, names)
}

/** Whether a line of a script takes the run's id from a context, such as `jq -r .runId`. */
const readsRunId = (line: string, { contexts }: Names): boolean =>
  [...contexts].some(name => line.includes(name)) && /[\s'"]\.?(context\.)?run_?id\b/i.test(line)
