/** The inputs that the relay fills in every workflow. `port` contains the action's payload as JSON. */
export const OFFERED_INPUTS = ['port', 'port_context', 'port_run_id', 'run_id', 'port_payload']

/** Longer files aren't searched for references to inputs. */
const MAX_LENGTH = 250_000
/** The maximum number of lines of each kind in a note. */
const MAX_LINES = 20

/** What a workflow reads from the inputs of `workflow_dispatch`. */
export interface Reads {
  /** The inputs besides `port_context` that must be Port's context: the workflow reads the run ID from them, and no keys that Port's context lacks. */
  contexts: string[]
  /** The inputs besides `run_id` and `port_run_id` that contain the ID of Port's run. */
  runIds: string[]
  /** The inputs with Port's context whose entity the workflow reads only as text. */
  textEntities: string[]
  /** For each input with Port's context, the lines that use the whole input, or its entity as text or as an object. */
  entities: { input: string; wholes: number[]; texts: number[]; objects: number[] }[]
  /** The keys that the workflow reads, although the relay's `port_context` or `port_payload` lacks them. */
  missing: { input: 'port_context' | 'port_payload'; keys: string[]; lines: number[] }[]
  /** The names that the workflow reads from `payload.properties` of `port_payload`; `all` if it passes all properties on. */
  properties: string[] | 'all'
}

/** A reference such as `inputs.a`, `steps.p.outputs['b']`, or `fromJSON(inputs.a || '{}').b`. */
export interface Reference {
  /** `inputs`, `client_payload`, or `steps`. */
  root: string
  /** The names below the root, including those after `fromJSON(…)`. */
  path: string[]
  /** Whether the workflow uses the whole value: it isn't parsed with `fromJSON(…)`, or none of its keys is read. */
  isWhole: boolean
  line: number
  start: number
  end: number
}

/** Returns the references in an expression, or in a whole file. */
export const referencesIn = (text: string): Reference[] =>
  find(
    text,
    /(fromJSON\(\s*)?(?:github\.event\.)?\b(inputs|client_payload|steps)((?:\.[\w-]+|\[\s*'(?:[^']|'')*'\s*\])+)(?:\s*(?:\|\|\s*(?:'[^']*'\s*)?)?\)((?:\.[\w-]+|\[\s*'(?:[^']|'')*'\s*\])*))?/gi,
  ).map(({ match: { 0: all, 1: parse, 2: root, 3: outside, 4: inside, index: start }, line }) => {
    const keys = parse === undefined ? '' : inside
    const path = namesIn(`${outside}${keys ?? ''}`)
    return { root: root!.toLowerCase(), path, isWhole: !keys, line, start, end: start + all.length }
  })

const namesIn = (segments: string): string[] =>
  [...segments.matchAll(/\.([\w-]+)|'((?:[^']|'')*)'/g)].map(
    ([, dotted, quoted]) => dotted ?? quoted!.replaceAll("''", "'"),
  )

/** Returns all matches with their lines, in linear time. */
function find(text: string, pattern: RegExp) {
  let [line, at] = [1, 0]
  return [...text.matchAll(pattern)].map(match => {
    line += text.slice(at, match.index).split('\n').length - 1
    at = match.index
    return { match, line }
  })
}

/** Matches the names of run IDs. */
export const RUN_ID = /^(?:port[_-]?)?(?:(?:action|node)[_-]?)?run[_-]?id(?:entifier)?$/i
/** Matches names that are certainly the ID of Port's run. A `runId` can also identify a workflow run. */
const PORT_RUN_ID = /^port[_-]?(?:(?:action|node)[_-]?)?run[_-]?id$/i
const RUN_ID_KEY = /^(?:context\.)?run_?id$/i
/** Matches the keys of the relay's `port_context`. */
const CONTEXT_KEY = /^(?:run_?id|blueprint|entity|action|requestedBy|trigger|context)$/i
const PAYLOAD_KEY = /^(?:run|payload|event|run_?id|blueprint|entity|action|requestedBy|trigger|context)$/i

/**
 * Whether an expression that is passed to Port as a run ID is certainly the ID of Port's run: it is a key of Port's
 * context, or an input with the name of a run ID.
 * @param contexts the names of other inputs with Port's context
 */
