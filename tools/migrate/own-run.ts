import { onlyExpression } from './template.ts'
import { listItems, nodeAt, textAt, textsOf } from './yaml-nodes.ts'

export interface Scope {
  root: unknown
  /** Inputs that contain Port's context under another name. */
  contexts: string[]
  job: unknown
  step?: unknown
}

const NAME = '(?:port[_-]?)?(?:action[_-]?)?run[_-]?id(?:entifier)?'
const INPUTS = '(?:github\\.event\\.)?(?:inputs|client_payload)'
const CONTEXT = `(?:fromjson\\(${INPUTS}\\.port_(?:context|payload)\\)|${INPUTS}\\.port_(?:context|payload))`
/** Matches the run id in Port's context or payload, or an input with that name. */
const OWN = new RegExp(`^(?:${CONTEXT}\\.(?:context\\.)?(?:run_?id|run\\.id)|${INPUTS}\\.${NAME})$`, 'i')
const RENAMED = new RegExp(`^fromjson\\(${INPUTS}\\.([\\w-]+)\\)\\.run_?id$`, 'i')
const REFERENCE = /^(?:env|(?:steps|needs)\.([\w-]+)\.outputs)\.([\w-]+)$/i
const NAMED = new RegExp(`^${NAME}$`, 'i')

/**
 * Whether a text is certainly the id of the Port run that started the workflow. A variable or output is that id if its
 * value is, or if its name suggests the id and a script reads the id from Port's payload.
 */
export function isOwnRunId(template: string, { root, contexts, job, step }: Scope): boolean {
  const source = (onlyExpression(template) ?? '').replace(/\s/g, '').replace(/\['([\w-]+)'\]/g, '.$1')
  const [, input] = RENAMED.exec(source) ?? []
  if (OWN.test(source) || (input && contexts.includes(input))) return true
  const [, id, name] = REFERENCE.exec(source) ?? []
  if (!name) return false
  const isNeeded = source.startsWith('needs')
  const needed = isNeeded ? nodeAt(root, 'jobs', id!) : null
  const given = id ? [nodeAt(needed, 'outputs')] : [step, job, root].map(each => nodeAt(each, 'env'))
  const text = given.map(each => textsOf(each).get(name.toLowerCase())).find(each => each !== undefined)
  if (text !== undefined) return !text.includes('needs.') && isOwnRunId(text, { root, contexts, job: needed })
  if (!NAMED.test(name)) return false
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
