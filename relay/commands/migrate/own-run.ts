import type { Node } from 'yaml'
import { mapExpression, type Names } from './map-expression.ts'
import { valuesIn } from './script-values.ts'
import { onlyExpression } from './template.ts'
import { mapOf, nodeAt, seqOf, textOf, textsOf } from './yaml-nodes.ts'

/** A name that says that it is the id of Port's run. */
export const RUN_ID_NAME = /^port_?(action_?)?run_?(id|identifier)$/i

/** Where a text stands. */
export interface Scope {
  root: unknown
  job?: unknown
  step?: unknown
}

/** A variable or an output that an expression is, or reads as JSON. */
const REFERENCE =
  /(?<=^|^fromJSON\(\s*)(?:env\.(?<variable>\w+)|(?<context>needs|steps)\.(?<id>[\w-]+)\.outputs\.(?<output>[\w-]+))(?=$|\s*(?:\|\|\s*'[^']*'\s*)?\))/i

/**
 * Whether a text is for certain the id of the run in Port that started the workflow, and not that of another run. What the
 * file gives a variable or an output decides; a name does only where nothing in it gives the value.
 *
 * @param depth how many variables and outputs are followed to what they hold
 */
export function isOwnRunId(template: string, scope: Scope, names: Names, depth = 5): boolean {
  const source = onlyExpression(template)
  if (source === null || depth === 0) return false
  const place = { step: 'port', condition: false, note: () => {} }
  if (mapExpression(source, place, names) === 'steps.port.outputs.run-id') return true
  const reference = REFERENCE.exec(source)?.groups
  const values = reference ? givenTo(reference, scope, names) : []
  if (values.length === 0) return RUN_ID_NAME.test(/^[\w.-]*\.([\w-]+)$/.exec(source)?.[1] ?? '')
  return values.every(([text, where]) => {
    const value = onlyExpression(text)
    const followed = value === null ? '' : `\${{ ${source.replace(REFERENCE, () => value)} }}`
    return isOwnRunId(followed, where, names, depth - 1)
  })
}

/** What the file gives a variable or an output, each text with where it stands. */
function givenTo(
  { variable, context, id, output }: Record<string, string | undefined>,
  scope: Scope,
  names: Names,
): [string, Scope][] {
  const { root, job, step } = scope
  if (variable !== undefined) {
    const own = textsOf(nodeAt(step, 'env')).get(variable.toLowerCase())
    if (own !== undefined) return [[own, { root, job }]]
    const owner = [job, root].find(each => textsOf(nodeAt(each, 'env')).has(variable.toLowerCase()))
    const declared = textsOf(nodeAt(owner, 'env')).get(variable.toLowerCase())
    const exported = stepsOf(job)
      .filter(exportsVariables)
      .flatMap(each => setBy(each, variable, scope, names))
    return declared === undefined
      ? exported
      : [...exported, [declared, owner === job ? { root, job } : { root }]]
  }
  if (context?.toLowerCase() === 'needs') {
    const needed = nodeAt(nodeAt(root, 'jobs'), id!)
    const given = textOf(nodeAt(nodeAt(needed, 'outputs'), output!))
    return given === null ? [] : [[given, { root, job: needed }]]
  }
  const giving = stepsOf(job).find(each => textOf(nodeAt(each, 'id')) === id)
  return setBy(giving, output!, scope, names)
}

const stepsOf = (job: unknown) => seqOf(nodeAt(job, 'steps'))?.items ?? []

/** Whether a step's script gives variables to the steps after it. */
const exportsVariables = (step: unknown): boolean => /GITHUB_ENV|exportVariable/.test(scriptOf(step))

/** A script of the shell, or of `actions/github-script`. */
const scriptOf = (step: unknown): string =>
  textOf(nodeAt(step, 'run')) ?? textOf(nodeAt(nodeAt(step, 'with'), 'script')) ?? ''

/** The variables that scripts before a step give to it. */
export function exportedTo(step: unknown, job: unknown): string[] {
  const steps = stepsOf(job)
  return steps
    .slice(0, steps.indexOf(step as Node))
    .filter(exportsVariables)
    .flatMap(each => [...scriptOf(each).matchAll(/\b([A-Za-z_]\w*)=/g)])
    .map(([, name]) => name!)
}

/** What the script of a step gives a name. */
function setBy(step: unknown, name: string, { root, job }: Scope, names: Names): [string, Scope][] {
  const env = new Map(
    [root, job, step].flatMap(owner =>
      (mapOf(nodeAt(owner, 'env'))?.items ?? []).map(({ key, value }) => [
        String(key.value),
        textOf(value) ?? '',
      ]),
    ),
  )
  return valuesIn(scriptOf(step), name, env, names).map(text => [text, { root, job, step }])
}
