import { isObject, type Json, type JsonObject } from '../port/json.ts'

/** An entity to upsert: `{ blueprint, identifier, title?, icon?, team?, properties?, relations? }`. */
export interface Entity {
  blueprint: string
  identifier: string
  /** As Port takes it, without the blueprint. */
  body: JsonObject
}

const FIELDS = ['blueprint', 'identifier', 'title', 'icon', 'team', 'properties', 'relations']

/** Port's rule. @see https://docs.port.io/api-reference/create-an-entity */
const IDENTIFIER = /^(?!\.{1,2}$)[\p{L}0-9@_.+:\\/=-]{1,1000}$/u

/**
 * Reads the input `entities`: one entity, or a list, in YAML or JSON. All of them are checked before any is sent.
 *
 * @throws Error with a line for each mistake
 */
export async function readEntities(text: string): Promise<Entity[]> {
  if (text.trim() === '') return []
  const given = await parse(text)
  const list = isObject(given) ? [given] : given
  if (!Array.isArray(list)) throw new Error('entities must be a list of entities in YAML or JSON.')
  const problems = list.flatMap((entity, index) =>
    check(entity).map(problem => `${nameOf(entity, index)} ${problem}`),
  )
  if (problems.length > 0) throw new Error(problems.join('\n'))
  return (list as JsonObject[]).map(({ blueprint, identifier, ...more }) => ({
    blueprint: String(blueprint),
    identifier: String(identifier),
    body: { identifier: String(identifier), ...more },
  }))
}

async function parse(text: string): Promise<Json> {
  try {
    return JSON.parse(text)
  } catch {
    // YAML holds JSON, but its reader is slow to load.
    const { parse: parseYaml } = await import('yaml')
    try {
      return parseYaml(text)
    } catch (cause) {
      const [reason] = (cause as Error).message.split('\n')
      throw new Error(`entities is neither YAML nor JSON: ${reason}`, { cause })
    }
  }
}

function nameOf(entity: Json, index: number): string {
  const { blueprint, identifier } = isObject(entity) ? entity : {}
  const known = [blueprint, identifier].filter(part => typeof part === 'string' && part !== '')
  return `Entity ${index + 1} of entities${known.length > 0 ? ` (${known.join('/')})` : ''}`
}

function check(entity: Json): string[] {
  if (!isObject(entity)) return ['is no entity: it must have a blueprint and an identifier.']
  const problems = ['blueprint', 'identifier'].flatMap(name => {
    const value = entity[name]
    // Numbers are what YAML makes of `identifier: 42`.
    const given = typeof value === 'number' ? String(value) : value
    if (typeof given !== 'string' || given === '') return [`has no ${name}.`]
    return IDENTIFIER.test(given)
      ? []
      : [
          `has the ${name} ${JSON.stringify(given.slice(0, 100))}, which Port does not take: letters, digits and @ _ . + : \\ / = - only.`,
        ]
  })
  const unknown = Object.keys(entity).filter(name => !FIELDS.includes(name))
  if (unknown.length > 0)
    problems.push(
      `has ${unknown.map(name => `"${name}"`).join(', ')}: properties of its own go under "properties".`,
    )
  for (const name of ['title', 'icon'])
    if (entity[name] !== undefined && typeof entity[name] !== 'string')
      problems.push(`has a ${name} that is no text.`)
  for (const name of ['properties', 'relations'])
    if (entity[name] !== undefined && !isObject(entity[name]))
      problems.push(`has ${name} that are no mapping.`)
  return [...problems, ...checkTeam(entity.team), ...checkRelations(entity.relations)]
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
