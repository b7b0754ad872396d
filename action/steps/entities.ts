import { parseJson } from '../../port/text.ts'
import { isObject, type Json, type JsonObject } from '../../port/types.ts'
import type { FileLine } from '../runner/files.ts'
import type { Mistake } from '../runner/runner.ts'

export interface Entity {
  operation: 'upsert' | 'delete'
  blueprint: string
  identifier: string
  /** The entity in Port's format, without its blueprint. */
  body: JsonObject
}

const NAMES = ['blueprint', 'identifier']
const FIELDS = ['blueprint', 'identifier', 'operation', 'title', 'icon', 'team', 'properties', 'relations']
/** Fields that Port sets. Port ignores these fields if a step reads an entity from Port, and sends it back. */
const READ_ONLY = ['createdAt', 'createdBy', 'updatedAt', 'updatedBy', 'scorecards']
const OPERATIONS = ['upsert', 'delete'] as const

/** Port's rule for identifiers. @see https://docs.port.io/api-reference/create-an-entity */
const IDENTIFIER = /^(?!\.{1,2}$)[\p{L}0-9@_.+:\\/=-]{1,1000}$/u

const MOST_CHARACTERS = 1_000_000

/** Returns the entities in a YAML or JSON text, which has one entity or a list. If an entity is invalid, returns only errors. */
export async function readEntities(text: string, line = 1): Promise<Entities> {
  if (text.length > MOST_CHARACTERS) return invalid({ line, sentence: 'the document is larger than 1 MB' })
  try {
    return await readDocument(text, line)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    return invalid({ line, sentence: 'the document is nested too deeply' })
  }
}

type Entities = { entities: Entity[]; mistakes: Mistake[] }
const invalid = (mistake: Mistake): Entities => ({ entities: [], mistakes: [mistake] })

async function readDocument(text: string, line: number): Promise<Entities> {
  const values = await parse(text, 'values')
  if (values instanceof Error) return invalid(notRead(values, text, line))
  const list = listOf(values)
  if (list === null) return invalid({ line, sentence: 'not a list of entities in YAML or JSON', value: text })
  const written = listOf((await parse(text, 'written')) as Json) as Json[]
  nameAsWritten(list, written)
  const mistakes = list.flatMap((entity, index) =>
    check(entity, written[index]!).map(({ problem, value }) => ({
      line,
      sentence: `${nameOf(entity, index)} ${problem}`,
      value: typeof value === 'string' ? value : JSON.stringify(value),
    })),
  )
  if (mistakes.length > 0) return { entities: [], mistakes }
  return {
    mistakes: [],
    entities: (list as JsonObject[]).map(({ blueprint, identifier, operation = 'upsert', ...more }) => ({
      operation: operation as Entity['operation'],
      blueprint: blueprint as string,
      identifier: identifier as string,
      body: { identifier: identifier as string, ...more },
    })),
  }
}

/** @param as `written`: returns numbers and similar values as the author wrote them */
async function parse(text: string, as: 'values' | 'written'): Promise<Json | Error> {
  try {
    return JSON.parse(text, as === 'written' ? toSource : undefined)
  } catch {
    // YAML is a superset of JSON, but the YAML parser is slow to load.
    const yaml = await import('yaml')
    try {
      return yaml.parse(text, { schema: as === 'written' ? 'failsafe' : 'core', logLevel: 'error' })
    } catch (error) {
      return error as Error
    }
  }
}

function notRead(error: Error & { linePos?: [{ line: number }] }, text: string, line: number): Mistake {
  const at = (error.linePos?.[0].line ?? 1) - 1
  const reason = error.message.split('\n')[0]!.replace(/ at line \d+, column \d+:?$/, '')
  return {
    line: line + at,
    sentence: `neither a line of JSON nor YAML (with --- between documents): ${reason}`,
    value: text.split('\n')[at] ?? text,
  }
}

const toSource = (_: string, value: Json, context?: { source: string }): Json =>
  typeof value === 'number' || typeof value === 'boolean' ? context!.source : value

/** Returns the entities without null fields, because an input that Port didn't send is null; null for a scalar. */
function listOf(given: Json): Json[] | null {
  const list = isObject(given) ? [given] : given
  if (!Array.isArray(list)) return null
  return list.map(entity =>
    isObject(entity)
      ? Object.fromEntries(
          Object.entries(entity).filter(([name, value]) => value !== null || !FIELDS.includes(name)),
        )
      : entity,
  )
}

/** Keeps the author's text of identifiers: in `identifier: 1.10`, the identifier is the text `1.10`, not a number. */
function nameAsWritten(list: Json[], written: Json[]): void {
  const isChanged = (value: Json | undefined) => typeof value === 'number' || typeof value === 'boolean'
  for (const [index, entity] of list.entries())
    for (const name of NAMES)
      if (isObject(entity) && isChanged(entity[name])) entity[name] = valueIn(written[index], name)!
}

