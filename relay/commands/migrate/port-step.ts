import { parseJson } from '../../../port/parse-json.ts'
import { asText, jsonTemplate, jsonText } from './json-template.ts'
import { hasExpression, mark, onlyExpression } from './template.ts'

/** What a step that reports by hand says to Port. Texts are as in the workflow, with `${{ }}`. */
export type Report =
  | { kind: 'log'; text: string }
  /**
   * The entities as JSON, and the identifier where it is one.
   *
   * @property checks what a person must look at
   * @property isTolerant the step went on where Port refused it
   */
  | { kind: 'entity'; json: string; identifier?: string; checks?: string[]; isTolerant?: boolean }
  | { kind: 'link'; text: string }
  | { kind: 'status-label'; text: string }
  | { kind: 'summary'; text: string }
  | { kind: 'status'; text: string }

/** What a step is to become: its reports, or the reason why it stays. */
export type ReadStep = { reports: Report[] } | { problem: string }

/** What a step reaches Port with, as texts of the workflow. */
export interface Credentials {
  id: string
  secret: string
  url: string
}

/** Whether a text is the id of the run that started the workflow; '', whether what names no run is of that run. */
export type IsOwnRunId = (template: string) => boolean

/** Only the run that started the workflow is what the action reports about. */
export const anotherRun = (runId: string): ReadStep => ({
  problem: `"${runId}" is not known to be the run that started the workflow, which is the one that the action reports about: the step stays; where it is that run, let $PORT_LOG, $PORT_RUN and $PORT_ENTITIES replace it.`,
})

/** Where Port did not start the workflow, the action writes no entity. */
export const WITHOUT_RUN: ReadStep = {
  problem:
    'the entity is of no run in Port, and not only Port starts the workflow, without which the action writes none: the step stays, with the credentials that it has.',
}

export const isPortAction = (uses: string): boolean => /^port-labs\/port-github-action@/i.test(uses)

/**
 * Reads a step of `port-labs/port-github-action` from its `with:`.
 *
 * @see https://github.com/port-labs/port-github-action/blob/main/action.yml
 */
export function readPortStep(given: Map<string, string>, isOwnRunId: IsOwnRunId): ReadStep {
  const get = (name: string) => (given.get(name.toLowerCase()) ?? '').trim()
  const operation = (get('operation') || 'UPSERT').toUpperCase()
  const runId = get('runId')
  if (/^(BULK_)?UPSERT$|^DELETE$/.test(operation) && runId === '') {
    if (!isOwnRunId('')) return WITHOUT_RUN
  } else if (/^(PATCH_RUN|(BULK_)?UPSERT|DELETE)$/.test(operation) && (runId === '' || !isOwnRunId(runId)))
    return anotherRun(runId)
  switch (operation) {
    case 'PATCH_RUN':
      return readPatch(get)
    case 'UPSERT':
      return readUpsert(get)
    case 'BULK_UPSERT':
      return readBulk(get)
    case 'DELETE':
      return readDelete(get)
    case 'GET':
    case 'SEARCH':
      return {
        problem: `${operation} reads entities from Port, which the action does not: the step stays, with the credentials of its own.`,
      }
    case 'CREATE_RUN':
      return { problem: 'CREATE_RUN starts another run in Port, which the action does not: the step stays.' }
    default:
      return { problem: `the operation ${operation} is unknown: the step stays.` }
  }
}

type Get = (name: string) => string

function readPatch(get: Get): ReadStep {
  const reports: Report[] = []
  const add = (kind: 'log' | 'status-label' | 'summary' | 'status', name: string) => {
    const text = get(name)
    if (text !== '') reports.push({ kind, text })
  }
  add('log', 'logMessage')
  add('log', 'logRunMessage')
  add('status-label', 'statusLabel')
  reports.push(...readLinks(get('link')))
  add('summary', 'summary')
  add('status', 'status')
  return { reports }
}

/** A link or a JSON list of them, without that of the workflow run, which the action sends. */
export function readLinks(given: string): Report[] {
  if (given === '') return []
  return linkTexts(given)
    .filter(text => !isRunUrl(text))
    .map(text => ({ kind: 'link', text }))
}

function linkTexts(given: string): string[] {
  if (!given.startsWith('[')) return [given]
  // Each is a JSON string; expressions are put back after.
  const { marked, restore } = mark(given)
  const list = parseJson(marked)
  const isList = Array.isArray(list) && list.every(item => typeof item === 'string')
  return isList ? list.map(restore) : [given]
}