export function isRunId(expression: string, contexts: string[]): boolean {
  const [reference] = referencesIn(expression)
  if (reference?.start !== 0 || reference.end !== expression.length || reference.root === 'steps')
    return false
  const [name = '', ...keys] = reference.path
  const key = keys.join('.')
  if (key === '') return RUN_ID.test(name)
  const isOwn = /^port_(?:context|payload)$/i.test(name)
  return (isOwn || contexts.includes(name)) && (RUN_ID_KEY.test(key) || (isOwn && /^run\.id$/i.test(key)))
}

/** Matches expressions that pass all inputs on. */
const EVERY_INPUT =
  /\btoJSON\(\s*(?:github(?:\.event(?:\.inputs)?)?|inputs)\s*\)|\binputs(?:\[\s*[^'\s]|\.\*)|\bpayload\.inputs\b(?![.[])|\bgithub\.event_path\b|\bGITHUB_EVENT_PATH\b/gi

/** Returns what a workflow reads from its inputs, in linear time. @param names the declared inputs */
export function readsOf(file: string, names: string[]): Reads {
  const text = file.length > MAX_LENGTH ? '' : file
  // Conditions such as `inputs.port_context != ''` and `inputs.port_context && …` don't pass the input on.
  const isCondition = ({ isWhole, end }: Reference) =>
    isWhole && /^ *(?:[!=]= *'|&&)/.test(text.slice(end, end + 9))
  const references = referencesIn(text).filter(each => each.root === 'inputs' && !isCondition(each))
  const byName = Map.groupBy(references, ({ path }) => path[0]!.toLowerCase())
  const readsFrom = (name: string) => byName.get(name.toLowerCase()) ?? []
  const everyInput = find(text, EVERY_INPUT)
  const toPort = passedToPort(text)

  const others = names.filter(name => !OFFERED_INPUTS.includes(name))
  const contexts = others.filter(
    name =>
      readsFrom(name).every(({ isWhole, path }) => !isWhole && CONTEXT_KEY.test(path[1]!)) &&
      readsFrom(name).some(({ path }) => RUN_ID_KEY.test(path.slice(1).join('.'))),
  )
  const isPorts = (name: string) =>
    PORT_RUN_ID.test(name) || (RUN_ID.test(name) && toPort.has(name.toLowerCase()))
  const entities = names
    .filter(name => name === 'port_context' || contexts.includes(name))
    .map(input => {
      const ofKind = (kind: string) => readsFrom(input).filter(each => kindOf(text, each) === kind)
      const wholes = linesOf([...ofKind('whole'), ...everyInput])
      return { input, wholes, texts: linesOf(ofKind('text')), objects: linesOf(ofKind('object')) }
    })
  return {
    contexts,
    runIds: others.filter(name => !contexts.includes(name) && isPorts(name)),
    textEntities: entities
      .filter(({ wholes, texts, objects }) => texts.length > 0 && wholes.length + objects.length === 0)
      .map(({ input }) => input),
    entities,
    missing: (['port_context', 'port_payload'] as const).flatMap(input => {
      const known = input === 'port_context' ? CONTEXT_KEY : PAYLOAD_KEY
      const found = readsFrom(input).filter(({ isWhole, path }) => !isWhole && !known.test(path[1]!))
      const keys = [...new Set(found.map(({ path }) => path[1]!))].slice(0, MAX_LINES)
      return keys.length > 0 ? [{ input, keys, lines: linesOf(found) }] : []
    }),
    properties: everyInput.length > 0 ? 'all' : readProperties(readsFrom('port_payload')),
  }
}

const linesOf = (found: { line: number }[]): number[] =>
  [...new Set(found.map(({ line }) => line))].sort((a, b) => a - b).slice(0, MAX_LINES)

/** Matches an input that is used as a run ID: as an action's input, as a variable, or in a URL. */
const AS_RUN_ID =
  /(?:(?:^|[{,])[ \t]*["']?([\w-]*run[_-]?id)["']?: *["']?|\/v1\/(?:actions|workflows\/nodes)\/runs\/|[?&]run_id=)\$\{\{ *(?:github\.event\.)?inputs(?:\.([\w-]+)|\['([\w-]+)'\])/gim

/** Returns the inputs, in lower case, that are passed to Port as a run ID: in a step that uses Port's actions or API, or under a name such as `port_run_id`. */
function passedToPort(text: string): Set<string> {
  const found = text.split(/^(?=[ \t]*- (?:\{|(?:uses|run|name|id|if|env|with):))/m).flatMap(step => {
    const isOfPort = /\bport-labs\/|\bapi(?:\.us)?\.(?:get)?port\.io\b/i.test(step)
    return [...step.matchAll(AS_RUN_ID)].filter(([, name = '']) => isOfPort || PORT_RUN_ID.test(name))
  })
  return new Set(found.map(([, , dotted, quoted]) => (dotted ?? quoted)!.toLowerCase()))
}

/** Returns what a reference uses: the whole input, its entity as text or as an object, or another key. */
function kindOf(text: string, { isWhole, path, start, end }: Reference) {
  if (isWhole) return 'whole'
  if (path[1]!.toLowerCase() !== 'entity') return 'other'
  const isInJson = /\btoJSON\([^()']*$/i.test(text.slice(Math.max(0, start - 200), start))
  return path.length === 2 && !isInJson && !/[.[]/.test(text[end] ?? '') ? 'text' : 'object'
}

function readProperties(reads: Reference[]): Reads['properties'] {
  const paths = reads.map(({ path, isWhole }) => (isWhole ? [] : path.slice(1)))
  const isAll = paths.some(path => 'payload.properties.'.startsWith([...path, ''].join('.')))
  return isAll
    ? 'all'
    : paths.flatMap(([first, second, name]) => (`${first}.${second}` === 'payload.properties' ? [name!] : []))
}

/**
 * Returns notes about empty keys, and about entities that are objects, although the workflow may read them as text.
 * `line`: the first line that needs the entity as an object, or that reads an empty key.
 */
export const contextNotes = (file: string, { entities, missing }: Pick<Reads, 'entities' | 'missing'>) => [
  ...entities.flatMap(({ input, wholes, texts, objects }) => {
    const lines = wholes.length > 0 ? wholes : objects
    if (lines.length === 0 || (texts.length === 0 && objects.length > 0)) return []
    const why = wholes.length > 0 ? 'passes on the whole input' : 'reads the entity as an object'
    const where = texts.length > 0 ? ` (${listOf(texts)})` : ''
    const note = `${input} contains the entity as an object if the relay makes the context, because ${file} ${why} (${listOf(lines)}). To get the identifier, read .entity.identifier instead of .entity${where}.`
    return { line: lines[0]!, note }
  }),
  ...missing.map(({ input, keys, lines }) => ({
    line: lines[0]!,
    note: `${input} has no ${keys.join(', ')} if the relay makes it, although ${file} reads this (${listOf(lines)}): add ${input} with these keys to the body of the Port action.`,
  })),
]

/** Matches fields of a user that are in no payload of the relay except `port_context` and `port_payload`. */
const USER_FIELD = /(?<=^|\.)trigger\.by\.user\.(?!(?:email|name)$)[\w-]+$/i

/** For each input, names the fields of a user that the workflow reads, although the input lacks them. `line`: the first line that reads one. */
export function userFieldNotes(text: string): { line: number; note: string }[] {
  const reads = referencesIn(text).flatMap(({ root, path, line }) => {
    const [input = ''] = path
    const [field] = USER_FIELD.exec(path.join('.')) ?? []
    return root === 'inputs' && field && !/^port_(context|payload)$/i.test(input)
      ? [{ input, line, field }]
      : []
  })
  return [...Map.groupBy(reads, read => read.input)].map(([input, all]) => {
    const fields = [...new Set(all.map(({ field }) => field))].join(', ')
    const note = `the relay leaves ${fields} out of ${input}, because it passes these only in port_context: rename the input, here and in the Port action.`
    return { line: all[0]!.line, note }
  })
}

const listOf = (lines: number[]) => `line${lines.length > 1 ? 's' : ''} ${lines.join(', ')}`
