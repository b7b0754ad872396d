import type { Json } from '../../port/types.ts'
import { isRunId, RUN_ID } from '../../workflow-files/reads.ts'
import * as template from './template.ts'
import { listItems, nodeAt, textAt, textsOf } from './yaml-nodes.ts'

/** A step's reports to Port. Texts keep their expressions `${{ }}`. */
export interface Report {
  kind: 'log' | 'entity' | 'link' | 'status-label' | 'summary' | 'conclusion'
  text: string
}

/** Explains why a step or the whole workflow stays unchanged. */
export class Problem extends Error {
  readonly at: number
  constructor(message: string, at = 0) {
    super(message)
    this.at = at
  }
}

/** `isReferenced`: other steps read this step's outputs or outcome. `isRead`: a later step reads entities from Port. */
export type Facts = Record<'byPortOnly' | 'isReferenced' | 'isRead' | 'stepsFollow' | 'concludes', boolean>

export const isPortAction = (step: unknown): boolean =>
  /^port-labs\/port-github-action@/i.test(textAt(step, 'uses') ?? '')

/**
 * @throws Problem if the step can't be replaced by lines in the action's files
 * @see https://github.com/port-labs/port-github-action/blob/main/action.yml
 */
export function readPortStep(scope: Scope, facts: Facts, remark: (message: string) => void): Report[] {
  const { step } = scope
  const env = textsOf(nodeAt(step, 'env'))
  const given = textsOf(nodeAt(step, 'with'))
  const get = (name: string) => inlineEnv(given.get(name) ?? '', env).trim()
  const operation = (get('operation') || 'UPSERT').toUpperCase()
  const isEntity = /^(BULK_)?UPSERT$|^DELETE$/.test(operation)
  if (!isEntity && operation !== 'PATCH_RUN') throw new Problem(`The action can't replace ${operation}.`)
  const runId = get('runid')
  if (runId === '' ? !isEntity : !isOwnRunId(runId, scope))
    throw new Problem(`"${runId}" isn't known to be the Port run that started the workflow.`)
  if (!isEntity)
    return readPatch(get, { condition: (textAt(step, 'if') ?? '').replace(/\s/g, ''), ...facts }, remark)
  if (runId === '' && !facts.byPortOnly)
    throw new Problem('The step sets no run ID, and the workflow can start without Port.')
  if (facts.isReferenced) throw new Problem('Other steps read the outputs or the outcome of this step.')
  if (facts.isRead) throw new Problem('A later step reads entities before the action sends them.')
  for (const flag of ['delete_dependents', 'createmissingrelatedentities'])
    if (!/^(false)?$/.test(get(flag))) throw new Problem(`$PORT_ENTITIES doesn't support "${flag}".`)
  const text = template.writeJson(readEntity(operation, get))
  if (operation === 'DELETE')
    remark(
      `RELAY_REPORT_DELETE_BLUEPRINTS must allow ${get('blueprint')}. If the entity doesn't exist, the step doesn't fail.`,
    )
  if (/"blueprint": "_/.test(text)) remark('RELAY_REPORT_BLUEPRINTS of the relay must allow the blueprint.')
  if (runId === '')
    remark(
      "the entity's change is now attributed to the Port run. The action writes the entity only if Port starts the workflow.",
    )
  return [{ kind: 'entity', text }]
}

type Get = (name: string) => string

function readEntity(operation: string, get: Get): Json {
  const json = (name: string, empty: string): Json => {
    const value = template.jsonValue(get(name), empty)
    if (value === undefined) throw new Problem(`"${name}" isn't JSON: check the text around its expressions.`)
    return value
  }
  for (const name of operation === 'BULK_UPSERT' ? ['entities'] : ['blueprint', 'identifier'])
    if (get(name) === '') throw new Problem(`The step has no "${name}".`)
  if (operation === 'BULK_UPSERT') return json('entities', '[]')
  const entity: Record<string, Json> = {
    ...(operation === 'DELETE' && { operation: 'delete' }),
    blueprint: template.textValue(get('blueprint')),
    identifier: template.textValue(get('identifier')),
  }
  if (operation === 'DELETE') return entity
  const team = get('team')
  if (template.onlyExpression(team) !== null) throw new Problem('"team" could evaluate to a name or a list.')
  for (const name of ['title', 'icon']) if (get(name) !== '') entity[name] = template.optionalText(get(name))
  if (team !== '') entity.team = template.jsonValue(team, 'null') ?? template.textValue(team)
  for (const name of ['properties', 'relations']) if (get(name) !== '') entity[name] = json(name, '{}')
  return entity
}

function readPatch(
  get: Get,
  { condition, stepsFollow, concludes }: Pick<Facts, 'stepsFollow' | 'concludes'> & { condition: string },
  remark: (message: string) => void,
): Report[] {
  const status = get('status')
  const conclusion = conclusionOf(status, condition)
  if (conclusion !== '' && !concludes)
    throw new Problem(
      'The step can mark the Port run as failed although the job succeeds, and other jobs also affect the Port run.',
    )
  const reports: [Report['kind'], string][] = [
    ['log', get('logmessage')],
    ['status-label', get('statuslabel')],
    ...linkTexts(get('link')).map((text): [Report['kind'], string] => ['link', text]),
    ['summary', get('summary')],
    ['conclusion', conclusion],
  ]
  if (/SUCCESS|\{\{/.test(status)) {
    if (/\b(always|failure|cancelled)\(\)/.test(condition))
      remark('a failed job now finishes the Port run as FAILURE, regardless of this status.')
    else if (stepsFollow) remark('the Port run finished at this step. It now finishes when the job finishes.')
  }
  return reports.filter(([, text]) => text !== '').map(([kind, text]) => ({ kind, text }))
}

/** Returns a conclusion if the Port run must fail although the job succeeds. */
function conclusionOf(status: string, condition: string): string {
  if (template.hasExpression(status)) {
    const references = status.replace(/'[^']*'/g, '')
    const others = /\b(steps|needs|env|inputs|github|matrix|strategy|vars|secrets|runner)\b/
    return /\bjob\.status\b/.test(references) && !others.test(references) ? '' : status
  }
  const terms = condition.replace(/^\$\{\{|\}\}$/g, '').split('&&')
  const isOfFailedJob =
    !condition.includes('||') && terms.some(term => /^(failure|cancelled)\(\)$/.test(term))
  return status === 'FAILURE' && !isOfFailedJob ? 'failure' : ''
}

/** Omits the link to the workflow run, which the action sends anyway. */
function linkTexts(given: string): string[] {
  if (/^\$\{\{\s*toJSON\(/i.test(given))
    throw new Problem('The links in the list are unknown until the workflow runs.')
  const texts = given.startsWith('[') ? [...given.matchAll(/"([^"]*)"/g)].map(([, text]) => text!) : [given]
  const run =
    /^(\$\{\{github\.server_url\}\}|https:\/\/github\.com)\/\$\{\{github\.repository\}\}\/actions\/runs\/\$\{\{github\.run_id\}\}(?!\/(?!attempts))/
  return texts.filter(text => !run.test(text.replace(/\s/g, '').toLowerCase()))
}

/** Replaces the step's variables with their values, because the text moves to `env`, where expressions can't read variables of the step. */
const inlineEnv = (text: string, env: Map<string, string>): string =>
  template.mapTemplate(text, source => {
    const value = env.get(/^env\.([\w-]+)$/i.exec(source)?.[1]?.toLowerCase() ?? '')
    const inside = [...source.matchAll(/\benv\.([\w-]+)/gi)].find(([, name]) => env.has(name!.toLowerCase()))
    if (value === undefined && inside)
      throw new Problem(`An expression depends on ${inside[0]}, which the step itself sets.`)
    return value ?? `\${{ ${source} }}`
  })

export interface Scope {
  root: unknown
  /** The inputs besides `port_context` that contain Port's context. */
  contexts: string[]
  job: unknown
  step?: unknown
}

const REFERENCE = /^(?:env|(?:steps|needs)\.([\w-]+)\.outputs)\.([\w-]+)$/i

/**
 * Whether a text is certainly the ID of the Port run that started the workflow. A variable or an output
 * must have this ID as its value, or it must be named like a run ID and come from a script that reads Port's payload.
 */
export function isOwnRunId(given: string, { root, contexts, job, step }: Scope): boolean {
  const source = (template.onlyExpression(given) ?? '').replace(/\s/g, '').replace(/\['([\w-]+)'\]/g, '.$1')
  if (isRunId(source, contexts)) return true
  const [, id, name] = REFERENCE.exec(source) ?? []
  if (!name) return false
  const isNeeded = source.startsWith('needs')
  const needed = isNeeded ? nodeAt(root, 'jobs', id!) : null
  const named = id ? [nodeAt(needed, 'outputs')] : [step, job, root].map(each => nodeAt(each, 'env'))
  const text = named.map(each => textsOf(each).get(name.toLowerCase())).find(each => each !== undefined)
  if (text !== undefined) return !text.includes('needs.') && isOwnRunId(text, { root, contexts, job: needed })
  if (!RUN_ID.test(name)) return false
  const scripts = listItems(nodeAt(job, 'steps')).filter(({ map }) =>
    id ? textAt(map, 'id') === id : new RegExp(`\\b${name}\\s*(=|<<)`).test(textAt(map, 'run') ?? ''),
  )
  return !isNeeded && scripts.length > 0 && scripts.every(({ map }) => readsRunId(map))
}

function readsRunId(step: unknown): boolean {
  const text = [textAt(step, 'run') ?? '', ...textsOf(nodeAt(step, 'env')).values()].join('\n')
  return (
    /\bport_(context|payload|run_?id)\b/i.test(text) && !/\b(curl|wget|gh|https?|cat|steps)\b/i.test(text)
  )
}
