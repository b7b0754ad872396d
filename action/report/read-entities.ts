import { isObject, type Json, type JsonObject } from '../../port/types.ts'

/**
 * What becomes of an entity: `{ blueprint, identifier, operation?, title?, icon?, team?, properties?, relations? }`, and
 * whatever else Port takes.
 */
export interface Entity {
  operation: 'upsert' | 'delete'
  blueprint: string
  identifier: string
  /** As Port takes it, without the blueprint. */
  body: JsonObject
}

const NAMES = ['blueprint', 'identifier']
const FIELDS = ['blueprint', 'identifier', 'operation', 'title', 'icon', 'team', 'properties', 'relations']
const OPERATIONS = ['upsert', 'delete'] as const

/** Port's rule. @see https://docs.port.io/api-reference/create-an-entity */
const IDENTIFIER = /^(?!\.{1,2}$)[\p{L}0-9@_.+:\\/=-]{1,1000}$/u

/**
 * Reads a document of `$PORT_ENTITIES`: one entity, or a list, in YAML or JSON. All of them are checked before any is sent.
 *
 * @throws Error with a line for each mistake
 */
export async function readEntities(text: string): Promise<Entity[]> {
  if (text.trim() === '') return []
  const list = listOf(await parse(text, 'values'))
  if (list === null) throw new Error('$PORT_ENTITIES must be a list of entities in YAML or JSON.')
  const written = listOf(await parse(text, 'written')) as Json[]
  nameAsWritten(list, written)
  const problems = list.flatMap((entity, index) =>
    check(entity, written[index]!).map(problem => `${nameOf(entity, index)} ${problem}`),
  )
  if (problems.length > 0) throw new Error(problems.join('\n'))
  return (list as JsonObject[]).map(({ blueprint, identifier, operation = 'upsert', ...more }) => ({
    operation: operation as Entity['operation'],
    blueprint: blueprint as string,
    identifier: identifier as string,
    body: { identifier: identifier as string, ...more },
  }))
}

/** @param as `written`: numbers and the like as the text that stands there */
async function parse(text: string, as: 'values' | 'written'): Promise<Json> {
  try {
    return JSON.parse(text, as === 'written' ? toSource : undefined)
  } catch {
    // YAML holds JSON, but its reader is slow to load.
    const yaml = await import('yaml')
    try {
      return yaml.parse(text, { schema: as === 'written' ? 'failsafe' : 'core', logLevel: 'error' })
    } catch (cause) {
      const [reason] = (cause as Error).message.split('\n')
      throw new Error(`$PORT_ENTITIES is neither YAML nor JSON: ${reason!.replace(/:$/, '.')}`, { cause })
    }
  }
}

function toSource(_: string, value: Json, { source }: { source?: string } = {}): Json {
  if (typeof value !== 'number' && typeof value !== 'boolean') return value
  // Node 20, of ARM32 runners, does not give it: the reader of YAML does.
  if (source === undefined) throw new Error('no source')
  return source
}

/** A list of what may be entities, without fields that are null: those are inputs that were not sent. */
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

/** `identifier: 1.10` is no number: it names what is called 1.10. */
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
  return `Entity ${index + 1} of $PORT_ENTITIES${known.length > 0 ? ` (${known.join('/')})` : ''}`
}

function check(entity: Json, written: Json): string[] {
  if (!isObject(entity)) return ['is not an entity: it must have a blueprint and an identifier.']
  const problems = NAMES.flatMap(name => {
    const given = entity[name]
    if (typeof given !== 'string' || given === '') return [`has no ${name}.`]
    return IDENTIFIER.test(given)
      ? []
      : [
          `has the ${name} ${JSON.stringify(given)}, which Port does not take: letters, digits and @ _ . + : \\ / = - only.`,
        ]
  })
  const { operation } = entity
  if (operation !== undefined && !OPERATIONS.some(each => each === operation))
    problems.push(`has the operation ${JSON.stringify(operation)}: it must be ${OPERATIONS.join(' or ')}.`)
  for (const name of ['title', 'icon'])
    if (entity[name] !== undefined && typeof entity[name] !== 'string')
      problems.push(`has a ${name} that is not a string.`)
  for (const name of ['properties', 'relations'])
    if (entity[name] !== undefined && !isObject(entity[name]))
      problems.push(`has ${name} that are not a mapping.`)
  return [
    ...problems,
    ...checkTeam(entity.team),
    ...checkRelations(entity.relations),
    ...checkValues(entity, written),
  ]
}

function checkTeam(team: Json | undefined): string[] {
  const fits =
    team === undefined ||
    typeof team === 'string' ||
    isObject(team) ||
    (Array.isArray(team) && team.every(item => typeof item === 'string'))
  return fits ? [] : ['has a team that is neither a name nor a list of names.']
}

function checkRelations(relations: Json | undefined): string[] {
  const fits = (value: Json): boolean =>
    value === null || isObject(value) || (typeof value === 'string' && IDENTIFIER.test(value))
  return Object.entries(isObject(relations) ? relations : {}).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).every(fits)
      ? []
      : [`has a relation "${name}" that is neither an identifier nor a list of them.`],
  )
}

/** YAML and its numbers can hold more than what is sent to Port, which would arrive as something else. */
function checkValues(value: unknown, written: Json | undefined, path: string[] = []): string[] {
  if (typeof value === 'number') {
    // A large integer may be one that is kept whole all the same: 2 to the power of 54, or 1700000000000000000.
    const exact = Number.isInteger(value)
      ? Number.isSafeInteger(value) || String(value) === written
      : Number.isFinite(value)
    return exact
      ? []
      : [`has a number in ${path.join('.')} that would not arrive as it is written: put it in quotes.`]
  }
  if (typeof value !== 'object' || value === null) return []
  if (!Array.isArray(value) && Object.getPrototypeOf(value) !== Object.prototype)
    return [`has a value in ${path.join('.')} that JSON has no form for: write it as text, without its tag.`]
  return Object.entries(value).flatMap(([name, each]) =>
    checkValues(each, valueIn(written, name), [...path, name]),
  )
}