const isRunUrl = (text: string) => {
  const plain = text.replace(/\s/g, '').toLowerCase()
  return /^(\$\{\{github\.server_url\}\}|https:\/\/github\.com)\/\$\{\{github\.repository\}\}\/actions\/runs\/\$\{\{github\.run_id\}\}(\/.*)?$/.test(
    plain,
  )
}

function readUpsert(get: Get): ReadStep {
  if (get('identifier') === '')
    return { problem: 'the entity has no identifier, which $PORT_ENTITIES needs: the step stays.' }
  if (get('blueprint') === '') return { problem: 'the entity has no blueprint: the step stays.' }
  if (get('createMissingRelatedEntities') === 'true')
    return { problem: 'createMissingRelatedEntities is no part of $PORT_ENTITIES: the step stays.' }
  const fields: [string, string][] = [
    ['blueprint', jsonText(get('blueprint'))],
    ['identifier', jsonText(get('identifier'))],
  ]
  for (const name of ['title', 'icon']) {
    const text = get(name)
    const only = onlyExpression(text)
    // An empty one was not sent.
    if (text !== '')
      fields.push([name, only === null ? jsonText(text) : `\${{ toJSON(${asText(only)} || null) }}`])
  }
  const checks: string[] = []
  const team = readTeam(get('team'))
  if (team !== null) fields.push(['team', team])
  for (const name of ['properties', 'relations']) {
    const object = readJson(get(name))
    if (object === null) continue
    if ('problem' in object) return { problem: `"${name}" ${object.problem}: the step stays.` }
    fields.push([name, object.text])
    checks.push(...object.checks)
  }
  return { reports: [{ kind: 'entity', json: writeObject(fields), identifier: get('identifier'), checks }] }
}

/** A JSON template, with the empty value as none. */
function readJson(given: string): ReturnType<typeof jsonTemplate> | null {
  if (given === '') return null
  const only = onlyExpression(given)
  // What an expression gave was read as JSON; nothing was an empty object.
  if (only !== null)
    return {
      text: `\${{ ${/^toJSON\(/i.test(only) ? only : `toJSON(fromJSON(${only} || '{}'))`} }}`,
      checks: [],
    }
  return jsonTemplate(given)
}

/** JSON where it reads as JSON, else a name. */
function readTeam(given: string): string | null {
  if (given === '') return null
  const only = onlyExpression(given)
  if (only !== null) {
    return `\${{ toJSON(startsWith(${only}, '[') && fromJSON(${only}) || ${only} || null) }}`
  }
  const json = /^["[{]/.test(given) ? jsonTemplate(given) : { problem: '' }
  return 'text' in json ? json.text : jsonText(given)
}

function readBulk(get: Get): ReadStep {
  const entities = readJson(get('entities'))
  if (entities === null) return { problem: 'BULK_UPSERT has no entities: the step stays.' }
  if ('problem' in entities) return { problem: `"entities" ${entities.problem}: the step stays.` }
  if (get('createMissingRelatedEntities') === 'true')
    return { problem: 'createMissingRelatedEntities is no part of $PORT_ENTITIES: the step stays.' }
  return { reports: [{ kind: 'entity', json: entities.text, checks: entities.checks }] }
}

function readDelete(get: Get): ReadStep {
  const dependents = get('delete_dependents')
  if (dependents !== '' && dependents !== 'false')
    return { problem: 'delete_dependents is no part of $PORT_ENTITIES: the step stays.' }
  return deletion(jsonText(get('blueprint')), jsonText(get('identifier')))
}

export const deletion = (blueprint: string, identifier: string): ReadStep => ({
  reports: [
    {
      kind: 'entity',
      json: writeObject([
        ['operation', '"delete"'],
        ['blueprint', blueprint],
        ['identifier', identifier],
      ]),
    },
  ],
})

/** A JSON object of several lines; a value of several lines keeps them. */
export function writeObject(fields: [string, string][]): string {
  const lines = fields.map(([name, value]) => `  ${JSON.stringify(name)}: ${indentRest(value)}`)
  return `{\n${lines.join(',\n')}\n}`
}

/** Indents the lines of JSON; those of an expression are part of its text, and stay. */
function indentRest(value: string): string {
  const { marked, restore } = mark(value)
  const [first = '', ...rest] = marked.trim().split('\n')
  const depth = Math.min(...rest.filter(line => line.trim() !== '').map(line => /^ */.exec(line)![0].length))
  return restore([first.trimEnd(), ...rest.map(line => `  ${line.slice(depth).trimEnd()}`)].join('\n'))
}

/** Fixed text says nothing that the action's own log of steps does not. */
export const isFixed = (report: Report): boolean => report.kind === 'log' && !hasExpression(report.text)