const valueIn = (parent: Json | undefined, name: string): Json | undefined =>
  (parent as JsonObject | undefined)?.[name]

function nameOf(entity: Json, index: number): string {
  const { blueprint, identifier } = isObject(entity) ? entity : {}
  const known = [blueprint, identifier].filter(part => typeof part === 'string' && part !== '')
  return `entity ${index + 1}${known.length > 0 ? ` (${known.join('/')})` : ''}`
}

type Problem = { problem: string; value: Json }

function check(entity: Json, written: Json): Problem[] {
  if (!isObject(entity))
    return [{ problem: "isn't an entity with a blueprint and an identifier", value: entity }]
  const problems: Problem[] = []
  const add = (problem: string, value: Json) => problems.push({ problem, value })
  for (const name of NAMES) {
    const given = entity[name]
    if (typeof given !== 'string' || given === '') add(`has no ${name}`, entity)
    else if (!IDENTIFIER.test(given))
      add(
        `has characters in its ${name} that Port doesn't accept (allowed: letters, digits, and @ _ . + : \\ / = -)`,
        given,
      )
  }
  // Unknown keys are errors, because Port would ignore the value of a misspelled key.
  for (const name of Object.keys(entity))
    if (![...FIELDS, ...READ_ONLY].includes(name))
      add(`has an unknown key (known: ${FIELDS.join(', ')})`, name)
  const { operation, team, relations } = entity
  if (operation !== undefined && !OPERATIONS.some(each => each === operation))
    add(`has an operation that is neither ${OPERATIONS.join(' nor ')}`, operation)
  for (const name of ['title', 'icon'])
    if (entity[name] !== undefined && typeof entity[name] !== 'string')
      add(`has a ${name} that isn't a string`, entity[name])
  for (const name of ['properties', 'relations'])
    if (entity[name] !== undefined && !isObject(entity[name]))
      add(`has ${name} that aren't a mapping`, entity[name])
  if (team !== undefined && !isTeam(team)) add('has a team that is neither a name nor a list of names', team)
  for (const [name, value] of Object.entries(isObject(relations) ? relations : {}))
    if (![value].flat().every(isRelation))
      add(`has a relation "${name}" that is neither an identifier nor a list of identifiers`, value)
  return [...problems, ...checkValues(entity, written)]
}

const isTeam = (team: Json): boolean =>
  typeof team === 'string' ||
  isObject(team) ||
  (Array.isArray(team) && team.every(item => typeof item === 'string'))

const isRelation = (value: Json): boolean =>
  value === null || isObject(value) || (typeof value === 'string' && IDENTIFIER.test(value))

/** Refuses YAML values and numbers that JSON can't represent, because Port would receive different values. */
function checkValues(value: unknown, written: Json | undefined, path: string[] = []): Problem[] {
  if (typeof value === 'number') {
    const exact = Number.isInteger(value)
      ? Number.isSafeInteger(value) || String(value) === written
      : Number.isFinite(value)
    if (exact) return []
    const problem = `has a number in ${path.join('.')} that would reach Port with different digits (put the number in quotes)`
    return [{ problem, value: written ?? String(value) }]
  }
  if (typeof value !== 'object' || value === null) return []
  if (!Array.isArray(value) && Object.getPrototypeOf(value) !== Object.prototype) {
    const problem = `has a value in ${path.join('.')} that JSON can't represent (write the value as text, without its YAML tag)`
    return [{ problem, value: written ?? '' }]
  }
  return Object.entries(value).flatMap(([name, each]) =>
    checkValues(each, valueIn(written, name), [...path, name]),
  )
}

export interface EntityDocument {
  text: string
  line: number
  end: number
  /** Whether the document is certainly complete; false if a step may still be writing it. */
  closed: boolean
}

/** A document ends at `---`, or before a line that is JSON. With `settled`, the last document is complete. */
export function splitDocuments(lines: readonly FileLine[], options: { settled: boolean }): EntityDocument[] {
  const documents: EntityDocument[] = []
  let current: { texts: string[]; line: number; end: number } = { texts: [], line: 0, end: 0 }
  const close = (closed: boolean) => {
    const { texts, line, end } = current
    if (texts.some(text => text.trim() !== '' && !text.startsWith('#')))
      documents.push({ text: texts.join('\n'), line, end, closed })
    current = { texts: [], line: 0, end: 0 }
  }
  for (const [index, { text, end }] of lines.entries()) {
    const [mark, content = mark ? '' : text] = /^(?:---|\.\.\.)(?:\s+(.*)|$)/s.exec(text) ?? []
    const isJson = /^[[{]/.test(content) && parseJson(content) !== undefined
    if (mark !== undefined || isJson) close(true)
    if (content === '' && current.texts.length === 0) continue
    if (current.texts.length === 0) current.line = index + 1
    current.texts.push(content)
    current.end = end
    if (isJson) close(true)
  }
  if (options.settled) close(false)
  return documents
}
